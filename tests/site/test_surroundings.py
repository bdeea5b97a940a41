"""A chapter comes out the same however the author's Python, IPython, Jupyter and matplotlib are configured."""

import json
import os
import re

import pytest
from chapters import execute, write_chapter

from tokengeom_utils.site.build import kernels as module

each_kind = pytest.mark.parametrize("forks", [True, False])

HOSTILE = {
    ".ipython/profile_default/ipython_config.py": (
        "c.InteractiveShellApp.exec_lines = ['print(1 / 0)']\n"
        "c.InteractiveShellApp.matplotlib = 'agg'\n"
        "c.InteractiveShell.ast_node_interactivity = 'none'\n"
        "c.InlineBackend.figure_formats = {'pdf'}\n"
    ),
    ".ipython/profile_default/ipython_kernel_config.py": "raise SystemExit('the kernel reads its configuration')\n",
    ".ipython/profile_default/startup/00.py": "import matplotlib.pyplot as plt\nplt.show = lambda: None\n",
    ".config/matplotlib/matplotlibrc": "backend: pdf\nlines.color: no color\nfont.size: 40\naxes.facecolor: red\n",
    "startup.py": "raise SystemExit('PYTHONSTARTUP was run')\n",
}
VARIABLES = {
    "MPLBACKEND": "agg",
    "PYTHONSTARTUP": "{home}/startup.py",
    "PYTHONDEVMODE": "1",
    "PYTHONWARNINGS": "error",
    "MATPLOTLIBRC": "{home}/.config/matplotlib/matplotlibrc",
    "IPYTHONDIR": "{home}/.ipython",
    "JUPYTER_PATH": "{home}/.local/share/jupyter",
    "HOME": "{home}",
    "XDG_CONFIG_HOME": "{home}/.config",
}


@pytest.fixture(scope="module")
def surroundings(tmp_path_factory):
    """The environment variables of a user who has configured everything."""
    home = tmp_path_factory.mktemp("home")
    kernel = {"argv": ["no-such-python", "{connection_file}"], "display_name": "Mine", "language": "python"}
    files = HOSTILE | {".local/share/jupyter/kernels/python3/kernel.json": json.dumps(kernel)}
    for name, text in files.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(text)
    cache = os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache"))  # the model and the fonts stay
    return {name: value.format(home=home) for name, value in VARIABLES.items()} | {"XDG_CACHE_HOME": cache}


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """The outputs of a chapter in the surroundings of the tests."""
    return executed(tmp_path_factory.mktemp("plain"))


def executed(folder):
    (cell,) = [cell for cell in execute(write_chapter(folder), folder / "out") if cell.get("outputs")]
    return [output.data for output in cell.outputs]


@each_kind
def test_a_figure_is_the_same_in_configured_surroundings(plain, surroundings, forks, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "FORKS", forks and module.FORKS)
    for name, value in surroundings.items():
        monkeypatch.setenv(name, value)
    found = executed(tmp_path)
    assert [set(data) for data in found] == [{"image/svg+xml", "text/csv", "text/plain"}]
    for kind in ("text/csv", "text/plain"):
        assert found[0][kind] == plain[0][kind]
    date = r"<dc:date>.*?</dc:date>"
    ours, theirs = (re.sub(date, "", data[0]["image/svg+xml"]) for data in (plain, found))
    assert ours == theirs
