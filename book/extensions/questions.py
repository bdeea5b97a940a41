"""Sphinx extension: questions that a reader answers on the page, each answer with its own explanation.

A question is a box of the class ``question``: a text, a numbered list of answers, and a folded box, *Answers*, with as
many explanations, each of which begins with **Right.** or **Wrong.** So it can be read wherever the chapter can, as in
JupyterLab. On a page the answers become radio buttons, or check boxes where several are right, each with a fold that
holds its explanation. ``questions.js`` opens that fold when an answer is checked; without a script, a reader opens it.
"""

from docutils import nodes
from folds import Fold, FoldLabel
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util import logging

from tokengeom_utils.site.plain import ANSWERS
from tokengeom_utils.site.plain import QUESTION as KIND

logger = logging.getLogger(__name__)

SEVERAL = "Choose every right answer."  #: what a question says if more than one is right
VERDICTS = {"Right.": "right", "Wrong.": "wrong"}  #: how an explanation begins, and the class of its answer
FEWEST = 3
SCRIPT, STYLE = "questions.js", "questions.css"


class Question(nodes.Element):
    """A question with its answers; its children are a label, the text, and the list of answers."""


class QuestionLabel(nodes.TextElement):
    """Number and title of a question."""


class QuestionText(nodes.Element):
    """The text of a question."""


class Choice(nodes.TextElement):
    """What a reader chooses: an input and its label."""


class Feedback(nodes.Element):
    """Where an explanation appears, and is read aloud when it does."""


def verdict(explanation):
    """Which class the first word of an explanation gives its answer.

    Parameters
    ----------
    explanation : docutils.nodes.Element

    Returns
    -------
    str or None
        ``"right"`` or ``"wrong"``; None if it begins with neither.

    Examples
    --------
    >>> text = nodes.paragraph("", "", nodes.strong("", "Right."), nodes.Text(" So it is."))
    >>> verdict(nodes.list_item("", text))
    'right'
    """
    strong = explanation.next_node(nodes.strong)
    word = strong.astext() if strong is not None else ""
    return VERDICTS.get(word) if explanation.astext().startswith(word) else None


def parts(box):
    """Take a question apart.

    Parameters
    ----------
    box : docutils.nodes.Element
        A box of the class ``question``.

    Returns
    -------
    text : list of docutils.nodes.Node
    answers : list of docutils.nodes.paragraph
    explanations : list of docutils.nodes.list_item

    Raises
    ------
    ValueError
        If it is no question; the message says what is wrong with it.
    """
    _, *text = box.children
    folded, answers = (text.pop() if text else None for _ in range(2))
    if not (text and isinstance(answers, nodes.enumerated_list) and isinstance(folded, nodes.Admonition)):
        raise ValueError(f"it needs a text, a numbered list of answers, and a box *{ANSWERS}*, in this order")
    explanations = folded.next_node(nodes.enumerated_list)
    count = len(explanations) if explanations else 0
    if folded[0].astext() != ANSWERS or len(folded) != 2 or count != len(answers):
        raise ValueError(f"{len(answers)} answers need a box *{ANSWERS}* with as many explanations, not {count}")
    if len(answers) < FEWEST:
        raise ValueError(f"{len(answers)} answers are too few: give at least {FEWEST}")
    for number, answer in enumerate(answers, 1):
        if len(answer) != 1 or not isinstance(answer[0], nodes.paragraph):
            raise ValueError(f"answer {number} is more than one paragraph")
        if any(answer.findall(lambda node: isinstance(node, nodes.reference))):
            raise ValueError(f"answer {number} holds a link: a click on it could not choose the answer")
    found = [verdict(one) for one in explanations]
    if None in found:
        raise ValueError(f"explanation {found.index(None) + 1} begins with neither {' nor '.join(VERDICTS)}")
    if len(set(found)) == 1:
        raise ValueError(f"every answer is {found[0]}")
    said = SEVERAL in " ".join(node.astext() for node in text)
    if said != (found.count("right") > 1):
        raise ValueError(f'"{SEVERAL}" belongs to questions with several right answers: {found.count("right")} here')
    return text, [answer[0] for answer in answers], list(explanations)


def question(box, number):
    """Make a question of a box.

    Parameters
    ----------
    box : docutils.nodes.Element
    number : int
        Of the question on its page.

    Returns
    -------
    Question

    Raises
    ------
    ValueError
        If the box is no question.
    """
    text, answers, explanations = parts(box)
    name = f"{KIND}-{number}"
    found = [verdict(one) for one in explanations]
    kind = "checkbox" if found.count("right") > 1 else "radio"
    listed = nodes.enumerated_list(enumtype="arabic", prefix="", suffix=".", classes=["answers"])
    for place, (answer, explanation, sort) in enumerate(zip(answers, explanations, found, strict=True), 1):
        explanation.next_node(nodes.strong)["classes"] += ["verdict", sort]
        fold = Fold("", FoldLabel("", f"Explanation of answer {place}"), *explanation, classes=["solution"])
        choice = Choice("", "", *answer, name=name, kind=kind, place=place, right=sort == "right")
        listed += nodes.list_item("", choice, Feedback("", fold))
    title = [nodes.Text(f"Question {number}. "), *box[0].children]
    label, stem = QuestionLabel("", "", *title, ids=[f"{name}-label"]), QuestionText("", *text, ids=[f"{name}-text"])
    return Question("", label, stem, listed, classes=[KIND, "admonition"], ids=[name])


class AskQuestions(SphinxPostTransform):
    """Make questions of their boxes, before other boxes fold."""

    default_priority = 185
    formats = ("html",)

    def run(self, **_):
        boxes = [box for box in self.document.findall(nodes.Admonition) if KIND in box["classes"]]
        for number, box in enumerate(boxes, 1):
            try:
                box.replace_self(question(box, number))
            except ValueError as wrong:
                logger.warning('question "%s": %s', box[0].astext(), wrong, location=box)


def visit_question(translator, node):
    """Open a question."""
    translator.body.append(translator.starttag(node, "div"))
    translator.body.append(f'<fieldset aria-describedby="{node["ids"][0]}-text">')


def depart_question(translator, node):
    """Close a question, with the buttons that only a script can serve."""
    label = f'aria-describedby="{node["ids"][0]}-label"'
    translator.body.append(
        f'</fieldset>\n<div class="actions" hidden><button type="button" class="check" {label}>Check</button>\n'
        f'<button type="button" class="show" aria-expanded="false" {label}>Show all explanations</button>'
        '<p class="status" role="status"></p></div></div>\n'
    )


def visit_label(translator, node):
    """Open the label of a question."""
    translator.body.append(translator.starttag(node, "legend", "", CLASS="admonition-title"))


def visit_text(translator, node):
    """Open the text of a question."""
    translator.body.append(translator.starttag(node, "div"))


def visit_choice(translator, node):
    """Open an answer: the input, and its label."""
    about = f"{node['name']}-{node['place']}"
    right = " data-right" if node["right"] else ""
    translator.body.append(
        f'<div class="answer"><input type="{node["kind"]}" name="{node["name"]}" id="{about}" autocomplete="off"'
        f'{right}><label for="{about}">'
    )


def visit_feedback(translator, node):
    """Open the place of an explanation."""
    translator.body.append('<div class="feedback" aria-live="polite">')


def closing(html):
    """Close a node by some HTML."""
    return lambda translator, _: translator.body.append(html)


def load(app, name, template, context, doctree):
    """Give pages with questions their script and style."""
    if doctree is not None and doctree.next_node(Question):
        app.add_js_file(SCRIPT, defer="defer")
        app.add_css_file(STYLE)


def setup(app):
    """Register the nodes, the transform, and the handler; ``lean`` chooses the scripts of a page after it."""
    app.add_node(Question, html=(visit_question, depart_question))
    app.add_node(QuestionLabel, html=(visit_label, closing("</legend>\n")))
    app.add_node(QuestionText, html=(visit_text, closing("</div>\n")))
    app.add_node(Choice, html=(visit_choice, closing("</label></div>\n")))
    app.add_node(Feedback, html=(visit_feedback, closing("</div>\n")))
    app.add_post_transform(AskQuestions)
    app.connect("html-page-context", load, priority=800)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
