"""A book of one short chapter, for tests of the build that need no model and no site."""

import nbformat

from tokengeom_utils.site.build.contents import chapters, read_chapter
from tokengeom_utils.site.build.execute import Execution
from tokengeom_utils.site.build.staleness import stale_runs

FRONT = """---
kernelspec:
  name: python3
  language: python
  display_name: Python 3
---

# A chapter

```{code-cell} ipython3
:tags: [parameters]

seed = 1
```
"""
FIGURE = """
```{{code-cell}} ipython3
---
mystnb:
  image:
    alt: A line.
  figure:
    caption: A line.
    name: fig-{name}
---
{code}
```
"""
DRAW = """import matplotlib.pyplot as plt
import tokengeom_utils as tg

tg.figures.set_theme()
fig, ax = plt.subplots()
ax.plot([1, 2], [3, 4], label="a line")
ax.legend()
plt.show()"""


def write_chapter(project, code=DRAW, name="short"):
    """Write a project whose only chapter has one cell, which names a figure."""
    (project / "notebooks").mkdir(parents=True, exist_ok=True)
    (project / "_toc.yml").write_text(f"root: book/index\nchapters: [{{file: notebooks/{name}}}]\n")
    (project / "notebooks" / f"{name}.md").write_text(FRONT + FIGURE.format(name=name, code=code))
    return project


def execute(project, out, parameters=None):
    """Execute the chapters of a project, and return the cells of the first."""
    survey = out / "survey.zarr"
    survey.mkdir(parents=True, exist_ok=True)
    contents = [read_chapter(path) for path in chapters(project)]
    runs = stale_runs(contents, project, out / "chapters", parameters or {"seed": 1})
    with Execution(project, out, survey) as execution:
        execution.add(runs)
        execution.hurry()
        execution.wait()
    return nbformat.read(runs[0].target, 4).cells
