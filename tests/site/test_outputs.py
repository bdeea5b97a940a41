"""What an executed chapter must have produced before it counts as done."""

import nbformat
import pytest
from chapters import DRAW, execute, write_chapter

from tokengeom_utils.errors import BuildError
from tokengeom_utils.site.build import kernels as kernels_module
from tokengeom_utils.site.build.outputs import check_outputs

SVG = nbformat.v4.new_output("display_data", data={"image/svg+xml": "<svg/>", "text/csv": "x\n1\n"})
NO_TABLE = nbformat.v4.new_output("display_data", data={"image/png": "", "text/plain": "<Figure>"})
NO_PICTURE = nbformat.v4.new_output("display_data", data={"text/csv": "x\n1\n", "text/plain": "<Figure>"})
OTHER = nbformat.v4.new_output("execute_result", data={"text/plain": "[<Line2D>]"})
STDERR = nbformat.v4.new_output("stream", name="stderr", text="a noise\n")


def notebook(*outputs, figure=None):
    metadata = {"mystnb": {"figure": {"name": figure}}} if figure else {}
    cell = nbformat.v4.new_code_cell("draw()", outputs=list(outputs), metadata=metadata, execution_count=7)
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("A page"), cell])


@pytest.mark.parametrize("outputs", [[], [OTHER], [NO_TABLE], [NO_PICTURE], [NO_TABLE, NO_PICTURE]])
def test_a_cell_that_names_a_figure_must_draw_it_with_its_table(outputs):
    with pytest.raises(
        BuildError, match=r"^short.md, cell 7 draws no figure, although it names fig-curve: .*set_theme"
    ):
        check_outputs(notebook(*outputs, figure="fig-curve"), "short.md")
    check_outputs(notebook(*outputs, SVG, figure="fig-curve"), "short.md")
    check_outputs(notebook(*outputs), "short.md")


def test_a_cell_that_writes_to_stderr_is_named():
    with pytest.raises(BuildError, match=r"^short.md, cell 7 wrote to stderr:\na noise$"):
        check_outputs(notebook(SVG, STDERR, figure="fig-curve"), "short.md")


def test_a_chapter_without_its_figure_is_not_cached(tmp_path, monkeypatch):
    monkeypatch.setattr(kernels_module, "FORKS", False)
    code = DRAW.replace("import tokengeom_utils", "plt.switch_backend('agg')\nimport tokengeom_utils")
    with pytest.raises(BuildError, match=r"^short.md, cell \d draws no figure, although it names fig-short"):
        execute(write_chapter(tmp_path, code), tmp_path / "out")
    assert not list((tmp_path / "out" / "chapters").iterdir())
