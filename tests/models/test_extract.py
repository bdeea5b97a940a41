"""Extraction from every decoder family, on tiny models with random weights."""

import pytest
import torch
import tokengeom_utils as tg
import transformers as hf
from tokengeom_utils.models.extract import CHUNK, _blocks, halve_layers, switched_clouds
from tokengeom_utils.models.load import LanguageModel

SIZES = {"vocab_size": 97, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
         "num_attention_heads": 4, "max_position_embeddings": 512}
GROUPED = SIZES | {"num_key_value_heads": 2}
CONFIGS = {
    "Llama": lambda: hf.LlamaConfig(**GROUPED),
    "Mistral": lambda: hf.MistralConfig(**GROUPED, sliding_window=64),
    "GPT-NeoX": lambda: hf.GPTNeoXConfig(**SIZES),
    "GPT-2": lambda: hf.GPT2Config(vocab_size=97, n_embd=32, n_layer=2, n_head=4, n_positions=512),
    "OPT": lambda: hf.OPTConfig(vocab_size=97, hidden_size=32, ffn_dim=48, num_hidden_layers=2, num_attention_heads=4,
                                max_position_embeddings=512, word_embed_proj_dim=32),
    "Qwen2": lambda: hf.Qwen2Config(**GROUPED),
    "Gemma": lambda: hf.GemmaConfig(**GROUPED, head_dim=8),
    "Gemma2": lambda: hf.Gemma2Config(**GROUPED, head_dim=8, final_logit_softcapping=2.0),
    "Phi": lambda: hf.PhiConfig(**GROUPED),
    "Cohere": lambda: hf.CohereConfig(**GROUPED, logit_scale=0.25),
    "Granite": lambda: hf.GraniteConfig(**GROUPED, logits_scaling=8.0),
}


def tiny(family):
    torch.manual_seed(0)
    network = hf.AutoModelForCausalLM.from_config(CONFIGS[family]()).eval()
    with torch.no_grad():  # larger weights than at initialization: losses that differ from log 97
        for weight in network.parameters():
            weight.mul_(3)
    return LanguageModel(family, network, None, "test")


@pytest.mark.parametrize("n_tokens", [2, 50, CHUNK + 1, 3 * CHUNK + 7])
@pytest.mark.parametrize("family", CONFIGS)
def test_hidden_states_and_loss_are_those_of_transformers(family, n_tokens):
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
    with torch.no_grad():  # the same network with feed-forward parts that give zero
        for block in _blocks(model):
            for weight in block.get_submodule(LAST_MATRIX.get(family, "mlp.down_proj")).parameters():
                weight.zero_()
    silent = tg.token_clouds(model, ids)
    torch.testing.assert_close(alone.ends, torch.cat([silent.hidden[:-1], silent.before_norm[None]]))
    assert not torch.allclose(alone.ends[-1], ends[-1])


def test_a_layer_that_is_no_sum_of_parts_is_refused():
    network = hf.BloomForCausalLM(hf.BloomConfig(vocab_size=97, hidden_size=32, n_layer=2, n_head=4)).eval()
    with pytest.raises(tg.InputError, match="attention plus"):
        halve_layers(LanguageModel("bloom", network, None, "test"), torch.arange(20))


def test_the_order_enters_by_the_mask_and_by_the_positions():
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


def test_soft_capping_is_not_forgotten():
    model = tiny("Gemma2")
    ids = torch.arange(40)
    capped = tg.token_clouds(model, ids).loss
    model.network.config.final_logit_softcapping = None
    assert not torch.allclose(tg.token_clouds(model, ids).loss, capped)


@pytest.mark.parametrize("n_tokens", [0, 1, 513])
def test_prompts_that_do_not_fit(n_tokens):
    with pytest.raises(tg.InputError, match=f"{n_tokens} tokens: Llama takes from 2 to 512"):
        tg.token_clouds(tiny("Llama"), torch.zeros(n_tokens, dtype=torch.long))


def test_layers_of_different_widths_cannot_be_stacked():
    torch.manual_seed(0)
    config = hf.OPTConfig(vocab_size=97, hidden_size=32, ffn_dim=48, num_hidden_layers=2, num_attention_heads=4,
                          word_embed_proj_dim=16, do_layer_norm_before=False)
    model = LanguageModel("OPT-350m-like", hf.OPTForCausalLM(config).eval(), None, "test")
    with pytest.raises(tg.InputError, match=r"different widths, \[16, 32\]"):
        tg.token_clouds(model, torch.arange(9))
