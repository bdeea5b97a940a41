"""Text files in many encodings and formats, alone and in folders."""

import gzip

import pytest

import tokengeom_utils as tg

TEXT = "Ça va?\nThe river turns past the mill. 😀"


@pytest.mark.parametrize(
    "name, data",
    [
        ("a.txt", TEXT.encode()),
        ("a.txt", TEXT.encode("utf-8-sig")),
        ("a.txt", TEXT.encode("utf-16")),
        ("a.txt", b"\xfe\xff" + TEXT.encode("utf-16-be")),
        ("a.txt", TEXT.encode("utf-32")),
        ("a.txt", TEXT.replace("\n", "\r\n").encode()),
        ("a.txt.gz", gzip.compress(TEXT.encode())),
        ("a.TXT", TEXT.encode()),
        ("a.TXT.GZ", gzip.compress(TEXT.encode("utf-16"))),
    ],
)
def test_one_text_in_many_forms(tmp_path, name, data):
    (tmp_path / name).write_bytes(data)
    (alone,), (inside,) = tg.load_prompts(tmp_path / name), tg.load_prompts(tmp_path)
    assert (alone.id, alone.domain, alone.text) == ("a", "txt", TEXT)
    assert (inside.id, inside.domain, inside.text) == ("a", tmp_path.name, TEXT)


@pytest.mark.parametrize(
    "name, data, words",
    [
        ("a.txt", b"one\ntwo \xe9\n", r"not UTF-8 text \(line 2\)"),
        ("a.txt", b"\xff\xfea", r"not UTF-16 text \(line 1\)"),
        ("a.txt", TEXT.encode("utf-16-le"), "UTF-8 text|NUL character"),
        ("a.txt", "The old road".encode("utf-16-le"), r"NUL character \(line 1\), as UTF-16 without a byte-order mark"),
        ("a.txt", "The old road".encode("utf-16-be"), "UTF-16 without a byte-order mark"),
        ("a.txt", b"one\ntwo\0", r"NUL character \(line 2\)"),
        ("a.txt", b"%PDF-1.4\n(only ASCII)", "is a PDF: save its text as .txt"),
        ("a.txt", b"{\\rtf1 only ASCII}", "is rich text"),
        ("a.md", b"PK\x03\x04...", "is a ZIP archive, as .docx"),
        ("a.txt", gzip.compress(b"text"), "add .gz to its name"),
        ("a.txt.gz", b"text", "is not whole gzip"),
        ("a.txt.gz", gzip.compress(b"text" * 99)[:-12], "is not whole gzip"),
        ("a.csv", b"text\n\xe9\n", r"not UTF-8 text \(line 2\)"),
    ],
)
def test_a_file_that_is_no_text_is_refused_alone_and_in_a_folder(tmp_path, name, data, words):
    (tmp_path / name).write_bytes(data)
    (tmp_path / "other.txt").write_text("fine")
    for path in (tmp_path / name, tmp_path):
        with pytest.raises(tg.InputError, match=words) as error:
            tg.load_prompts(path)
        assert name in str(error.value) and "\n" not in str(error.value)


def test_every_text_of_a_folder_is_read_and_the_rest_is_named(tmp_path, recwarn):
    folder = tmp_path / "mine"
    (folder / "code").mkdir(parents=True)
    (folder / ".git").mkdir()
    (folder / ".git" / "config.txt").write_text("hidden")
    for name, text in {"a.md": "1", "code/b.py": "2", "code/Makefile": "3", "c.TXT": "4"}.items():
        (folder / name).write_text(text)
    (folder / "code" / "b.pyc").write_bytes(b"\xff\xfe\xfd\x00\x01")
    (folder / "paper.pdf").write_bytes(b"%PDF-1.4")
    (folder / "gone.txt").symlink_to(tmp_path / "nowhere")
    (folder / "elsewhere").symlink_to(tmp_path)
    said = []
    found = tg.load_prompts(folder, say=said.append)
    assert [(p.id, p.domain, p.text) for p in found] == [
        ("a", "mine", "1"),
        ("c", "mine", "4"),
        ("code/Makefile", "code", "3"),
        ("code/b.py", "code", "2"),  # b.pyc has the same name without its ending
    ]
    assert said == [
        f"left out of {folder}: 1 hidden (.git); 2 links to folders or to nothing (elsewhere, gone.txt); "
        "2 not text (code/b.pyc, paper.pdf)",
        f"read as plain texts in {folder}: .py, Makefile",
    ]
    assert not recwarn.list
    with pytest.warns(UserWarning, match="left out of .*: 2 links .*; 2 not text"):
        tg.load_prompts(folder)


def test_the_domain_of_the_current_folder_has_a_name(tmp_path, monkeypatch):
    (tmp_path / "a.txt").write_text("a")
    monkeypatch.chdir(tmp_path)
    assert [(p.id, p.domain) for p in tg.load_prompts(".")] == [("a", tmp_path.name)]


def test_two_files_of_a_folder_may_not_share_an_id(tmp_path):
    for name in ("a.jsonl", "b.jsonl"):
        (tmp_path / name).write_text('{"text": "t", "id": "x"}\n')
    with pytest.raises(tg.InputError, match=r"b\.jsonl, line 1: its id 'x' is also that of .*a\.jsonl, line 1"):
        tg.load_prompts(tmp_path)


@pytest.mark.parametrize("part", ["id", "domain", "text"])
@pytest.mark.parametrize("value, words", [("half \ud83d", "half of a surrogate pair"), (3, "must be a text, not int")])
def test_a_prompt_that_cannot_be_stored_cannot_be_made(part, value, words):
    with pytest.raises(tg.InputError, match=f"the {part} .*{words}"):
        tg.Prompt(**{"id": "a", "domain": "b", "text": "c"} | {part: value})
