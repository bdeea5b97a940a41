"""No function is long, and none takes many parameters."""

import ast

import pytest
from rooms import modules

LINES, PARAMETERS = 60, 12
#: whose parameters are the options of a command, or the pointers and constants of a GPU program
MANY = ("tokengeom_utils.cli", "tokengeom_utils.clouds.kernels.gpu")


def functions(name):
    tree = ast.parse(modules()[name].read_text(encoding="utf-8"))
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def lines(node):
    """Lines of a function without its signature and its docstring."""
    first = node.body[0]
    documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    return node.end_lineno - (first.end_lineno if documented else first.lineno - 1)


@pytest.mark.parametrize("name", sorted(modules()))
def test_functions_are_short(name):
    assert not {node.name: lines(node) for node in functions(name) if lines(node) > LINES}


@pytest.mark.parametrize("name", sorted(n for n in modules() if not n.startswith(MANY)))
def test_functions_take_few_parameters(name):
    taken = {f.name: len(f.args.posonlyargs + f.args.args + f.args.kwonlyargs) for f in functions(name)}
    assert not {name: number for name, number in taken.items() if number > PARAMETERS}
