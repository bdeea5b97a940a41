"""Folders that people have: each loads, or is refused in one line with a remedy that works."""

import json
import re
import shutil

import pytest
import tiny_survey
import torch
import transformers as hf
from safetensors.torch import load_file, save_file

import tokengeom_utils as tg
from tokengeom_utils.errors import PartialSurvey
from tokengeom_utils.models.read import one_line_errors


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return tiny_survey.save_model(tmp_path_factory.mktemp("whole"))


@pytest.fixture
def folder(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "model")


def refusal(name):
    with pytest.raises(tg.InputError) as error:
        tg.load_model(name, device="cpu")
    assert "\n" not in str(error.value)
    return str(error.value)


def configure(folder, **entries):
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | entries))


def test_a_folder_with_spaces_and_other_letters(folder):
    other = folder.rename(folder.with_name("my mödel @v1"))
    assert tg.load_model(other, device="cpu").n_layers == 2
    assert f"perhaps {other}" in refusal(other.parent)  # one folder too high


def test_sharded_weights(whole, tmp_path):
    network = hf.AutoModelForCausalLM.from_pretrained(whole)
    network.save_pretrained(tmp_path, max_shard_size="8KB")
    for file in whole.glob("tokenizer*"):
        shutil.copy(file, tmp_path)
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    loaded = tg.load_model(tmp_path, device="cpu").network
    torch.testing.assert_close(loaded.state_dict(), network.state_dict(), rtol=0, atol=0)


def test_a_folder_of_the_hubs_cache_leads_to_its_snapshot(folder, tmp_path):
    cache = tmp_path / "models--owner--name"
    (cache / "refs").mkdir(parents=True)
    shutil.copytree(folder, cache / "snapshots" / "aaa")
    assert tg.load_model(cache, device="cpu").n_layers == 2
    shutil.copytree(folder, cache / "snapshots" / "bbb")
    assert "holds 2 snapshots: choose one, such as" in refusal(cache)
    (cache / "refs" / "main").write_text("bbb\n")
    configure(cache / "snapshots" / "bbb", rms_norm_eps=1e-3)
    assert tg.load_model(cache, device="cpu").network.config.rms_norm_eps == 1e-3
    shutil.rmtree(cache / "snapshots")
    (cache / "snapshots").mkdir()
    assert "holds 0 snapshots: download the model again" in refusal(cache)


def test_an_adapter_names_its_model_and_the_command_that_merges_them(folder):
    (folder / "model.safetensors").unlink()
    (folder / "config.json").unlink()
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "owner/base"}')
    save_file({"lora": torch.zeros(2)}, folder / "adapter_model.safetensors")
    text = refusal(folder)
    assert "is an adapter of owner/base, not a model: after  pip install peft  merge the two with  python -c" in text
    code = text.split('python -c "')[1].split('"')[0]
    compile(code, "command", "exec")
    assert f"AutoPeftModelForCausalLM.from_pretrained('{folder.as_posix()}').merge_and_unload()" in code


def test_a_folder_without_a_tokenizer(folder):
    for file in folder.glob("tokenizer*"):
        file.unlink()
    assert "has no tokenizer: copy tokenizer.json" in refusal(folder)


@pytest.mark.parametrize("method", ["gptq", "awq", "bitsandbytes"])
def test_quantized_weights_without_their_package(folder, method):
    entries = {"quant_method": method, "bits": 4, "group_size": 128, "load_in_4bit": True, "zero_point": True}
    configure(folder, quantization_config=entries)
    text = refusal(folder)
    assert f"are quantized ({method})" in text and "or choose the unquantized model that it was made from" in text


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite(folder, value):
    network = hf.AutoModelForCausalLM.from_pretrained(folder)
    network.model.layers[1].mlp.down_proj.weight.data[0, :2] = value
    network.save_pretrained(folder)
    assert "not finite in float32: 2 of model.layers.1.mlp.down_proj.weight are NaN or infinite" in refusal(folder)


def test_a_weight_that_is_missing_is_never_drawn_at_random(folder):
    weights = load_file(folder / "model.safetensors")
    del weights["model.layers.1.mlp.down_proj.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    assert "1 is missing or has another shape, model.layers.1.mlp.down_proj.weight" in refusal(folder)


def test_a_missing_package_comes_with_the_command_that_installs_it():
    text = "This model needs tiktoken. Run it again after\n`pip install tiktoken`\nor use another."
    caught = pytest.raises(tg.InputError, match="This model needs tiktoken: run  pip install tiktoken")
    with caught as error, one_line_errors("a model"):
        raise ImportError(text)
    assert "\n" not in str(error.value)


def test_a_pointer_in_place_of_the_weights(folder):
    (folder / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\nsize 12\n")
    assert f"which only points to them: run  git lfs pull  in {folder}" in refusal(folder)


def test_weights_under_another_name(folder):
    (folder / "model.safetensors").rename(folder / "model.fp16.safetensors")
    assert "rename model.fp16.safetensors to model.safetensors" in refusal(folder)
    (folder / "model.fp16.safetensors").rename(folder / "model.safetensors")  # the remedy
    tg.load_model(folder, device="cpu")


@pytest.fixture
def grown(folder):
    """A model whose tokenizer got a token after the training."""
    tokenizer = hf.AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(["mill"])
    tokenizer.save_pretrained(folder)
    return folder


def test_a_token_without_an_embedding_is_named_before_a_survey_measures(grown, tmp_path):
    prompts = tiny_survey.prompts(3)
    prompts[2] = tg.Prompt("river", "letters", "the mill " + prompts[2].text)
    out = tmp_path / "new" / "survey.zarr"
    rows = len(tiny_survey.ALPHABET)
    for _ in range(2):  # a rerun ends the same
        with pytest.raises(
            tg.InputError, match=f"prompt river has the token 'mill' with id {rows}, but .* {rows} rows"
        ):
            tg.survey(tiny_survey.named(grown), prompts, (0,), out, **tiny_survey.REQUEST)
    assert not out.parent.exists()
    with pytest.raises(tg.InputError, match="prompt text has the token 'mill'|the prompt has the token 'mill'"):
        tg.measure(tg.load_model(grown, device="cpu"), prompts[2], n_tokens=64, scale_max=16, k_max=8)
    try:
        tg.survey(tiny_survey.named(grown), prompts[:2], (0,), out, **tiny_survey.REQUEST)
    except PartialSurvey:
        pytest.fail("texts without the token are measured")


@pytest.mark.parametrize("entries, words", [
    ({"model_type": "t5"}, "has type 't5', which is not a causal language model"),
    ({"model_type": "no_such"}, "this version of transformers does not support.*pip install --upgrade"),
    ({"is_encoder_decoder": True}, "is an encoder-decoder, whose predictions depend on a second text"),
    ({"architectures": ["LlamaModel"]}, "holds a LlamaModel, which has no head that predicts the next token"),
    ({"architectures": ["LlamaForSequenceClassification"]}, "has no head that predicts the next token"),
])  # fmt: skip
def test_what_is_no_causal_language_model(folder, entries, words):
    configure(folder, **entries)
    assert re.search(words, refusal(folder))
