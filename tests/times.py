"""How long a chapter and its exercises take: counted by the rule in book/index.md, and written into the chapter.

.venv/bin/python tests/times.py    renews the first box of each chapter, and the minutes of each exercise
"""

import re
from pathlib import Path

import jupytext

from tokengeom_utils.site.values import with_values

PROJECT = Path(__file__).parents[1]
BOX = re.compile(r"^About \d+ minutes to read; questions and exercises about \d+ more\.$", re.M)
#: Minutes of reading: for a word, a displayed formula, a figure, and a line of code that is shown.
WORD, FORMULA, FIGURE, LINE = 1 / 200, 0.5, 0.75, 0.1
#: Minutes for a question, with the explanations of its answers.
QUESTION = 2
#: Minutes for an exercise by its difficulty, and more for each line of its solution, of code or of text.
EXERCISE, SOLUTION = {"Easy": 5, "Medium": 10, "Hard": 20}, 0.5
#: The first line of an exercise.
LEVEL = re.compile(rf"^\*({'|'.join(EXERCISE)}), about (\d+) minutes\.\*$", re.M)
_EXERCISE = re.compile(r"^(`{3,})\{(exercise|solution)\}[^\n]*\n(.*?)^\1$", re.S | re.M)
_QUESTION = re.compile(r"^(`{3,})\{admonition\}[^\n]*\n:class: question\n.*?^\1$\n", re.S | re.M)
_DISPLAYED = re.compile(r"\$\$.+?\$\$", re.S)
_SENTENCE = re.compile(r'"((?:[^"\\\n]|\\.){40,})"')


def minutes(path):
    """Minutes to read a chapter, and minutes for its questions and exercises, both to the next multiple of five.

    A computed clause counts as half, since most have two forms.
    """
    reading, solving = 0.0, 0.0
    for cell in jupytext.read(path, fmt="md:myst").cells:
        tags = cell.metadata.get("tags", ())
        if cell.cell_type == "code":
            if figure := cell.metadata.get("mystnb", {}).get("figure"):
                reading += FIGURE + WORD * len(figure["caption"].split())
            if "hide-input" not in tags and "parameters" not in tags:
                reading += LINE * sum(bool(line.strip()) for line in cell.source.splitlines())
            reading += WORD / 2 * sum(len(text.split()) for text in _SENTENCE.findall(cell.source))
            continue
        text = with_values(cell.source, lambda wanted: ["value"] * len(wanted))
        solving += QUESTION * len(_QUESTION.findall(text))
        text = _QUESTION.sub("", _EXERCISE.sub("", text))
        reading += FORMULA * len(_DISPLAYED.findall(text)) + WORD * len(_DISPLAYED.sub("", text).split())
    solving += sum(counted for _, _, _, counted in exercises(path.read_text(encoding="utf-8")))
    return tuple(5 * max(1, round(found / 5)) for found in (reading, solving))


def _lines(body):
    """Lines of a solution that count."""
    return sum(bool(line.strip()) and not line.startswith((":", "~~~")) for line in body.splitlines())


def exercises(text):
    """List the exercises of a chapter as (label, difficulty, stated minutes, minutes of the rule)."""
    found = []
    for _, kind, body in _EXERCISE.findall(with_values(text, lambda wanted: ["value"] * len(wanted))):
        if kind == "exercise":
            level, stated = LEVEL.search(body).groups()
            found.append([re.search(r"^:label: (\S+)", body, re.M)[1], level, int(stated), EXERCISE[level]])
        else:
            found[-1][3] += SOLUTION * _lines(body)
    return [(*others, 5 * round(counted / 5)) for *others, counted in found]


def renewed(text):
    """A chapter in which every exercise states the minutes of the rule."""
    counted = (minutes for *_, minutes in exercises(text))
    return LEVEL.sub(lambda found: f"*{found[1]}, about {next(counted)} minutes.*", text)


def box(path):
    """The sentence for the first box of a chapter."""
    reading, solving = minutes(path)
    return f"About {reading} minutes to read; questions and exercises about {solving} more."


if __name__ == "__main__":
    for path in sorted((PROJECT / "notebooks").glob("*.md")):
        text = renewed(path.read_text(encoding="utf-8"))
        path.write_text(text, encoding="utf-8")
        path.write_text(BOX.sub(box(path), text), encoding="utf-8")
        print(f"{path.stem}: {box(path)}")
