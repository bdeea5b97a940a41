"""The rooms of the package: imports point one way, without circles, and the numerics stay free of files and plots."""

import ast
import sys
from functools import cache
from graphlib import CycleError, TopologicalSorter

import pytest
from conftest import PROJECT

PACKAGE = PROJECT / "tokengeom_utils"
#: from the ground up: a room imports from itself and from those before it
ROOMS = ("version", "errors", "paths", "processor", "console", "schema", "clouds", "models", "prompts", "surveys",
         "theory", "claims", "check", "site", "cli")


@cache
def modules():
    """Every module of the package by its dotted name; a package's own file under the package's name."""
    names = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PROJECT).with_suffix("").parts
        names[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return names


def imports(name, source=None):
    """The modules of the package that a module imports, wherever in it the import stands."""
    path = modules()[name]
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    found = set()
    for node in ast.walk(ast.parse(source or path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            target = ".".join([*base, *([node.module] if node.module else [])])
            found |= {f"{target}.{alias.name}" if f"{target}.{alias.name}" in modules() else target for alias in node.names}
    return {target for target in found if target.split(".")[0] == PACKAGE.name and target != name}


def room(name):
    return name.split(".")[1] if "." in name else ""


def test_every_module_is_in_a_room():
    assert {room(name) for name in modules()} - {""} == set(ROOMS)


@pytest.mark.parametrize("name", sorted(modules()))
def test_imports_point_to_rooms_below(name):
    if room(name):
        allowed = ROOMS[: ROOMS.index(room(name)) + 1]
        upward = {target for target in imports(name) if room(target) not in allowed}
        assert not upward, f"{name} imports {', '.join(sorted(upward))}"


def test_no_circle():
    graph = {name: imports(name) for name in modules()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" <- ".join(error.args[1]))


def test_an_import_inside_a_function_counts():
    source = "def f():\n    from ..site.build import build_book\n"
    assert imports("tokengeom_utils.clouds.cosine", source) == {"tokengeom_utils.site.build"}


NUMERICS = ["schema", *(name.removeprefix("tokengeom_utils.") for name in modules() if ".clouds." in name),
            "models.predictions", "prompts.shuffle", "theory.meanfield", "theory.statistics"]


@pytest.mark.parametrize("name", NUMERICS)
def test_numerics_know_nothing_of_models_files_or_plots(name):
    """Compiled code only on its own path; xarray where results are labeled."""
    allowed = {"torch", "numpy", "scipy", PACKAGE.name, *sys.stdlib_module_names}
    allowed |= {"numba"} if ".cpu." in name else {"triton"} if ".gpu." in name else set()
    allowed |= {"xarray"} if name in ("theory.statistics", "clouds.observer") else set()
    allowed |= {"lazy_loader"} if name == "clouds" else set()
    for node in ast.walk(ast.parse(modules()[f"{PACKAGE.name}.{name}"].read_text())):
        if isinstance(node, ast.Import):
            assert {alias.name.split(".")[0] for alias in node.names} <= allowed
        elif isinstance(node, ast.ImportFrom) and not node.level:
            assert node.module.split(".")[0] in allowed
