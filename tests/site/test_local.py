"""No path of the machine on a page: a chapter that gets a model in a folder shows the folder's last name."""

import json
import os
from pathlib import Path

import nbformat
from chapters import FIGURE, FRONT, execute, write_chapter

from tokengeom_utils.site.build import kernels as kernels_module
from tokengeom_utils.site.build.local import hidden_paths, shown, whole_paths
from tokengeom_utils.site.build.pages import page_files

CODE = """import matplotlib.pyplot as plt
import tokengeom_utils as tg

tg.figures.set_theme()
fig, ax = plt.subplots()
ax.plot([1, 2], [3, 4], label=model)
print(model, prompts, twin)
plt.show()"""


def test_no_path_of_the_machine_on_a_page(tmp_path, monkeypatch):
    """Neither in the parameters, the commands, the outputs, nor the tables; the kernel does get the whole path."""
    monkeypatch.setattr(kernels_module, "FORKS", False)
    monkeypatch.chdir(tmp_path)
    for name in ("models/my-model", "texts/essays"):
        Path(name).mkdir(parents=True)
    project = write_chapter(tmp_path / "project")
    front = FRONT.replace("seed = 1", 'model = "smollm2-135m"\nprompts = "pocket"\ntwin = ""')
    checked = "import os\nassert os.path.isdir(model) and os.path.isdir(prompts)\n" + CODE
    (project / "notebooks" / "short.md").write_text(front + FIGURE.format(name="short", code=checked))
    given = whole_paths({"model": "models/my-model", "prompts": "texts/essays", "seed": 1})
    out = tmp_path / "out"
    execute(project, out, given | {"twin": f"untrained:{given['model']}"})
    files = page_files(out / "chapters" / "short.ipynb")
    assert set(files) == {"short.ipynb", "fig-short.csv"}
    for content in files.values():
        assert str(tmp_path) not in content.decode()
    page = nbformat.reads(files["short.ipynb"].decode(), 4)
    text = "\n".join(cell.source for cell in page.cells)
    assert 'model = "my-model"' in text and "-p model my-model" in text and "-p prompts essays" in text
    (printed,) = [output.text for cell in page.cells for output in cell.get("outputs", []) if "text" in output]
    assert printed == "my-model essays untrained:my-model\n"
    assert "my-model" in files["fig-short.csv"].decode()


def test_only_what_is_a_path_becomes_whole(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    for name in ("smollm2-135m", "pocket", "mine"):
        Path(name).mkdir()
    for value in ("smollm2-135m", "untrained:smollm2-135m", "owner/name"):
        assert whole_paths({"model": value}) == {"model": value}
    assert whole_paths({"prompts": "pocket", "seed": 42}) == {"prompts": "pocket", "seed": 42}
    for value in ("mine", "~/mine", "./mine"):
        both = dict.fromkeys(("model", "prompts"), value)
        assert whole_paths(both) == dict.fromkeys(both, str(Path.cwd() / "mine"))
    assert whole_paths({"model": "untrained:mine"}) == {"model": f"untrained:{Path.cwd() / 'mine'}"}


def test_the_longest_path_counts_and_a_hub_id_is_none(tmp_path):
    root = Path(os.path.abspath(os.sep))
    inner = root / "a" / "b" / "model"
    hidden = hidden_paths({"model": str(inner), "files": [str(root / "a")], "prompts": "owner/name"}, root / "a" / "b")
    page = shown({"x": [f"{inner} owner/name {root / 'a' / 'b' / 'log'}", json.dumps(str(root / "a"))]}, hidden)
    assert page == {"x": ["model owner/name log", '"a"']}


def test_what_only_looks_like_a_path_stays(tmp_path):
    root = os.path.abspath(os.sep)
    hidden = hidden_paths({"model": f"{root}m"}, Path(root, "out"))
    for text in (f"w{root}out", f"https://x.org{root}out{os.sep}a", f"{root}outer", f"{root}m-2", f"..{root}m"):
        assert shown(text, hidden) == text
    assert shown(f"({root}m) untrained:{root}m, file://{root}out{os.sep}a", hidden) == "(m) untrained:m, file://a"


def test_a_survey_on_another_disk_is_shown_by_its_last_two_names():
    out = Path(os.path.abspath(os.sep)) / "data" / "books" / "mine"
    climbed = f"../../..{out.as_posix()}/survey.zarr"
    hidden = hidden_paths({"results": climbed}, out)
    assert shown(f"-p results {climbed}", hidden) == "-p results mine/survey.zarr"
    assert shown("-p results ../_build/quick/survey.zarr", hidden) == "-p results ../_build/quick/survey.zarr"
