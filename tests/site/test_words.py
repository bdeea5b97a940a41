"""Numbers in sentences: the digits that count, minus signs, powers of ten; values inside Markdown."""

import ast
import builtins

import jupytext
import nbformat
import papermill
import pytest
from conftest import PROJECT

from tokengeom_utils.site.build.contents import chapters
from tokengeom_utils.site.values import expressions
from tokengeom_utils.site.words import number, typeset


@pytest.mark.parametrize(
    "value, options, text",
    [
        (0, {}, "0"),
        (-0.0712, {}, "−0.071"),
        (0.999, {}, "1.0"),
        (9.96, {}, "10"),
        (12345.6, {}, "12,346"),
        (9e-7, {"digits": 1}, "9 × 10⁻⁷"),
        (-2.34e8, {}, "−2.3 × 10⁸"),
        (0.0623, {"error": 0.011}, "0.062"),
        (3.14159, {"error": 0.1}, "3.14"),
        (0.01, {"error": 0.5}, "0.01"),
        (float("nan"), {}, "undefined"),
        (float("-inf"), {}, "−infinity"),
    ],
)
def test_a_number_has_the_digits_that_count(value, options, text):
    assert number(value, **options) == text


@pytest.mark.parametrize(
    "text, wanted",
    [
        ("from -0.04 to 0.47, (-3) and **-.5**", "from −0.04 to 0.47, (−3) and **−.5**"),
        ("1e-07, -2.5e+03, 0e+00, 1e+00", "1 × 10⁻⁷, −2.5 × 10³, 0, 1"),
        ("7.914859054371568e-15", "7.91 × 10⁻¹⁵"),
    ],
)
def test_minus_signs_and_powers_of_ten(text, wanted):
    assert typeset(text) == wanted


@pytest.mark.parametrize(
    "text",
    [
        "`x = -1e-07`",
        "$x = -1$ and $$y = -2$$",
        "```\n-1e-07\n```",
        "{cite:p}`a-1` and {numref}`fig-1`",
        "[a page](page-1.html#-2)",
        "GPT-2, 2026-11-27, layers 3-5, a top-10 list",
        "- 5 items\n- 6 items",
        "version 1e6a",
        '<span data-x="-1">',
    ],
)
def test_what_is_no_number_stays(text):
    assert typeset(text) == text


def run(tmp_path, *cells):
    """Execute cells, Markdown where they do not begin with a %; return their sources."""
    made = [
        nbformat.v4.new_code_cell(cell[1:]) if cell.startswith("%") else nbformat.v4.new_markdown_cell(cell)
        for cell in cells
    ]
    notebook = nbformat.v4.new_notebook(cells=made)
    nbformat.write(notebook, tmp_path / "in.ipynb")
    papermill.execute_notebook(
        tmp_path / "in.ipynb", tmp_path / "out.ipynb", engine_name="inline", kernel_name="python3", progress_bar=False
    )
    return [cell.source for cell in nbformat.read(tmp_path / "out.ipynb", 4).cells]


def test_values_inside_sentences(tmp_path):
    _, text, again = run(
        tmp_path,
        "%x, names = -1e-7, ['a', 'b']",
        "At {eval}`x` see {eval}``', '.join(f'{{cite:p}}`{name}`' for name in names)``{eval}`'' if x else '!'`.",
        "{eval}`x * 2` in\nthe {eval}`next line`".replace("next line", "len(\nnames)"),
    )
    assert text == "At −1 × 10⁻⁷ see {cite:p}`a`, {cite:p}`b`."
    assert again == "−2 × 10⁻⁷ in\nthe 2"


def test_a_wrong_expression_is_named(tmp_path):
    with pytest.raises(papermill.PapermillExecutionError, match="name 'absent' is not defined") as error:
        run(tmp_path, "It is {eval}`absent + 1`.")
    assert error.value.source == "absent + 1"


@pytest.mark.parametrize("path", chapters(PROJECT), ids=lambda path: path.stem)
def test_every_name_in_a_sentence_is_bound_in_a_cell_above(path):
    bound = set(dir(builtins))
    for cell in jupytext.read(path, fmt="md:myst").cells:
        if cell.cell_type == "code":
            bound |= {name for node in ast.walk(ast.parse(cell.source)) for name in names(node)}
            continue
        for expression in expressions(cell.source):
            tree = ast.parse(f"(\n{expression}\n)", mode="eval")
            own = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
            used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
            assert used <= bound | own, f"{expression}: {used - bound - own}"


def names(node):
    """The names that a node of a program binds."""
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        return [node.id]
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        return [node.name]
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return [(alias.asname or alias.name).split(".")[0] for alias in node.names]
    return []
