"""Checkers in a notebook, whose cells run in a kernel."""

import nbformat
import pytest
from conftest import UNMEASURED

CELLS = [
    "import numpy as np\nimport tokengeom_utils as tg\nfrom tokengeom_utils.check import answer",
    "def chance(k, n):\n    return k / (n - 1)\n\ntg.check.chance_overlap(chance, points=3)",
    "def wrong(k, n):\n    return k / n\n\ntg.check.chance_overlap(wrong, points=3)",
    "answer.LIMIT = 0.5\n\ndef endless(k, n):\n    while True:\n        n = n + 1\n\ntg.check.chance_overlap(endless)",
    "def stops(k, n):\n    n = n + 1\n    return n / 0\n\ntg.check.chance_overlap(stops)",
    "answer.LIMIT = 60\n"
    "def warns(k, n):\n    return k / (n - 1) + 0 * np.log(np.zeros(1))[0].clip(0)\n\n"
    "tg.check.chance_overlap(warns, points=3)",
    "tg.check.chance_overlap(chance)",
]


@pytest.fixture(scope="module")
def outputs():
    """The output of each of the cells."""
    from nbclient import NotebookClient

    cells = [nbformat.v4.new_code_cell(source, id=f"cell-{number}") for number, source in enumerate(CELLS)]
    notebook = nbformat.v4.new_notebook(cells=cells)
    NotebookClient(notebook, timeout=600, kernel_name="python3", allow_errors=True).execute(env=UNMEASURED)
    return [cell.outputs for cell in notebook.cells]


def test_a_graded_cell_ends_with_its_points(outputs):
    printed, result = outputs[1]
    assert printed.text == "correct\n" and result.output_type == "execute_result"
    assert result.data["text/plain"] == "3.0"


def test_a_wrong_answer_is_an_error_of_one_line(outputs):
    (error,) = outputs[2]
    assert error.output_type == "error" and error.ename == "NotYet"
    assert len(error.traceback) == 1 and error.traceback[0].startswith("not yet: a token is never its own neighbor")


def test_an_endless_loop_ends_and_the_kernel_goes_on(outputs):
    (result,) = outputs[3]
    assert "not ready after 0.5 seconds (in line " in result.data["text/plain"]
    (result,) = outputs[6]
    assert result.data["text/plain"] == "correct"


def test_an_error_comes_with_the_line_of_the_cell(outputs):
    (result,) = outputs[4]
    assert "ZeroDivisionError: division by zero (in line 3: return n / 0)" in result.data["text/plain"]


def test_a_warning_of_numpy_is_not_in_the_output(outputs):
    assert [output.output_type for output in outputs[5]] == ["stream", "execute_result"]
    assert outputs[5][0].name == "stdout" and outputs[5][1].data["text/plain"] == "3.0"
