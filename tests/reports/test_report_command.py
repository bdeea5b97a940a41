"""``tokengeom report``: files and standard input, one line for every mistake, and no file of a reader's is touched."""

import io
import re
import sys

import pytest
import surveyed
import tiny_survey
from bs4 import BeautifulSoup

import tokengeom_utils as tg
from tokengeom_utils import cli

LETTERS = re.sub(r"[^a-z .]", "", surveyed.prose(5, 400))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """The folder of a model that reads a letter a token, and a survey of it."""
    folder = tmp_path_factory.mktemp("tiny")
    model = tg.load_model(str(tiny_survey.save_model(folder / "model")))
    tg.survey(model, surveyed.prompts(12), (0, 4), folder / "survey.zarr", n_shuffled=4, **surveyed.SIZES)
    return folder / "model", folder / "survey.zarr"


@pytest.fixture
def report(monkeypatch, capsys, tmp_path, tiny):
    """Report on files in a folder of its own; returns (exit code, standard output, standard error)."""

    def call(*words, stdin=b"", model=tiny[0]):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        monkeypatch.setattr(sys, "argv", ["tokengeom", "report", *map(str, words), "--model", str(model)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        captured = capsys.readouterr()
        return stop.value.code or 0, captured.out, captured.err

    return call


def page(path):
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


def test_one_file_makes_one_page_with_progress_on_standard_error(report, tmp_path, tiny):
    (tmp_path / "essay.txt").write_text(LETTERS)
    code, said, err = report("essay.txt", "--results", tiny[1])
    assert code == 0 and said == "the report is in report.html\n"
    assert "loading" in err and "measuring 256 tokens of essay.txt" in err
    found = page(tmp_path / "report.html")
    assert found.h1.string == "Report on essay.txt" and "compared with 12 prompts of 2 kinds" in found.header.get_text()
    assert str(tmp_path) not in found.get_text() and str(tiny[1].parent) not in found.get_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["essay.txt", "report.html"]


def test_standard_input_and_files_stand_side_by_side(report, tmp_path, tiny):
    (tmp_path / "essay.txt").write_text(LETTERS)
    text = LETTERS[::-1].strip()
    code, _, err = report("-", "essay.txt", "--out", "both.html", stdin=text.encode("utf-16"))
    assert code == 0 and "measuring 256 tokens of standard input" in err
    found = page(tmp_path / "both.html")
    assert [box.get_text() for box in found.select(".tokens")] == [text[:256], LETTERS[:256]]
    assert "no survey of model with 256 tokens is at hand" in found.header.get_text()


def test_all_texts_have_the_length_that_the_shortest_fills(report, tmp_path, tiny):
    (tmp_path / "long.txt").write_text(LETTERS * 3)
    (tmp_path / "short.txt").write_text(LETTERS[:300].strip())
    with_positions = tg.tiny_model()  # for 4,096 tokens; the model in the folder has 512
    folder = tmp_path / "model"
    with_positions.network.save_pretrained(folder)
    with_positions.tokenizer.save_pretrained(folder)
    for texts, model, n_spans in (
        (["long.txt"], folder, 1024),
        (["long.txt", "short.txt"], folder, 2 * 256),
        (["long.txt"], tiny[0], 256),
    ):
        assert report(*texts, model=model)[0] == 0
        assert len(page(tmp_path / "report.html").select(".tokens span")) == n_spans


@pytest.mark.parametrize(
    "words, expected",
    [
        (("none.txt",), "there is no file none.txt: check the path"),
        (("folder",), "folder is not a text file but a folder"),
        (("rows.csv",), "rows.csv is not a text file but a table"),
        (("a.txt", "--out", "a.txt"), "--out a.txt: its name must end in .html"),
        (("a.html", "--out", "a.html"), "--out a.html is one of the texts: choose another name"),
        (("a.html", "--out", "link.html"), "--out link.html is one of the texts: choose another name"),
        (("a.txt", "--out", "folder.html"), "--out folder.html is a folder"),
        (("a.txt", "--out", "https://host/a.html"), "--out https://host/a.html is an address"),
        (("a.txt", "--bos", "sometimes"), "sometimes"),
        (("half.txt",), "half.txt has a NUL character"),
        (("a.txt", "a.txt"), "two texts are named a.txt"),
        (("-", "-"), "two texts are named standard input"),
        (("a.txt", "--results", "none.zarr"), "no survey at none.zarr"),
        (("a.txt", "--results", "standard"), "the survey standard was made with 1,024 tokens|with the model smollm2"),
        (("short.txt",), "short.txt has 255 tokens, but a report needs 256: use a longer text"),
        (("-",), "standard input has 0 tokens, but a report needs 256"),
    ],
)
def test_a_mistake_is_one_line_and_changes_no_file(report, tmp_path, words, expected):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder.html").mkdir()
    for name in ("a.txt", "a.html", "rows.csv"):
        (tmp_path / name).write_text(LETTERS)
    (tmp_path / "short.txt").write_text(LETTERS.replace(" ", ".")[:255])
    (tmp_path / "link.html").symlink_to("a.html")
    (tmp_path / "half.txt").write_bytes("word".encode("utf-16-le"))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    code, said, err = report(*words)
    assert code == 2 and not said
    last = err.splitlines()[-1]
    assert last.startswith("tokengeom: ") and re.search(expected, last) and "Traceback" not in err
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_name_with_markup_stays_a_name(report, tmp_path, tiny):
    (tmp_path / "<img src=x>&.txt").write_text(LETTERS)
    assert report("<img src=x>&.txt", "--results", tiny[1])[0] == 0
    found = page(tmp_path / "report.html")
    assert found.h1.string == "Report on <img src=x>&.txt" and not found.find_all("img")


def test_the_bundled_model_is_compared_with_the_bundled_surveys(report, tmp_path, model):
    (tmp_path / "essay.txt").write_text(surveyed.prose(5, 300))
    code, _, _ = report("essay.txt", model="smollm2-135m")
    words = page(tmp_path / "report.html").header.get_text(" ")
    assert code == 0 and "compared with 300 prompts of 15 kinds" in words and "(the bundled survey short)" in words
