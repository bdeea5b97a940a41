"""Fixtures shared by all tests: the real model, and the book built on two prompts, each made once."""

import os
import shutil
import signal
from pathlib import Path

import pytest

from tokengeom_utils import processor

processor.apply()  # before anything imports numpy and torch

PROJECT = Path(__file__).parents[1]
TINY = PROJECT / "tests" / "tiny.yml"
#: seconds that a test waits for another process before it fails: a busy machine can be ten times as slow
PATIENCE = 600
#: the environment of a subprocess whose coverage is not measured, as that would make it much slower
UNMEASURED = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}

# A shell starts its background jobs deaf to Ctrl-C, and what they start is deaf too. The tests may be such a job.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def model():
    from tokengeom_utils.models.load import fetch_bundled_model, load_model

    fetch_bundled_model()
    return load_model()


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """A tiny model, which no test changes."""
    import tiny_survey

    import tokengeom_utils as tg

    return tg.load_model(tiny_survey.save_model(tmp_path_factory.mktemp("model")))


@pytest.fixture(scope="session")
def whole(tiny, tmp_path_factory):
    """A complete survey by the tiny model, of which tests change copies."""
    import tiny_survey

    out = tmp_path_factory.mktemp("whole") / "survey.zarr"
    tiny_survey.run(tiny, out)
    return out


@pytest.fixture(scope="session")
def book(tmp_path_factory, model):
    """A copy of the sources and the folder of the book built from it, as (project, out); tests may change the copy."""
    from tokengeom_utils.site.build import build_book

    project = tmp_path_factory.mktemp("project")
    for name in ("_config.yml", "_toc.yml", "CITATION.cff", "constraints.txt", "README.md", "CONTRIBUTING.md"):
        shutil.copy(PROJECT / name, project)
    for name in ("book", "data", "notebooks", "benchmarks/results"):
        shutil.copytree(PROJECT / name, project / name, ignore=shutil.ignore_patterns("*.ipynb", ".ipynb_checkpoints"))
    out = tmp_path_factory.mktemp("built")
    build_book(TINY, project, out)
    return project, out
