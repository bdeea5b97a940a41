"""A model that caps its logits, such as Gemma 2, has a book: the chapter on logits leaves out their dimension."""

import re

import matplotlib
import pytest
import tiny_survey
from run_chapter import run_chapter

import tokengeom_utils as tg

N_PROMPTS = 10  #: the fewest for which the chapter correlates


@pytest.fixture(scope="module")
def capped(tmp_path_factory):
    """A folder with a tiny Gemma 2, texts, and their survey."""
    import torch
    import transformers as hf

    folder = tmp_path_factory.mktemp("capped")
    tiny_survey.save_model(folder / "model")  # the tokenizer; the weights are replaced
    torch.manual_seed(0)
    config = hf.Gemma2Config(
        vocab_size=len(tiny_survey.ALPHABET),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        pad_token_id=None,  # whose embedding would be zero
        final_logit_softcapping=3.0,
    )
    network = hf.AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for weight in network.parameters():
            weight.mul_(20)
    network.save_pretrained(folder / "model")
    prompts = tiny_survey.prompts(N_PROMPTS)
    (folder / "texts").mkdir()
    for prompt in prompts:
        (folder / "texts" / f"{prompt.id}.txt").write_text(prompt.text)
    prompts = tg.load_prompts(folder / "texts")
    tg.survey(
        str(folder / "model"),
        prompts,
        (0, 1),
        folder / "survey.zarr",
        n_shuffled=4,
        n_tokens=64,
        scale_max=16,
        k_max=8,
    )
    return folder


@pytest.mark.filterwarnings("ignore:FigureCanvasAgg is non-interactive")
def test_the_chapter_on_logits_leaves_out_the_dimension_that_is_undefined(capped, monkeypatch):
    assert tg.open_results(capped / "survey.zarr").logit_dimension.isnull().all()
    monkeypatch.setitem(matplotlib.rcParams, "backend", "agg")
    _, shown = run_chapter(
        "from_geometry_to_loss",
        model=str(capped / "model"),
        results=str(capped / "survey.zarr"),
        prompts=str(capped / "texts"),
        n_tokens=64,
        n_bootstrap=20,
    )
    assert "are no linear map of its last cloud, because it caps them" in shown
    assert re.search("last layer . entropy", shown) and not re.search("logits . entropy", shown)
    assert "The product of the two links is" in shown
    assert not re.search(r"\bnan\b|\binf\b", shown)
