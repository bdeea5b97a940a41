"""How long a chapter takes: counted from its source by the rule in book/index.md, and written into its first box.

.venv/bin/python tests/times.py    renews the boxes
"""

import re
from pathlib import Path

import jupytext

from tokengeom_utils.site.values import with_values

PROJECT = Path(__file__).parents[1]
BOX = re.compile(r"^About \d+ minutes to read; exercises about \d+ more\.$", re.M)
#: Minutes of reading: for a word, a displayed formula, a figure, and a line of code that is shown.
WORD, FORMULA, FIGURE, LINE = 1 / 200, 0.5, 0.75, 0.1
#: Minutes for an exercise, and more for each line of its solution, of code or of text.
EXERCISE, SOLUTION = 8, 0.5
_EXERCISE = re.compile(r"^(`{3,})\{(exercise|solution)\}[^\n]*\n(.*?)^\1$", re.S | re.M)
_DISPLAYED = re.compile(r"\$\$.+?\$\$", re.S)
_SENTENCE = re.compile(r'"((?:[^"\\\n]|\\.){40,})"')


def minutes(path):
    """Minutes to read a chapter, and minutes for its exercises, both to the next multiple of five.

    A computed clause counts as half, since most have two forms.
    """
    reading = solving = 0.0
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
        for _, kind, body in _EXERCISE.findall(text):
            lines = [line for line in body.splitlines() if line.strip() and not line.startswith((":", "~~~"))]
            solving += EXERCISE if kind == "exercise" else SOLUTION * len(lines)
        text = _EXERCISE.sub("", text)
        reading += FORMULA * len(_DISPLAYED.findall(text)) + WORD * len(_DISPLAYED.sub("", text).split())
    return tuple(5 * max(1, round(found / 5)) for found in (reading, solving))


def box(path):
    """The sentence for the first box of a chapter."""
    reading, solving = minutes(path)
    return f"About {reading} minutes to read; exercises about {solving} more."


if __name__ == "__main__":
    for path in sorted((PROJECT / "notebooks").glob("*.md")):
        text = path.read_text(encoding="utf-8")
        path.write_text(BOX.sub(box(path), text), encoding="utf-8")
        print(f"{path.stem}: {box(path)}")
