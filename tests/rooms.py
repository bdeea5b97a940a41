"""The rooms of the package, read from its imports, and the picture of them in CONTRIBUTING.md.

Run this file to renew the picture.
"""

import ast
import re
from functools import cache
from pathlib import Path

PROJECT = Path(__file__).parents[1]
PACKAGE = PROJECT / "tokengeom_utils"
PAGE = PROJECT / "CONTRIBUTING.md"
#: modules at the top of the package, from the bottom up; any room may import them
GROUND = ("version", "errors", "paths", "processor", "console", "schema")
#: from the bottom up: a room imports only from itself and from the rooms before it
ROOMS = (
    *GROUND,
    "clouds",
    "models",
    "prompts",
    "surveys",
    "theory",
    "claims",
    "check",
    "site",
    "reports",
    "classes",
    "cli",
)


@cache
def modules() -> dict[str, Path]:
    """Every module of the package by dotted name; a subpackage's ``__init__.py`` under the subpackage's name."""
    names = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PROJECT).with_suffix("").parts
        names[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return names


def imports(name: str, source: str | None = None) -> set[str]:
    """The modules of the package that a module imports, at its top or inside a function."""
    path = modules()[name]
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    found = set()
    for node in ast.walk(ast.parse(source or path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            target = ".".join([*base, *([node.module] if node.module else [])])
            submodules = {alias.name: f"{target}.{alias.name}" for alias in node.names}
            found |= {full if full in modules() else target for full in submodules.values()}
    return {target for target in found if target.split(".")[0] == PACKAGE.name and target != name}


def room(name: str) -> str:
    """The room of a module; empty for the package's own ``__init__.py``."""
    return name.split(".")[1] if "." in name else ""


def picture() -> str:
    """The rooms and their imports as a Mermaid diagram: a box per room, an arrow to each room that it imports."""
    counts, arrows = {}, set()
    for name in modules():
        here = _box(room(name))
        counts[here] = counts.get(here, 0) + 1
        arrows |= {(here, _box(room(target))) for target in imports(name)}
    order = ["cli", *(name for name in reversed(ROOMS) if name not in (*GROUND, "cli")), "ground"]
    labels = {name: f"<b>{name}</b><br>{counts[name]} module{'s' * (counts[name] > 1)}" for name in order}
    labels["ground"] = f"<b>{', '.join(GROUND)}</b><br>{counts['ground']} modules"
    boxes = [f'    {name}["{labels[name]}"]' for name in order]
    lines = [f"    {a} --> {b}" for a in order for b in order if a != b and (a, b) in arrows]
    return "\n".join(["```mermaid", "flowchart TD", *boxes, *lines, "```"])


def _box(name: str) -> str:
    """The box of the diagram that shows a room."""
    return "ground" if name in GROUND else name


def renewed(page: str) -> str:
    """The text of a page with its diagram drawn again."""
    return re.sub(r"```mermaid\n.*?^```$", lambda _: picture(), page, count=1, flags=re.M | re.S)


if __name__ == "__main__":
    PAGE.write_text(renewed(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
