"""The rooms of the package: imports point one way, without cycles, and the numerics import no models or plots."""

import ast
import sys
from graphlib import CycleError, TopologicalSorter

import pytest
from rooms import PACKAGE, PAGE, ROOMS, imports, modules, picture, renewed, room


def test_every_module_is_in_a_room():
    assert {room(name) for name in modules()} - {""} == set(ROOMS)


@pytest.mark.parametrize("name", sorted(modules()))
def test_imports_point_to_rooms_below(name):
    if room(name):
        allowed = ROOMS[: ROOMS.index(room(name)) + 1]
        upward = {target for target in imports(name) if room(target) not in allowed}
        assert not upward, f"{name} imports {', '.join(sorted(upward))}"


def test_imports_form_no_cycle():
    graph = {name: imports(name) for name in modules()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" <- ".join(error.args[1]))


def test_an_import_inside_a_function_counts():
    source = "def f():\n    from ..site.build import build_book\n"
    assert imports("tokengeom_utils.clouds.cosine", source) == {"tokengeom_utils.site.build"}


def test_the_picture_of_the_rooms_is_current():
    assert picture() in PAGE.read_text(encoding="utf-8"), "renew it with  .venv/bin/python tests/rooms.py"


def test_renewing_the_picture_leaves_the_rest_of_the_page_alone():
    page = "before\n\n```mermaid\nflowchart TD\n    old\n```\n\nafter\n"
    assert renewed(page) == f"before\n\n{picture()}\n\nafter\n"


#: the modules whose mathematics any program could use
NUMERICS = ("schema", "clouds", "models.predictions", "prompts.shuffle", "theory.meanfield", "theory.statistics")


def is_numerics(name):
    return any(f"{name}.".startswith(f"{PACKAGE.name}.{prefix}.") for prefix in NUMERICS)


@pytest.mark.parametrize("name", sorted(filter(is_numerics, modules())))
def test_numerics_import_no_models_files_or_plots(name):
    """Compilers are imported only on their own path, xarray only where results are labeled."""
    allowed = {"torch", "numpy", "scipy", "lazy_loader", PACKAGE.name, *sys.stdlib_module_names}
    allowed |= {"numba"} if ".cpu." in name else {"triton"} if ".gpu." in name else set()
    allowed |= {"xarray"} if ".statistics." in name or name.endswith(".clouds.observer") else set()
    for node in ast.walk(ast.parse(modules()[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            assert {alias.name.split(".")[0] for alias in node.names} <= allowed
        elif isinstance(node, ast.ImportFrom) and not node.level:
            assert node.module.split(".")[0] in allowed
