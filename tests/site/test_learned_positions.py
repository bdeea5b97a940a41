"""A model with learned positions and random weights, such as a new OPT: chapters say of it only what is measured."""

import re

import matplotlib
import pytest
import tiny_survey
from run_chapter import run_chapter

import tokengeom_utils as tg

N_TOKENS, DEGREES = 128, (0, 1, 2, 3)


@pytest.fixture(scope="module")
def placed(tmp_path_factory):
    """A folder with a tiny OPT, texts, and their survey."""
    import torch
    import transformers as hf

    folder = tmp_path_factory.mktemp("placed")
    tiny_survey.save_model(folder / "model")  # the tokenizer; the weights are replaced
    torch.manual_seed(0)
    config = hf.OPTConfig(
        vocab_size=len(tiny_survey.ALPHABET),
        hidden_size=32,
        ffn_dim=48,
        num_hidden_layers=4,
        num_attention_heads=4,
        word_embed_proj_dim=32,
        max_position_embeddings=256,
    )
    hf.AutoModelForCausalLM.from_config(config).save_pretrained(folder / "model")
    (folder / "texts").mkdir()
    for prompt in tiny_survey.prompts(6):
        (folder / "texts" / f"{prompt.id}.txt").write_text(2 * prompt.text)
    sizes = {"n_shuffled": 6, "n_tokens": N_TOKENS, "scale_max": 16, "k_max": 8}
    tg.survey(str(folder / "model"), tg.load_prompts(folder / "texts"), DEGREES, folder / "survey.zarr", **sizes)
    return folder


def shown_by(stem, folder, monkeypatch, **parameters):
    """Return what a chapter shows of the tiny model."""
    monkeypatch.setitem(matplotlib.rcParams, "backend", "agg")
    paths = {"model": str(folder / "model"), "results": str(folder / "survey.zarr"), "prompts": str(folder / "texts")}
    _, shown = run_chapter(stem, **paths, n_tokens=N_TOKENS, **parameters)
    assert not re.search(r"\bnan\b|\binf\b", shown)
    return shown


@pytest.mark.filterwarnings("ignore:FigureCanvasAgg is non-interactive")
def test_the_cloud_of_the_embeddings_is_not_said_to_stay_as_it_is(placed, monkeypatch):
    shown = shown_by("shuffle_control", placed, monkeypatch, n_prompts=6, n_bootstrap=20)
    moves = re.search(r"embeddings depend on the position of a token.*dimension moves by up to ([\d.]+)\.", shown, re.S)
    assert float(moves[1]) > 0.05
    assert "must not move" not in shown and "exactly the same at every degree" not in shown
    assert "the model hardly notices" in shown and "largest single step" not in shown


@pytest.mark.filterwarnings("ignore:FigureCanvasAgg is non-interactive")
def test_a_model_without_a_sink_and_without_training_is_said_to_have_neither(placed, monkeypatch):
    shown = shown_by("mean_field_in_a_real_model", placed, monkeypatch)
    assert "trained in name only" in shown
    assert "Such a token is an *attention sink*" not in shown and "that would be an *attention sink*" in shown
    assert "the position makes even copies of one word differ" in shown
    assert not re.search(r"-0\.00\b", shown)
