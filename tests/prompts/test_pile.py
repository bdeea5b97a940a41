"""Pile-10k: the paper's order, its count, and files that cannot be read."""

import sys

import pytest

import tokengeom_utils as tg
from tokengeom_utils import Prompt
from tokengeom_utils.prompts import pile
from tokengeom_utils.prompts.lengths import FunctionCounter

LLAMA, MISTRAL, PYTHIA = pile.PAPER_TOKENIZERS


def test_the_first_fifty_are_those_of_the_paper():
    prompts = [Prompt(f"pile-{i:05d}", "x", "") for i in range(2244)]
    rows = [int(p.id[5:]) for p in pile.paper_order(prompts)]
    assert sorted(rows) == list(range(2244))
    assert sorted(rows[:50])[14] == 686  # the displayed prompt, at the paper's place
    prompts[686] = Prompt("pile-03218", "x", "")
    ordered = pile.paper_order(prompts)
    assert ordered[0].id == "pile-03218"
    assert {p.id for p in ordered[1:50]} == {f"pile-{i:05d}" for i in rows[:50] if i != 686}
    assert [p.id for p in pile.paper_order(prompts, seed=1)] != [p.id for p in ordered]


def test_the_count_is_compared_with_the_papers():
    tokenizers = [FunctionCounter(str.split) for _ in range(3)]
    for tokenizer, name in zip(tokenizers, reversed(pile.PAPER_TOKENIZERS), strict=True):
        tokenizer.name = f"{name}@main"
    pile.check_count([10000, 2600, 2400, 2244], None, 1024, tokenizers, None)
    with pytest.raises(tg.InputError) as error:
        pile.check_count([10000, 2600, 2400, 2245], 2244, 1024, tokenizers, None)
    assert str(error.value) == (
        "Pile-10k has 2245 prompts of at least 1024 tokens, but the paper has 2244: of 10000 texts (10000 in the "
        f"paper), 2600 under {PYTHIA}, then 2400 under {MISTRAL}, then 2245 under {LLAMA} remain; a tokenizer or the "
        "file differs; to continue with these, use n_prompts = 2245"
    )
    said = []
    pile.check_count([10000, 2600, 2400, 2245], 2245, 1024, tokenizers, said.append)
    assert len(said) == 1
    for n_tokens, some in ((512, tokenizers), (1024, tokenizers[:2])):  # not the paper's rule
        pile.check_count([10000, 9, 9, 9], None, n_tokens, some, None)


@pytest.mark.parametrize(
    "meta, part",
    [
        ({"pile_set_name": "ArXiv"}, "ArXiv"),
        ('{"pile_set_name": "ArXiv"}', "ArXiv"),
        ("{'pile_set_name': 'ArXiv'}", "ArXiv"),
        ("ArXiv(", None),
        ({}, None),
        (None, None),
    ],
)
def test_the_part_of_the_pile_is_read_from_any_metadata(meta, part):
    assert pile.part_of_pile(meta) == part


def test_a_file_that_cannot_be_read_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path))
    (tmp_path / "a.parquet").write_bytes(b"not parquet")
    with pytest.raises(tg.InputError, match="could not be read .* delete it"):
        pile.read_table(tmp_path / "a.parquet")
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(tg.InputError, match="pip install datasets"):
        pile.read_table(tmp_path / "a.parquet")
