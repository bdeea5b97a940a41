"""The bundled model, and what load_model accepts and refuses."""

import numpy as np
import pytest
import tokengeom_utils as tg
import torch
import transformers as hf
from tokengeom_utils import models


@pytest.fixture(scope="module")
def prompt():
    return tg.load_prompts("pocket", n=1)[0]


def test_loss_is_that_of_transformers(model, prompt):
    ids = torch.tensor(model.tokenize(prompt.text, 256))
    with torch.inference_mode():
        expected = model.network(ids[None], labels=ids[None]).loss.item()
    found = tg.token_clouds(model, ids).loss.mean().item()
    assert found == pytest.approx(expected, rel=1e-5)
    # Washington's first annual message, first 256 tokens; transformers 5.23.0, torch 2.13.0, float32 on a CPU.
    assert found == pytest.approx(3.57823, abs=1e-3)


def test_the_clouds(model, prompt):
    """31 clouds of 576 features, the last after the final norm."""
    ids = model.tokenize(prompt.text, 64)
    before = {}
    hook = model.network.model.norm.register_forward_hook(lambda norm, args, out: before.update(x=args[0], y=out))
    hidden = tg.token_clouds(model, ids).hidden
    hook.remove()
    assert hidden.shape == (31, 64, 576) and (model.n_layers, model.n_features) == (30, 576)
    torch.testing.assert_close(hidden[-1], before["y"][0])
    assert not torch.allclose(hidden[-1], before["x"][0])
    embeddings = model.network.get_input_embeddings()(torch.tensor(ids))
    torch.testing.assert_close(hidden[0], embeddings)


def test_tokenize_strips_and_adds_nothing(model):
    plain = model.tokenize("Fellow citizens of the Senate")
    np.testing.assert_array_equal(model.tokenize("\n  Fellow citizens of the Senate \n"), plain)
    assert model.tokenizer.decode(plain) == "Fellow citizens of the Senate"
    assert not set(plain.tolist()) & set(model.tokenizer.all_special_ids)
    np.testing.assert_array_equal(model.tokenize("Fellow citizens of the Senate", 3), plain[:3])
    n = len(plain)
    with pytest.raises(tg.InputError, match=f"essay has {n} tokens under smollm2-135m, fewer than n_tokens = {n + 1}"):
        model.tokenize("Fellow citizens of the Senate", n + 1, name="essay")


@pytest.fixture
def folder(model, tmp_path):
    """A small random Llama on disk, with the bundled model's tokenizer."""
    torch.manual_seed(0)
    config = hf.LlamaConfig(vocab_size=49152, hidden_size=16, intermediate_size=16, num_hidden_layers=2,
                            num_attention_heads=2)
    network = hf.LlamaForCausalLM(config)
    network.save_pretrained(tmp_path / "llama")
    model.tokenizer.save_pretrained(tmp_path / "llama")
    return tmp_path / "llama"


def test_a_local_folder_loads(folder, prompt):
    local = tg.load_model(folder)
    clouds = tg.token_clouds(local, local.tokenize(prompt.text, 32))
    assert clouds.hidden.shape == (3, 32, 16) and local.fingerprint.startswith("sha256:")
    again = hf.LlamaForCausalLM.from_pretrained(folder)
    with torch.no_grad():
        again.lm_head.weight[0, 0] += 1
    again.save_pretrained(folder)
    assert tg.load_model(folder).fingerprint != local.fingerprint


def test_pickled_weights_are_refused(folder):
    weights = folder / "model.safetensors"
    torch.save({}, folder / "pytorch_model.bin")
    weights.unlink()
    with pytest.raises(tg.InputError, match="holds no safetensors"):
        tg.load_model(folder)


@pytest.mark.parametrize("name", ["no-such-model", "./no/such/folder", "/nowhere", "a/b/c"])
def test_unknown_models(name):
    with pytest.raises(tg.InputError, match="unknown model") as error:
        tg.load_model(name)
    assert "\n" not in str(error.value)


def test_an_unknown_dtype():
    with pytest.raises(tg.InputError, match="unknown dtype 'float99'"):
        tg.load_model(dtype="float99")


def test_a_hub_model_that_cannot_be_reached(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(tg.InputError, match="could not be loaded") as error:
        tg.load_model("nobody/no-such-model")
    assert "\n" not in str(error.value)


def test_loading_leaves_the_settings_of_transformers_alone(folder):
    from transformers.utils import logging

    logging.set_verbosity_info()
    logging.enable_progress_bar()
    try:
        tg.load_model(folder)
        assert logging.get_verbosity() == logging.INFO and logging.is_progress_bar_enabled()
    finally:
        logging.set_verbosity_warning()


def test_fetching_again_does_nothing(model):
    said = []
    assert models.fetch_bundled_model(said.append) == models._bundled_folder() and not said


def test_wrong_weights_never_reach_the_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("TOKENGEOM_CACHE", str(tmp_path / "cache"))
    bogus = tmp_path / "bogus.gguf"
    bogus.write_bytes(b"not a model")
    monkeypatch.setattr(models, "_installed_weights", lambda: bogus)
    with pytest.raises(tg.InputError, match="expected b179c952"):
        models.fetch_bundled_model(lambda text: None)
    assert not [p for p in (tmp_path / "cache").rglob("*") if p.is_file()]
    with pytest.raises(tg.InputError, match="tokengeom fetch-model"):
        tg.load_model()
