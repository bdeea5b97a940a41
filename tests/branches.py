"""Both wordings of every sentence that depends on a survey, rendered by executing a chapter.

    .venv/bin/python tests/branches.py shuffle_control    # prints them, as they read for the bundled survey

``a if c else b``, where ``a`` or ``b`` is text, goes on as it would; the wording that is not taken is rendered beside
it.
"""

import ast
import sys
from typing import NamedTuple

import run_chapter

#: what a wording may raise that is not taken: it is there because the condition keeps it from values that do not exist
GUARDED = (LookupError, ZeroDivisionError, FloatingPointError)


class Branch(NamedTuple):
    """A wording that was not taken."""

    source: str  #: its expression
    taken: object  #: what the chapter says instead
    text: object  #: what it would say; an exception if that cannot be rendered


def is_text(node):
    """Whether an expression is text in at least one of its forms."""
    if isinstance(node, ast.IfExp):
        return is_text(node.body) or is_text(node.orelse)
    if isinstance(node, ast.BinOp):
        return is_text(node.left) or is_text(node.right)
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


class Both(ast.NodeTransformer):
    """Makes every choice of words call ``_choose``, with both wordings as functions."""

    def visit_IfExp(self, node):
        """Replace one choice."""
        bound = any(isinstance(part, ast.NamedExpr) for part in ast.walk(node))
        words = is_text(node) and not bound
        source = ast.Constant(ast.unparse(node))
        self.generic_visit(node)
        if not words:
            return node
        nothing = ast.arguments(posonlyargs=[], args=[], kwonlyargs=[], kw_defaults=[], defaults=[])
        ways = [ast.Lambda(nothing, way) for way in (node.body, node.orelse)]
        return ast.Call(ast.Name("_choose", ast.Load()), [source, node.test, *ways], [])


def branches(stem, **parameters):
    """Execute a chapter; return the wordings that it did not take.

    Parameters
    ----------
    stem : str
        Name of the chapter.
    **parameters
        As :func:`run_chapter.run_chapter` takes them.

    Returns
    -------
    list of Branch
        One for each choice of words that was met, in the order of the chapter; a choice met again counts once.
    """
    found = {}

    def choose(source, condition, yes, no):
        taken, other = (yes, no) if condition else (no, yes)
        said = taken()
        if (source, bool(condition)) not in found:
            try:
                text = other()
            except Exception as error:
                text = error
            found[source, bool(condition)] = Branch(source, said, text)
        return said

    def both(tree):
        return ast.fix_missing_locations(Both().visit(tree))

    run_chapter.run_chapter(stem, change=both, extra={"_choose": choose}, **parameters)
    sources = [source for source, _ in found]
    return [branch for (source, _), branch in found.items() if sources.count(source) == 1]


if __name__ == "__main__":
    for branch in branches(sys.argv[1]):
        other = repr(branch.text) if isinstance(branch.text, Exception) else branch.text
        print(f"says   {branch.taken}\nother  {other}\n")
