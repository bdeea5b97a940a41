"""One text beside a survey: only with prompts measured as it was, in the package and in its chapter."""

import json

import numpy as np
import pytest
import tiny_survey
from conftest import PROJECT
from run_chapter import run_chapter

import tokengeom_utils as tg
from tokengeom_utils.surveys.single import differences

N_TOKENS, N_PROMPTS = 160, 12


@pytest.fixture(scope="module")
def surveyed(tmp_path_factory):
    """A tiny model, and a survey of its prompts: (folder, model, results)."""
    folder = tmp_path_factory.mktemp("surveyed")
    model = tg.load_model(str(tiny_survey.save_model(folder / "model")))
    prompts = [
        tg.Prompt(p.id, "odd" if i % 2 else "even", p.text * 3) for i, p in enumerate(tiny_survey.prompts(N_PROMPTS))
    ]
    rows = [json.dumps({"id": p.id, "domain": p.domain, "text": p.text}) for p in prompts]
    (folder / "texts.jsonl").write_text("\n".join(rows))
    options = {"n_tokens": N_TOKENS, "scale_max": 64, "k_max": 8}
    return folder, model, tg.survey(model, prompts, (0, 1), folder / "survey.zarr", **options)


def sizes(n):
    return tg.fit_sizes(n, N_TOKENS, 64, 8)


def test_a_survey_of_the_same_length_and_model_is_compared_as_it_is(surveyed):
    folder, model, results = surveyed
    found = tg.comparable(model, results, sizes(5000), folder / "no such file")
    assert found.drop_attrs().identical(results.sel(shuffle=0).drop_attrs())
    assert found.attrs["measured_again"] == "" and found.attrs["n_tokens"] == N_TOKENS


def test_at_another_length_its_prompts_are_measured_again(surveyed):
    folder, model, results = surveyed
    found = tg.comparable(model, results, sizes(100), folder / "texts.jsonl", n=5)
    assert found.sizes["prompt"] == 5 and "shuffle" not in found.dims
    assert found.attrs["n_tokens"] == 100 and found.attrs["measured_again"] == "with 160 tokens instead of 100"
    assert found.prompt.values.tolist() == results.prompt.values[:5].tolist()
    assert found.domain.values.tolist() == ["even", "odd", "even", "odd", "even"]
    assert not differences(model, found, sizes(100))  # it can be compared in turn
    prompt = tg.load_prompts(folder / "texts.jsonl")[3]
    alone = tg.measure(model, prompt, **sizes(100))
    for name in ("loss", "intrinsic_dimension", "neighborhood_overlap"):
        np.testing.assert_allclose(found[name].isel(prompt=3), alone[name], rtol=1e-6)
    assert not np.allclose(found.loss, results.loss.sel(shuffle=0)[:5])  # which is why they may not be compared


def test_with_another_model_or_beginning_they_are_measured_again(surveyed):
    _, model, results = surveyed
    assert differences(model, results, sizes(5000)) == []
    assert differences(tg.tiny_model(), results, sizes(5000)) == [f"with the model {model.name}"]
    assert differences(model.with_bos("auto"), results, sizes(99)) == [
        "with 160 tokens instead of 99",
        "with bos = never",
    ]


def test_without_the_texts_or_with_too_short_ones_nothing_is_compared(surveyed):
    folder, model, results = surveyed
    with pytest.raises(tg.InputError, match="none of these prompts is among those of the survey"):
        tg.comparable(model, results, sizes(100), "pocket")
    with pytest.raises(
        tg.InputError, match=r"no prompt of the survey has the 301 tokens of the text; the longest has \d+"
    ):
        tg.comparable(model, results, tg.fit_sizes(301, scale_max=8), folder / "texts.jsonl")


@pytest.mark.parametrize("n_letters", [100, 250, 400])
def test_the_chapter_never_compares_texts_of_different_lengths(surveyed, tmp_path, monkeypatch, n_letters):
    """All cells of the chapter, with a tiny model, on a text shorter than its survey's and on two longer ones."""
    import matplotlib.pyplot as plt

    plt.switch_backend("Agg")
    monkeypatch.setattr(plt, "show", lambda: plt.close("all"))
    monkeypatch.chdir(PROJECT / "notebooks")
    folder, model, _ = surveyed
    text = (tiny_survey.prompts(20)[-1].text * 9)[:n_letters].strip()
    (tmp_path / "mine.txt").write_text(text)
    given = {"model": model.name, "results": str(folder / "survey.zarr"), "prompts": str(folder / "texts.jsonl")}
    given |= {"n_tokens": N_TOKENS, "scale_max": 64, "k_max": 8, "files": str(tmp_path / "mine.txt")}
    names, told = run_chapter("your_own_text", **given)
    n = min(len(text), N_TOKENS)
    assert names["report"].findings[0].text.n_tokens == n and names["report"].reference.n_prompts == N_PROMPTS
    assert names["report"].findings[0].layer == names["layer"]
    assert names["survey"].attrs["n_tokens"] == n == names["n_tokens"]
    assert "follows mine.txt; " in told
    assert ("measured again here" in told) == (len(text) < N_TOKENS)
    assert (f"made with {N_TOKENS} tokens instead of {n}" in told) == (len(text) < N_TOKENS)
    assert ("too short for two pages" in told) == (len(text) < 2 * N_TOKENS) and "but your text does not" not in told


def test_the_chapter_follows_the_first_of_several_texts_at_the_length_of_the_shortest(surveyed, tmp_path, monkeypatch):
    import matplotlib.pyplot as plt

    plt.switch_backend("Agg")
    monkeypatch.setattr(plt, "show", lambda: plt.close("all"))
    folder, model, _ = surveyed
    for name, n in (("long", 300), ("short", 120)):
        (tmp_path / f"{name}.txt").write_text((tiny_survey.prompts(20)[-1].text * 9)[:n].strip())
    given = {"model": model.name, "results": str(folder / "survey.zarr"), "prompts": str(folder / "texts.jsonl")}
    given |= {"n_tokens": N_TOKENS, "scale_max": 64, "k_max": 8}
    names, told = run_chapter("your_own_text", **given, files=[str(tmp_path / f"{n}.txt") for n in ("long", "short")])
    assert len(names["report"].findings) == 2 and names["n_tokens"] == 120 == names["survey"].attrs["n_tokens"]
    assert "follows long.txt, with short.txt beside it; 120 tokens, as many as the shortest text has" in told


def test_a_text_too_short_for_the_chapter_is_refused():
    with pytest.raises(tg.InputError, match="has 63 tokens, but at least 64 are needed"):
        tg.fit_sizes(63, fewest=64)
