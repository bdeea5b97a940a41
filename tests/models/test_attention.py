"""Weights and outputs of attention against those that transformers computes, and models without them."""

import pytest
import torch
import transformers as hf
from test_anatomy import SIZES, tiny

import tokengeom_utils as tg
from tokengeom_utils.models import attention

CONFIGS = [
    hf.LlamaConfig(**SIZES),
    hf.LlamaConfig(**SIZES, num_key_value_heads=2),
    hf.MistralConfig(**SIZES, num_key_value_heads=2, sliding_window=8),
    hf.GPT2Config(vocab_size=97, n_embd=32, n_layer=2, n_head=4, n_positions=512),
    hf.OPTConfig(vocab_size=97, hidden_size=32, ffn_dim=48, num_hidden_layers=2, num_attention_heads=4),
]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.model_type)
def test_weights_are_those_of_the_model(config):
    model, ids = tiny(config, 2.0), torch.arange(24) * 4 % 97
    parts = tg.attention_parts(model, ids)
    before = model.network.config._attn_implementation
    model.network.set_attn_implementation("eager")
    own = model.network(input_ids=ids[None], output_attentions=True).attentions
    model.network.set_attn_implementation(before)
    weights = torch.stack(own)[:, 0]
    torch.testing.assert_close(parts.first, weights[..., 0], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(parts.perplexity, torch.special.entr(weights).sum(-1).exp(), atol=1e-4, rtol=1e-4)
    halves = tg.halve_layers(model, ids)
    torch.testing.assert_close(parts.output, halves.halfway - halves.ends[:-1], atol=1e-4, rtol=1e-3)


@torch.inference_mode()
def test_the_other_outputs_average_the_values_as_they_claim():
    model, ids = tiny(hf.LlamaConfig(**SIZES), 3.0), torch.arange(20) * 3
    parts, cloud = tg.attention_parts(model, ids), tg.token_clouds(model, ids).hidden[1]
    block = model.anatomy.blocks[1]
    values = block.self_attn.v_proj(block.input_layernorm(cloud))
    even = block.self_attn.o_proj(values.cumsum(0) / torch.arange(1, 21)[:, None])
    torch.testing.assert_close(parts.uniform[1], even, atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(parts.itself[1], block.self_attn.o_proj(values), atol=1e-4, rtol=1e-3)
    first = block.self_attn.o_proj((parts.first[1].mT[..., None] * values[0].reshape(4, 8)).flatten(1))
    torch.testing.assert_close(parts.output[1] - parts.without_first[1], first, atol=1e-4, rtol=1e-3)
    assert (parts.uniform - parts.output).norm() > 0.01 * parts.output.norm()


def test_dealt_weights_are_those_of_the_row_at_other_visible_tokens():
    weights = torch.rand(3, 12, 12, generator=torch.Generator().manual_seed(1)).tril()
    visible = torch.ones(12, 12, dtype=torch.bool).tril().triu(-6).expand_as(weights)  # a window of seven
    visible = visible.clone().index_fill_(-1, torch.tensor(0), True)
    weights = torch.where(visible, weights, 0)
    dealt = attention._dealt(weights, visible, torch.Generator().manual_seed(2))
    torch.testing.assert_close(dealt.sort(-1).values, weights.sort(-1).values, atol=0, rtol=0)
    assert torch.equal(dealt[..., 0], weights[..., 0])
    assert torch.equal(dealt.diagonal(dim1=-2, dim2=-1), weights.diagonal(dim1=-2, dim2=-1))
    assert (dealt[~visible] == 0).all() and (dealt != weights).any(-1)[:, 7:].all()
    at = torch.stack([attention._dealt(weights, visible, torch.Generator().manual_seed(k)) for k in range(600)])
    expected = weights[0, 11, 5:11].mean()  # every weight is as likely at every free token
    torch.testing.assert_close(at[:, 0, 11, 5:11].mean(0), expected.expand(6), atol=0.06, rtol=0)


@torch.inference_mode()
def test_with_dealt_weights_a_token_averages_the_same_values_otherwise():
    model, ids = tiny(hf.LlamaConfig(**SIZES), 3.0), torch.arange(20) * 3
    parts = tg.attention_parts(model, ids, seed=5)
    for others, same in (
        (tg.attention_parts(model, ids, seed=5), True),
        (tg.attention_parts(model, ids, seed=6), False),
    ):
        assert torch.equal(parts.dealt, others.dealt) is same and torch.equal(parts.output, others.output)
    # tokens with no more than one token between the first and themselves have nothing to deal
    torch.testing.assert_close(parts.dealt[:, :3], parts.output[:, :3], atol=1e-5, rtol=1e-4)
    assert (parts.dealt - parts.output)[:, 3:].norm() > 0.01 * parts.output.norm()


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.model_type)
def test_a_token_with_itself_alone_does_not_see_the_others(config):
    model, ids = tiny(config, 2.0), torch.arange(24) * 4 % 97
    before, after = (tg.attention_parts(model, some) for some in (ids, torch.cat([ids[:12].flip(0), ids[12:]])))
    assert (before.output[0, 12:] - after.output[0, 12:]).abs().max() > 1e-3
    torch.testing.assert_close(before.itself[0, 12:], after.itself[0, 12:], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(before.itself[:, 0], before.output[:, 0], atol=1e-4, rtol=1e-3)  # it sees no other


def test_a_prefix_is_the_first_token_and_has_no_row():
    model = tg.tiny_model()
    ids = model.tokenize("Tokens move through the layers.")
    plain = tg.attention_parts(model, ids)
    object.__setattr__(model, "prefix", (7,))
    behind = tg.attention_parts(model, ids)
    assert behind.output.shape == plain.output.shape
    assert (plain.first[..., 0] == 1).all() and (behind.first[..., 0] < 1).all()


def test_the_model_is_as_before():
    model, ids = tg.tiny_model(), torch.arange(30)
    before, name = tg.token_clouds(model, ids).hidden, model.network.config._attn_implementation
    tg.attention_parts(model, ids)
    assert model.network.config._attn_implementation == name
    assert torch.equal(tg.token_clouds(model, ids).hidden, before)
    with pytest.raises(KeyError):
        model.network.set_attn_implementation("eager")
        model.network.config._attn_implementation_internal = attention.NAME
        tg.token_clouds(model, ids)


@pytest.mark.parametrize("config", [
    hf.Gemma2Config(**SIZES, head_dim=8, attn_logit_softcapping=0.01),  # a cap on its scores
    hf.MambaConfig(vocab_size=97, hidden_size=32, num_hidden_layers=2),  # no attention
], ids=lambda config: config.model_type)  # fmt: skip
def test_attention_that_is_not_a_plain_softmax_is_refused(config):
    with pytest.raises(tg.InputError, match=r"attention of tiny is more than a softmax.*use another model"):
        tg.attention_parts(tiny(config, 3.0), torch.arange(30))
