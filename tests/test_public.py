"""The public face: what editors complete is what there is, annotated and documented."""

import ast
import inspect
import re
import subprocess
import sys
from importlib import import_module

import pytest
from conftest import PROJECT

import tokengeom_utils as tg
from tokengeom_utils.site.build import chapters

STUB = ast.parse((PROJECT / "tokengeom_utils" / "__init__.pyi").read_text())
LISTED = {alias.name: node.module for node in STUB.body if isinstance(node, ast.ImportFrom) for alias in node.names}
FUNCTIONS = [name for name in LISTED if inspect.isfunction(getattr(tg, name))]
CLASSES = [name for name in LISTED if inspect.isclass(getattr(tg, name))]
MODULES = [name for name in LISTED if inspect.ismodule(getattr(tg, name))]
TITLES = {re.search(r"^# (.+)$", path.read_text(), re.M)[1] for path in chapters(PROJECT)}


def test_the_stub_lists_every_public_name_once_and_under_its_own_name():
    aliases = [alias for node in STUB.body if isinstance(node, ast.ImportFrom) for alias in node.names]
    assert all(alias.asname == alias.name for alias in aliases)  # otherwise a type checker takes it for private
    names = [alias.name for alias in aliases]
    assert len(set(names)) == len(names) and sorted(names) == tg.__all__ and set(names) <= set(dir(tg))


@pytest.mark.parametrize("name", LISTED)
def test_a_public_name_is_what_the_stub_says(name):
    home = import_module(f"tokengeom_utils.{LISTED[name]}") if LISTED[name] else tg
    assert getattr(tg, name) is getattr(home, name)
    if name != "__version__":
        assert getattr(tg, name).__doc__


@pytest.mark.parametrize(
    "name", ["results", "statistics", "transport", "logits", "extract", "check", "claims", "figures"]
)
def test_public_modules_work_in_a_fresh_process(name):
    code = f"import tokengeom_utils as tg; print(tg.{name}.__name__, dir(tg.{name}) != [])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert found.split()[0].endswith(name) and found.split()[1] == "True"


def test_a_wrong_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="nearest_neighbours"):
        _ = tg.nearest_neighbours


def test_the_package_says_that_it_is_typed():
    assert (PROJECT / "tokengeom_utils" / "py.typed").is_file()


def public_functions_of(module):
    """Functions that a public module defines itself or brings from below, without those of other packages."""
    return [
        value
        for name, value in vars(module).items()
        if inspect.isfunction(value) and not name.startswith("_") and value.__module__.startswith(module.__name__)
    ]


ANNOTATED = {name: getattr(tg, name) for name in FUNCTIONS}
ANNOTATED |= {f"{name}.{f.__name__}": f for name in MODULES for f in public_functions_of(getattr(tg, name))}
ANNOTATED |= {
    f"{name}.{method}": f
    for name in CLASSES
    for method, f in vars(getattr(tg, name)).items()
    if inspect.isfunction(f) and not method.startswith("_") and f.__module__.startswith("tokengeom")
}


@pytest.mark.parametrize("name", ANNOTATED)
def test_public_functions_are_annotated(name):
    signature = inspect.signature(ANNOTATED[name])
    missing = [
        p for p, about in signature.parameters.items() if about.annotation is about.empty and p not in ("self", "cls")
    ]
    assert not missing and signature.return_annotation is not signature.empty, missing


@pytest.mark.parametrize("name", FUNCTIONS)
def test_public_docstrings_are_complete(name):
    """Shapes and errors are for a reader to judge; that the parts are there is for this test."""
    function = getattr(tg, name)
    text = inspect.getdoc(function)
    signature = inspect.signature(function)
    assert signature.return_annotation in (None, "None") or re.search(r"^(Returns|Yields)\n-+$", text, re.M), (
        "no Returns"
    )
    assert re.search(r"^See Also\n-+$", text, re.M), "no See Also"
    assert re.search(r"^Examples\n-+$", text, re.M) and ">>>" in text.split("Examples\n---")[1], "no example"
    listed = re.search(r"^Parameters\n-+\n(.*?)(?=^\w[^\n]*\n-{3,}$|\Z)", text, re.M | re.S)
    lines = re.findall(r"^(\*{0,2}\w[\w, *]*?)(?: :|$)", listed[1] if listed else "", re.M)
    missing = set(signature.parameters) - {one.strip(" *") for line in lines for one in line.split(",")}
    assert not missing, missing


@pytest.mark.parametrize("name", [name for name in FUNCTIONS if name != "tiny_model"])  # of the examples alone
def test_docstrings_name_a_chapter_of_the_book(name):
    text = " ".join(inspect.getdoc(getattr(tg, name)).split())
    named = re.findall(r"chapters? ((?:\*[^*]+\*(?:,| and)? ?)+)", text)
    titles = {title for some in named for title in re.findall(r"\*([^*]+)\*", some)}
    assert titles and titles <= TITLES, titles - TITLES
