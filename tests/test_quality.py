"""The quality gate is one list of commands, its exceptions have reasons, and the files about the project agree."""

import re
import tomllib

import pytest
import typer
import yaml
from conftest import PROJECT

from tokengeom_utils.cli import app
from tokengeom_utils.version import __version__

PYPROJECT = (PROJECT / "pyproject.toml").read_text(encoding="utf-8")
MAKEFILE = (PROJECT / "Makefile").read_text(encoding="utf-8")
WORKFLOW = (PROJECT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
CITATION = yaml.safe_load((PROJECT / "CITATION.cff").read_text(encoding="utf-8"))
PAGES = [
    *PROJECT.glob("*.md"),
    *(PROJECT / "book").rglob("*.md"),
    *(PROJECT / "data").rglob("README.md"),
    PROJECT / "benchmarks" / "README.md",
]


def recipe(target):
    """The prerequisites and the commands of a target of the Makefile."""
    found = re.search(rf"^{target}:(.*)\n((?:\t.*\n)+)", MAKEFILE, re.M)
    assert found, f"the Makefile has no target {target}"
    return found[1].split(), found[2]


# --- the gate ---


def test_make_lint_runs_every_tool_on_everything():
    _, commands = recipe("lint")
    for command in ("ruff check", "ruff format --check", "mypy", "sp-repo-review"):
        assert re.search(rf"^\t\$\(BIN\)/{command}\b", commands, re.M), f"{command}, with its name echoed by make"


def test_make_test_runs_the_gate_and_measures_coverage():
    prerequisites, commands = recipe("test")
    assert "lint" in prerequisites and "site-tests survey-tests library-tests" in commands
    for part in ("site-tests", "survey-tests", "library-tests"):
        assert "/coverage run -m pytest" in recipe(part)[1]
    assert commands.index("/coverage erase") < commands.index("/coverage combine") < commands.index("/coverage report")
    assert tomllib.loads(PYPROJECT)["tool"]["coverage"]["report"]["fail_under"] >= 95


def test_the_hook_before_a_commit_runs_the_same_command():
    (repository,) = yaml.safe_load((PROJECT / ".pre-commit-config.yaml").read_text())["repos"]
    assert repository["repo"] == "local" and [hook["entry"] for hook in repository["hooks"]] == ["make lint"]


@pytest.mark.parametrize("section", ["tool.ruff.lint", "tool.repo-review"])
def test_every_exception_has_its_reason_beside_it(section):
    ignored = re.search(rf"^\[{section}\]\n.*?^ignore = \[\n(.*?)^\]", PYPROJECT, re.M | re.S)[1].splitlines()
    assert ignored and all(re.search(r"^  \"[A-Z]+\d+\", # \w.{3,}", line) for line in ignored)


# --- the workflow ---


def test_the_workflow_tests_builds_and_publishes():
    jobs = yaml.safe_load(WORKFLOW)["jobs"]
    steps = {name: [step.get("run", step.get("uses")) for step in job["steps"]] for name, job in jobs.items()}
    assert any(step.startswith("make test") for step in steps["test"])
    assert any("tokengeom book" in step for step in steps["book"])
    assert jobs["publish"]["needs"] == ["test", "systems", "book"] and "actions/deploy-pages" in steps["publish"][-1]


def test_the_workflow_runs_on_windows_and_macos():
    """Nothing there needs make or a folder of Unix; the tests exist, and the commands are understood."""
    job = yaml.safe_load(WORKFLOW)["jobs"]["systems"]
    assert job["strategy"]["matrix"]["os"] == ["windows-latest", "macos-latest"]
    commands = [step["run"] for step in job["steps"] if "run" in step]
    assert not [command for command in commands if "make" in command or ".venv/bin" in command or "'" in command]
    (tests,) = [command for command in commands if "pytest" in command]
    assert all((PROJECT / name).exists() for name in tests.split()[3:])
    for command in commands:
        name, *arguments = command.split()
        if name == "tokengeom":
            typer.main.get_command(app).commands[arguments[0]].make_context(arguments[0], arguments[1:])


def test_the_workflow_uses_official_actions_and_the_least_permissions():
    workflow = yaml.safe_load(WORKFLOW)
    assert workflow["permissions"] == {"contents": "read"}
    more = {name: job["permissions"] for name, job in workflow["jobs"].items() if "permissions" in job}
    assert more == {"publish": {"pages": "write", "id-token": "write"}}
    assert all(re.fullmatch(r"actions/[a-z-]+@v\d+", used) for used in re.findall(r"uses: (\S+)", WORKFLOW))
    assert "secrets." not in WORKFLOW


def test_the_files_of_the_repository_host_are_valid():
    forms = sorted((PROJECT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
    assert len(forms) >= 3
    for form in map(yaml.safe_load, (path.read_text() for path in forms if path.name != "config.yml")):
        assert form["name"] and form["description"] and form["body"]
    updates = yaml.safe_load((PROJECT / ".github" / "dependabot.yml").read_text())["updates"]
    assert {update["package-ecosystem"] for update in updates} == {"pip", "github-actions"}


# --- the files about the project ---


def test_version_changelog_and_citation_agree():
    newest = re.search(r"^## \[(.+?)\] - (\d{4}-\d\d-\d\d)$", (PROJECT / "CHANGELOG.md").read_text(), re.M)
    assert newest.groups() == (__version__, CITATION["date-released"])
    assert CITATION["version"] == __version__


def test_authors_and_keywords_agree_and_no_address_is_invented():
    project = tomllib.loads(PYPROJECT)["project"]
    assert project["authors"] == CITATION["authors"]
    assert project["keywords"] == CITATION["keywords"]
    assert "urls" not in project and not {"url", "repository", "repository-code"} & CITATION.keys()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT)))
def test_prose_has_one_sentence_per_line(page):
    """Then a review shows the sentence that changed."""
    text = re.sub(r"^ *(`{3,}|~{3,})\w+\n.*?^ *\1$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    prose = [line for line in text.splitlines() if not line.startswith(("|", "    "))]
    assert not [line for line in prose if re.search(r"[a-z0-9)`*%$}\"][.?!] [A-Z*`\[{$]", line)]
    broken = re.findall(r"^[A-Za-z(*`].*[^.:?!>)`}]\n(?=[a-z])", "\n".join(prose), re.M)
    assert not broken, "a sentence that goes over several lines"
