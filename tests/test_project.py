"""The project as a whole: pins agree, layers hold, sources are clean."""

import ast
import re
import subprocess
import sys
import tomllib
from importlib import metadata

import jupytext
import pytest
import yaml
from conftest import PROJECT
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version
from tokengeom_utils.site.build import chapters

PYPROJECT = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
EXTRAS = PYPROJECT["optional-dependencies"]
PINS = {
    canonicalize_name(name): version
    for name, version in re.findall(r"^([\w.-]+)==(\S+)$", (PROJECT / "constraints.txt").read_text(), re.M)
}
REQUIREMENTS = [Requirement(r) for r in [*PYPROJECT["dependencies"], *(r for extra in EXTRAS.values() for r in extra)]]


# (torch for CUDA asks for one version of triton, torch for a CPU for none.)
@pytest.mark.parametrize("requirement", [r for r in REQUIREMENTS if r.name != "triton"], ids=lambda r: r.name)
def test_every_requirement_is_pinned_within_its_range(requirement):
    pinned = PINS[canonicalize_name(requirement.name)]
    assert requirement.specifier.contains(pinned, prereleases=True)
    assert "+" not in pinned  # a local build is not on the plain index


def test_environment_yml_installs_the_same():
    environment = yaml.safe_load((PROJECT / "environment.yml").read_text())["dependencies"]
    python = next(d for d in environment if isinstance(d, str) and d.startswith("python=")).split("=")[1]
    assert SpecifierSet(PYPROJECT["requires-python"]).contains(Version(python))
    pip = next(d["pip"] for d in environment if isinstance(d, dict))
    assert "-c constraints.txt" in pip and f"-e .[{','.join(EXTRAS)}]" in pip
    for name, pinned in re.findall(r"^([\w-]+)==(\S+)$", "\n".join(pip), re.M):
        assert PINS[canonicalize_name(name)] == pinned


def test_the_manifest_and_the_pins_name_the_same_packages():
    from tokengeom_utils.prompts.load import read_pocket_manifest

    used = {(canonicalize_name(row["package"]), row["version"]) for row in read_pocket_manifest()}
    declared = {(canonicalize_name(r.name), PINS[canonicalize_name(r.name)]) for r in map(Requirement, EXTRAS["pocket"])}
    assert used == declared


def test_importing_the_package_is_cheap():
    code = "import sys, tokengeom_utils; print(*{m.split('.')[0] for m in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "transformers", "numpy", "xarray", "matplotlib", "jupyter_book"} & set(loaded)


def test_every_public_name_exists_and_is_documented():
    import tokengeom_utils as tg

    for name in tg.__all__:
        assert getattr(tg, name).__doc__, name


def test_what_the_chapters_import_comes_with_the_book():
    """And not only with the tests, which the machine that runs them has installed too."""
    wanted = [*PYPROJECT["dependencies"], *(r for extra in ("book", "cluster", "data", "pocket") for r in EXTRAS[extra])]
    installed = set()
    while wanted:
        requirement = Requirement(wanted.pop())
        name = canonicalize_name(requirement.name)
        if name not in installed and (not requirement.marker or requirement.marker.evaluate({"extra": ""})):
            installed.add(name)
            wanted += metadata.requires(name) or []
    homes = metadata.packages_distributions()
    for path in chapters(PROJECT):
        for cell in jupytext.read(path).cells:
            for name in re.findall(r"^(?:import|from) (\w+)", cell.source if cell.cell_type == "code" else "", re.M):
                if name not in sys.stdlib_module_names and name != "tokengeom_utils":
                    assert installed & {canonicalize_name(home) for home in homes[name]}, (path.name, name)


def tracked():
    listed = subprocess.run(["git", "ls-files"], cwd=PROJECT, capture_output=True, text=True).stdout.split("\n")
    return [PROJECT / name for name in listed if name and (PROJECT / name).is_file()]


def test_sources_name_no_machine_and_no_private_folder():
    words = re.compile("|".join(["/wor" + "k/", r"\.\./sha" + "red", "/tm" + "p/", "/roo" + "t/"]))
    for path in tracked():
        if path.suffix not in (".png", ".svg"):
            assert not words.search(path.read_text(encoding="utf-8", errors="replace")), path  # chunks are no text


@pytest.mark.parametrize("source", chapters(PROJECT), ids=lambda s: s.stem)
def test_chapter_source(source):
    notebook = jupytext.read(source)
    assert notebook.metadata["kernelspec"]["language"] == "python"
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert sum("parameters" in cell.metadata.get("tags", []) for cell in code) == 1
    for cell in code:
        draws = "plt.show()" in cell.source
        figure = cell.metadata.get("mystnb", {})
        assert draws == ("figure" in figure), cell.source[:200]
        if draws:
            assert len(figure["image"]["alt"]) > 20 and figure["figure"]["caption"] and figure["figure"]["name"]
        for word in ("warnings.filterwarnings", "%matplotlib", "!pip"):
            assert word not in cell.source
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    assert "## What to take away" in text


def test_readme_has_the_two_commands_and_the_makefile_has_them_too():
    readme, makefile = (PROJECT / "README.md").read_text(), (PROJECT / "Makefile").read_text()
    for target in ("book", "test"):
        assert f"make {target}" in readme and re.search(rf"^{target}:", makefile, re.M)
    screen = "\n".join(readme.splitlines()[:45])
    assert "make book" in screen and "![" in screen
