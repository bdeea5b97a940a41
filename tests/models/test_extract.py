"""Token clouds of every decoder family, on tiny models with random weights."""

import gc
import weakref

import pytest
import torch
import transformers as hf

import tokengeom_utils as tg
from tokengeom_utils import LanguageModel, halve_layers, stream_clouds, switched_clouds
from tokengeom_utils.models.extract import CHUNK

SIZES = {
    "vocab_size": 97,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 512,
}
GROUPED = SIZES | {"num_key_value_heads": 2}
CONFIGS = {
    "Llama": lambda: hf.LlamaConfig(**GROUPED),
    "Mistral": lambda: hf.MistralConfig(**GROUPED, sliding_window=64),
    "GPT-NeoX": lambda: hf.GPTNeoXConfig(**SIZES),
    "GPT-2": lambda: hf.GPT2Config(vocab_size=97, n_embd=32, n_layer=2, n_head=4, n_positions=512),
    "OPT": lambda: hf.OPTConfig(
        vocab_size=97,
        hidden_size=32,
        ffn_dim=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=512,
        word_embed_proj_dim=32,
    ),
    "Qwen2": lambda: hf.Qwen2Config(**GROUPED),
    "Gemma": lambda: hf.GemmaConfig(**GROUPED, head_dim=8),
    "Gemma2": lambda: hf.Gemma2Config(**GROUPED, head_dim=8, final_logit_softcapping=2.0),
    "Phi": lambda: hf.PhiConfig(**GROUPED),
    "Cohere": lambda: hf.CohereConfig(**GROUPED, logit_scale=0.25),
    "Granite": lambda: hf.GraniteConfig(**GROUPED, logits_scaling=8.0),
}


def tiny(family):
    """A model of two layers of some family."""
    torch.manual_seed(0)
    network = hf.AutoModelForCausalLM.from_config(CONFIGS[family]()).eval()
    with torch.no_grad():  # larger weights than at initialization: losses that differ from log 97
        for weight in network.parameters():
            weight.mul_(3)
    return LanguageModel(family, network, None, "test")


@pytest.mark.parametrize("n_tokens", [2, 50, CHUNK + 1, 3 * CHUNK + 7])
@pytest.mark.parametrize("family", CONFIGS)
def test_hidden_states_and_loss_equal_those_of_transformers(family, n_tokens):
    model = tiny(family)
    ids = torch.randint(0, 97, (n_tokens,), generator=torch.Generator().manual_seed(n_tokens))
    clouds = tg.token_clouds(model, ids)
    with torch.inference_mode():
        expected = model.network(ids[None], labels=ids[None], output_hidden_states=True)
    torch.testing.assert_close(clouds.hidden, torch.cat(expected.hidden_states), rtol=0, atol=0)
    assert len(clouds.hidden) == model.n_layers + 1
    assert clouds.loss.shape == (n_tokens - 1,) and clouds.loss.dtype == torch.float32
    assert clouds.loss.mean().item() == pytest.approx(expected.loss.item(), rel=1e-5)
    surprise = -expected.logits[0, :-1].float().log_softmax(-1).gather(1, ids[1:, None])[:, 0]
    torch.testing.assert_close(clouds.loss, surprise, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("family, norm", [("Llama", "norm"), ("GPT-2", "ln_f"), ("GPT-NeoX", "final_layer_norm"),
                                          ("Phi", "final_layernorm"), ("OPT", "decoder.final_layer_norm")])  # fmt: skip
def test_the_cloud_before_the_final_norm(family, norm):
    model = tiny(family)
    clouds = tg.token_clouds(model, torch.arange(20))
    assert not torch.allclose(clouds.before_norm, clouds.hidden[-1])
    with torch.inference_mode():
        normed = model.network.base_model.get_submodule(norm)(clouds.before_norm)
    torch.testing.assert_close(normed, clouds.hidden[-1])


LAST_MATRIX = {"GPT-NeoX": "mlp.dense_4h_to_h", "GPT-2": "mlp.c_proj", "OPT": "fc2", "Phi": "mlp.fc2"}


@pytest.mark.parametrize("family", CONFIGS)
def test_the_halves_of_a_layer_add_up(family):
    model, ids = tiny(family), torch.arange(20)
    clouds, (ends, halfway) = tg.token_clouds(model, ids), halve_layers(model, ids)
    torch.testing.assert_close(ends, torch.cat([clouds.hidden[:-1], clouds.before_norm[None]]), rtol=0, atol=0)
    alone = halve_layers(model, ids, attention_only=True)
    torch.testing.assert_close(alone.halfway, alone.ends[1:], rtol=0, atol=0)
    torch.testing.assert_close(alone.halfway[0], halfway[0])
    with torch.no_grad():  # the same network with feed-forward parts that return zero
        for block in model.anatomy.blocks:
            for weight in block.get_submodule(LAST_MATRIX.get(family, "mlp.down_proj")).parameters():
                weight.zero_()
    silent = tg.token_clouds(model, ids)
    torch.testing.assert_close(alone.ends, torch.cat([silent.hidden[:-1], silent.before_norm[None]]))
    assert not torch.allclose(alone.ends[-1], ends[-1])


def test_a_layer_that_is_not_a_sum_of_parts_is_refused():
    network = hf.BloomForCausalLM(hf.BloomConfig(vocab_size=97, hidden_size=32, n_layer=2, n_head=4)).eval()
    with pytest.raises(tg.InputError, match="are not the sum of the tokens, attention and"):
        halve_layers(LanguageModel("bloom", network, None, "test"), torch.arange(20))


def test_the_order_enters_through_the_mask_and_the_positions():
    model, ids = tiny("Llama"), torch.arange(20)
    order = torch.randperm(20, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(switched_clouds(model, ids[None])[0], tg.token_clouds(model, ids).hidden)
    for mask in (True, False):
        for positions in (True, False):
            straight, permuted = switched_clouds(model, torch.stack([ids, ids[order]]), mask, positions)
            alike = torch.allclose(straight[:, order], permuted, rtol=1e-4, atol=1e-4 * straight.abs().max())
            assert alike == (not mask and not positions)


def test_no_hook_is_left_behind():
    def hooks():
        return sum(len(module._forward_hooks) for module in model.network.modules())

    model = tiny("Llama")
    tg.token_clouds(model, torch.arange(20))  # transformers installs hooks of its own at the first call
    before = hooks()
    tg.token_clouds(model, torch.arange(20))
    halve_layers(model, torch.arange(20))
    assert hooks() == before


def test_soft_capping_is_applied():
    model = tiny("Gemma2")
    ids = torch.arange(40)
    capped = tg.token_clouds(model, ids).loss
    model.network.config.final_logit_softcapping = None
    assert not torch.allclose(tg.token_clouds(model, ids).loss, capped)


@pytest.mark.parametrize("n_tokens, words", [(0, "0 tokens, but at least 2"), (1, "1 tokens, but at least 2"),
                                             (513, "513 tokens, but Llama has positions for 512")])  # fmt: skip
def test_prompts_of_an_impossible_length_are_refused(n_tokens, words):
    with pytest.raises(tg.InputError, match=words):
        tg.token_clouds(tiny("Llama"), torch.zeros(n_tokens, dtype=torch.long))


def test_layers_of_different_widths_cannot_be_stacked():
    torch.manual_seed(0)
    config = hf.OPTConfig(
        vocab_size=97,
        hidden_size=32,
        ffn_dim=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        word_embed_proj_dim=16,
        do_layer_norm_before=False,
    )
    model = LanguageModel("OPT-350m-like", hf.OPTForCausalLM(config).eval(), None, "test")
    with pytest.raises(tg.InputError, match=r"different widths, \[16, 32\]"):
        tg.token_clouds(model, torch.arange(9))


def test_stream_clouds_hands_over_every_position_of_the_predictions():
    model, chunks = tiny("Llama"), []
    ids = torch.randint(0, 97, (3, 150), generator=torch.Generator().manual_seed(0))
    loss = stream_clouds(model, ids, on_cloud=lambda cloud: None, on_log_p=chunks.append)
    log_p = torch.cat(chunks)
    assert log_p.shape == (3 * 149, 97) and log_p.dtype == torch.float32
    assert list(map(len, chunks)) == 3 * [CHUNK, 149 - CHUNK]  # every prompt is cut alike
    torch.testing.assert_close(-log_p.gather(1, ids[:, 1:].reshape(-1, 1)).reshape(3, 149), loss)
    with torch.inference_mode():
        logits = model.network(ids).logits[:, :-1].flatten(0, 1)
    torch.testing.assert_close(log_p, logits.log_softmax(-1), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("family", CONFIGS)
def test_the_logit_cloud_has_the_distances_of_the_logits(family):
    model = tiny(family)
    last = tg.token_clouds(model, torch.arange(20)).hidden[-1]
    cloud = tg.logit_cloud(model, last)
    if family == "Gemma2":  # its logits are capped, so they are not linear in the hidden states
        assert cloud is None
        return
    logits = last.double() @ model.network.get_output_embeddings().weight.detach().double().T
    assert cloud.shape == last.shape and cloud.dtype == torch.float64
    torch.testing.assert_close(torch.pdist(cloud), torch.pdist(logits))


USES = {
    "token_clouds": lambda model, ids: tg.token_clouds(model, ids),
    "halve_layers": lambda model, ids: halve_layers(model, ids),
    "switched_clouds": lambda model, ids: switched_clouds(model, ids[None]),
    "logit_cloud": lambda model, ids: tg.logit_cloud(model, tg.token_clouds(model, ids).hidden[-1]),
    "measure_tokens": lambda model, ids: tg.measure_tokens(model, ids, 4, 3),
}


@pytest.mark.parametrize("use", USES)
def test_nothing_outlives_its_model(use):
    """A cache that held the network, or a tensor as large as its weights, would keep a GPU full."""
    model, ids = tiny("Llama"), torch.arange(20)
    found = USES[use](model, ids)
    network = weakref.ref(model.network)
    weights = [weakref.ref(parameter) for parameter in model.network.parameters()]
    factor = weakref.ref(model.logit_factor)
    del model
    gc.collect()
    assert network() is None and factor() is None and not any(weight() is not None for weight in weights)
    del found


def test_the_factor_of_the_logits_is_computed_once():
    model = tiny("Llama")
    assert model.logit_factor is model.logit_factor and model.logit_factor.shape == (32, 32)
