"""The project as a whole: its requirements agree, its sources are clean, and its pages can be followed as written."""

import json
import re
import shlex
import subprocess
import sys
import tomllib
from importlib import metadata

import jupytext
import pytest
import typer
import yaml
from conftest import PROJECT
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

import tokengeom_utils as tg
from tokengeom_utils.cli import app
from tokengeom_utils.site.build import chapters

PYPROJECT = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
EXTRAS = PYPROJECT["optional-dependencies"]
PINS = {
    canonicalize_name(name): version
    for name, version in re.findall(r"^([\w.-]+)==(\S+)$", (PROJECT / "constraints.txt").read_text(), re.M)
}
REQUIREMENTS = [Requirement(r) for r in [*PYPROJECT["dependencies"], *(r for extra in EXTRAS.values() for r in extra)]]


# (A CUDA build of torch requires one version of triton, a CPU build none.)
@pytest.mark.parametrize("requirement", [r for r in REQUIREMENTS if r.name != "triton"], ids=lambda r: r.name)
def test_every_requirement_is_pinned_within_its_range(requirement):
    pinned = PINS[canonicalize_name(requirement.name)]
    assert requirement.specifier.contains(pinned, prereleases=True)
    assert "+" not in pinned  # the default index has no local builds


def test_every_pinned_package_can_be_installed_on_the_oldest_python():
    """Python 3.11 means 3.11.0, too: Debian 12 has 3.11.2."""
    oldest = next(iter(SpecifierSet(PYPROJECT["requires-python"]))).version
    for package in metadata.distributions():
        if PINS.get(canonicalize_name(package.name)) == package.version:
            wanted = SpecifierSet(package.metadata.get("Requires-Python") or "")
            assert wanted.contains(f"{oldest}.0"), f"{package.name} {package.version} asks for Python {wanted}"


def test_contributing_gives_the_purpose_of_every_requirement():
    table = (PROJECT / "CONTRIBUTING.md").read_text(encoding="utf-8").split("## Dependencies")[1]
    explained = [name for cell in re.findall(r"^\| (\w[\w., -]*) \|", table, re.M)[1:] for name in cell.split(", ")]
    assert len(set(explained)) == len(explained)
    assert {canonicalize_name(name) for name in explained} == {canonicalize_name(r.name) for r in REQUIREMENTS}


def test_environment_yml_installs_the_same():
    environment = yaml.safe_load((PROJECT / "environment.yml").read_text())["dependencies"]
    python = next(d for d in environment if isinstance(d, str) and d.startswith("python=")).split("=")[1]
    assert SpecifierSet(PYPROJECT["requires-python"]).contains(Version(python))
    pip = next(d["pip"] for d in environment if isinstance(d, dict))
    assert "-c constraints.txt" in pip and f"-e .[{','.join(EXTRAS)}]" in pip
    for name, pinned in re.findall(r"^([\w-]+)==(\S+)$", "\n".join(pip), re.M):
        assert PINS[canonicalize_name(name)] == pinned


def test_importing_the_package_is_cheap():
    code = "import sys, tokengeom_utils; print(*{m.split('.')[0] for m in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "transformers", "numpy", "xarray", "matplotlib", "jupyter_book"} & set(loaded)


def test_every_public_name_exists_and_is_documented():
    for name in tg.__all__:
        assert getattr(tg, name).__doc__, name


def test_what_the_chapters_import_comes_with_the_book():
    """The extra for the tests is installed wherever the tests run, so it could hide a missing requirement."""
    wanted = [
        *PYPROJECT["dependencies"],
        *(r for extra in ("book", "cluster", "data") for r in EXTRAS[extra]),
    ]
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
    assert notebook.metadata["language_info"]["name"] == "python"  # JupyterLab then starts the kernel without asking
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


# --- pages that people follow ---

GUIDES = {
    name: (PROJECT / name).read_text(encoding="utf-8")
    for name in (
        "README.md",
        "CONTRIBUTING.md",
        "book/rerun.md",
        "book/teaching.md",
        "benchmarks/README.md",
        "data/README.md",
    )
}
COMMANDS = sorted(
    {
        re.split(r"\s{2,}#|[;&]|`", command)[0].strip()
        for text in GUIDES.values()
        for command in re.findall(r"\btokengeom ([a-z-]+ [^`\n]+)", text.replace("\\\n", ""))
    }
)


def test_the_guides_name_every_command():
    named = {command.split()[0] for command in COMMANDS}
    assert named >= set(typer.main.get_command(app).commands) - {"fetch-model", "fetch-texts"} and len(COMMANDS) > 10


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_guides_is_understood(command):
    name, *arguments = shlex.split(command)
    typer.main.get_command(app).commands[name].make_context(name, arguments)


@pytest.mark.parametrize("name", GUIDES)
def test_targets_and_links_of_the_guides_exist(name):
    makefile = (PROJECT / "Makefile").read_text()
    for target in re.findall(r"(?:`|^ *)make ([a-z-]+)", GUIDES[name], re.M):
        assert re.search(rf"^{target}:", makefile, re.M), f"make {target}"
    for link in re.findall(r"\]\((?!https?:)([^)#]+)\)", GUIDES[name]):
        assert ((PROJECT / name).parent / link).exists(), link


@pytest.mark.parametrize("name", GUIDES)
def test_paths_in_the_guides_exist(name):
    places = [PROJECT, PROJECT / "tokengeom_utils", (PROJECT / name).parent]
    for path in re.findall(r"(?<!})`((?:[\w.-]+/)+[\w.-]*)`", GUIDES[name]):  # pages in roles are for Sphinx to find
        if not path.startswith(("_build/", "my-")):
            assert any((place / path).exists() for place in places), path


def test_the_code_of_the_readme_runs(model, tmp_path, monkeypatch):
    """Comments give the shapes."""
    prompts = tg.load_prompts("pocket", n=1)
    rows = [json.dumps({"id": prompt.id, "domain": prompt.domain, "text": prompt.text}) for prompt in prompts]
    (tmp_path / "my-texts.jsonl").write_text("\n".join(rows), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in re.findall(r"^```python\n(.*?)^```$", GUIDES["README.md"], re.M | re.S):
        for line in filter(None, block.splitlines()):
            code, _, comment = line.partition("#")
            value = eval(code, names) if _is_expression(code) else exec(code, names)
            if shape := re.fullmatch(r"\s*\((.*?),?\)", comment):
                assert value.ndim == len(shape[1].split(", ")), line
    assert names["clouds"].hidden.ndim == 3
    assert tg.open_results("mine.zarr").sizes["prompt"] == 1


def _is_expression(code):
    try:
        return bool(compile(code.strip(), "README.md", "eval"))
    except SyntaxError:
        return False


def test_the_example_on_the_first_page_is_current():
    block = re.search(r"^```python\n(.*?)^```$", (PROJECT / "book" / "index.md").read_text(), re.M | re.S)[1]
    *setup, call, answer = filter(None, block.splitlines())
    names = {}
    exec("\n".join(setup), names)
    assert answer == f"# {eval(call, names)}"
