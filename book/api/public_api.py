"""Sphinx extension: the pages of the API reference, generated from the public names and their docstrings.

A page lists no function by hand. ``{public} ROOM`` documents what ``tokengeom_utils/__init__.pyi`` takes from one room,
``{public-module} NAME`` what a public module such as ``tg.statistics`` defines, each under the name that users call;
``{observables}`` is the table of everything a survey stores.
"""

import inspect
import re
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.pycode import ModuleAnalyzer
from sphinx.util.docutils import SphinxDirective

import tokengeom_utils as tg
from tokengeom_utils.site.words import typeset

PACKAGE = tg.__name__
# A public name in the stub: ``from .room.module import name as name``.
IMPORT = re.compile(r"^from \.([\w.]*) import (\w+) as \2$", re.M)
DOCTEST_FLAG = re.compile(r"\s*# doctest:.*$", re.M)
HEADING = re.compile(r"^(\w[\w ]*)\n-+$", re.M)


def public_names():
    """List the public names in the order of the stub.

    Returns
    -------
    dict of str to str
        The module that each name comes from, below ``tokengeom_utils``; empty for a room that is itself public.
    """
    stub = Path(tg.__file__).with_suffix(".pyi").read_text(encoding="utf-8")
    return {name: module for module, name in IMPORT.findall(stub)}


def public_modules():
    """List the public modules by the name that users call.

    Returns
    -------
    dict of str to module
    """
    found = {name: getattr(tg, name) for name in public_names()}
    return {name: value for name, value in found.items() if isinstance(value, ModuleType)}


def public_objects(room):
    """List the functions, classes and constants that one room gives to ``tg``.

    Parameters
    ----------
    room : str
        The first part of the name of a module, such as ``"clouds"``.

    Returns
    -------
    dict of str to object
        By full public name, such as ``tokengeom_utils.gride``. A constant is given by the comment that explains it.
    """
    found = {}
    for name, module in public_names().items():
        value = getattr(tg, name)
        if module.split(".")[0] == room and not name.startswith("_") and not isinstance(value, ModuleType):
            found[f"{PACKAGE}.{name}"] = value if callable(value) else comments(f"{PACKAGE}.{module}").get(name, "")
    return found


def module_objects(name):
    """List what a public module defines beyond the names that ``tg`` has itself, in the order of its source.

    Parameters
    ----------
    name : str
        Such as ``"statistics"``.

    Returns
    -------
    dict of str to object
        By full public name, such as ``tokengeom_utils.statistics.holm``. A constant is given by its comment.
    """
    module, above = public_modules()[name], {id(getattr(tg, key)) for key in public_names()}
    own = module.__name__
    parts = [value.__name__ for value in vars(module).values() if isinstance(value, ModuleType)]
    parts = [own, *(part for part in parts if part.startswith(f"{own}."))]
    explained = {key: text for part in parts for key, text in comments(part).items()}
    found = {}
    for key in getattr(module, "__all__", None) or [key for key in vars(module) if not key.startswith("_")]:
        value = getattr(module, key)
        home = getattr(value, "__module__", None) or ""
        if not callable(value) and (key in explained or hasattr(module, "__all__")):
            found[f"{PACKAGE}.{name}.{key}"] = explained.get(key, "")
        elif callable(value) and id(value) not in above and (home == own or home.startswith(f"{own}.")):
            found[f"{PACKAGE}.{name}.{key}"] = value
    return found


@cache
def comments(module):
    """Return the comments ``#:`` that explain the constants of a module, by name."""
    found = ModuleAnalyzer.for_module(module).find_attr_docs().items()
    return {name: " ".join(lines).strip() for (scope, name), lines in found if not scope}


def entries(objects):
    """Write the reST that documents some objects: constants, a line for each other object, then each at length."""
    for name, text in objects.items():
        if isinstance(text, str):
            module, _, short = name.rpartition(".")
            yield from [f".. py:data:: {short}", f"   :module: {module}", "", f"   {text}", ""]
    objects = {name: value for name, value in objects.items() if not isinstance(value, str)}
    if objects:
        yield from [".. currentmodule:: None", "", ".. autosummary::", "   :nosignatures:", ""]
        yield from [*(f"   ~{name}" for name in objects), ""]
    for name, value in objects.items():
        if inspect.isclass(value):
            kind = "autoexception" if issubclass(value, BaseException) else "autoclass"
            yield from [f".. {kind}:: {name}", "   :members:", ""]
        else:
            yield from [f".. autofunction:: {name}", ""]


class Generated(SphinxDirective):
    """A directive whose content is generated MyST text."""

    required_arguments = 1

    def run(self):
        node = nodes.Element()
        node.document = self.state.document
        source = f"{self.env.doc2path(self.env.docname)} ({self.name})"
        self.state.nested_parse(StringList(list(self.lines()), source), self.content_offset, node)
        return node.children

    def rest(self, lines):
        return ["````{eval-rst}", *lines, "````"]


class Public(Generated):
    """What one room of the package gives to ``tg``."""

    def lines(self):
        return self.rest(entries(public_objects(self.arguments[0])))


class PublicModule(Generated):
    """A public module: its docstring, its constants, its functions and classes."""

    def lines(self):
        name = self.arguments[0]
        text = HEADING.sub(r".. rubric:: \1\n", inspect.cleandoc(public_modules()[name].__doc__))
        yield from self.rest(DOCTEST_FLAG.sub("", text).split("\n"))
        yield from self.rest(entries(module_objects(name)))


class Observables(Generated):
    """The table of the variables of a survey."""

    required_arguments = 0

    def lines(self):
        names = {id(getattr(tg, name)): name for name in public_names()}
        yield "| variable | meaning | dimensions | unit | range | function | since |"
        yield "| :-- | :-- | :-- | :-- | :-- | :-- | :-- |"
        for row in tg.schema.OBSERVABLES.values():
            module, _, function = f"{PACKAGE}.{row.function}".rpartition(".")
            public = names.get(id(getattr(import_module(module), function)))
            called = f"{{py:obj}}`tg.{public} <{PACKAGE}.{public}>`" if public else f"`{function}`"
            dims = ", ".join(("prompt", "shuffle", *row.dims))
            span = typeset(f"{row.low:g} to {row.high:g}").replace("inf", "∞")
            yield f"| `{row.name}` | {row.long_name} | {dims} | {row.units} | {span} | {called} | {row.since} |"


def without_flags(app, what, name, obj, options, lines):
    """Drop the flags of doctests, which Sphinx hides so late that the code would get no links."""
    lines[:] = [DOCTEST_FLAG.sub("", line) for line in lines]


def skip_fields(app, what, name, obj, skip, options):
    """Leave out the fields of a named tuple, which its docstring explains, and Python only numbers."""
    return True if (inspect.getdoc(obj) or "").startswith("Alias for field number") else None


def setup(app):
    """Register the directives and the handlers."""
    app.connect("autodoc-process-docstring", without_flags)
    app.connect("autodoc-skip-member", skip_fields)
    app.add_directive("public", Public)
    app.add_directive("public-module", PublicModule)
    app.add_directive("observables", Observables)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
