"""What a pass over a few tokens finds in a network, and what it refuses; tests/architectures.py tries all types."""

import architectures
import pytest
import torch
import transformers as hf

import tokengeom_utils as tg
from tokengeom_utils import LanguageModel
from tokengeom_utils.models import passes

SIZES = {"vocab_size": 97, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
         "num_attention_heads": 4, "max_position_embeddings": 512}  # fmt: skip


PAGE = architectures.PAGE.read_text(encoding="utf-8")


def test_the_table_of_all_types_is_that_of_the_installed_version_and_has_no_fault():
    assert f"transformers {hf.__version__} " in PAGE
    table = PAGE[PAGE.index(architectures.START) : PAGE.index(architectures.END)]
    rows = [line.split("|")[2:5] for line in table.splitlines() if line.startswith("| `")]
    assert len(rows) > 150 and {cell.strip() for row in rows for cell in row} == {"yes", "no", "not tried", ""}


def tiny(config, gain=1.0):
    torch.manual_seed(0)
    network = hf.AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():
        for weight in network.parameters():
            weight.mul_(gain)
    return LanguageModel("tiny", network, None, "test")


# Heads that scale or cap their logits or have several layers; backbones in unusual places; another half of other size;
# states that transformers reports in another order; layers of different widths.
@pytest.mark.parametrize("kind", [
    "hyperclovax", "falcon_h1", "recurrent_gemma", "xlstm", "modernbert-decoder", "inkling_text", "roberta", "rembert",
    "llama4", "gemma3", "bart", "whisper", "zamba2", "mamba", "rwkv", "qwen4_exp",
])  # fmt: skip
def test_clouds_and_losses_are_those_of_the_network(kind):
    row = architectures.try_type(kind)
    assert row[1:4] == ("yes", "yes", "yes"), row
    assert architectures.line(row) in PAGE


@pytest.mark.parametrize("kind, words", [
    ("gemma3n_text", "keeps several residual streams per token"),
    ("deepseek_v4", "keeps several residual streams per token"),
    ("prophetnet", "turns 12 tokens into 36 states"),
    ("cpmant", "turns 12 tokens into 44 states"),
    ("hrm_text", "no list of blocks whose inputs are its hidden states"),
])  # fmt: skip
def test_what_has_no_cloud_per_layer_is_refused(kind, words):
    row = architectures.try_type(kind)
    assert row.supported == "no" and words in row.remark, row
    assert architectures.line(row) in PAGE


def test_a_network_that_sees_later_tokens_is_refused():
    """BERT as it is loaded by most people: without is_decoder."""
    model = tiny(hf.BertConfig(**SIZES))
    with pytest.raises(tg.InputError, match=r"predictions of tiny depend on later tokens.*is_decoder"):
        tg.token_clouds(model, torch.arange(20))
    tg.token_clouds(tiny(hf.BertConfig(**SIZES, is_decoder=True)), torch.arange(20))


def test_a_network_whose_states_are_not_what_its_head_reads_is_refused():
    model = tiny(hf.LlamaConfig(**SIZES))
    backbone = model.network.model
    honest = type(backbone).forward

    def forward(**inputs):
        output = honest(backbone, **inputs)
        return type(output)(output.last_hidden_state + 1, hidden_states=output.hidden_states)

    backbone.forward = forward
    with pytest.raises(tg.InputError, match="the last token cloud of tiny is not what its head reads"):
        _ = model.n_layers


def test_a_head_that_needs_more_than_its_states_is_refused():
    model = tiny(hf.LlamaConfig(**SIZES))
    head, forward = model.network.lm_head, type(model.network.lm_head).forward
    head.forward = lambda states: forward(head, states).cumsum(1)  # the logits of a token depend on those before it
    with pytest.raises(tg.InputError, match="cannot be computed from its last states a few positions at a time"):
        _ = model.n_layers


@pytest.mark.parametrize("config, is_linear", [
    (hf.LlamaConfig(**SIZES), True),
    (hf.CohereConfig(**SIZES, logit_scale=0.25), True),
    (hf.PhiConfig(**SIZES), True),  # a head with a bias
    (hf.Gemma2Config(**SIZES, head_dim=8, final_logit_softcapping=30.0), False),  # a cap far above these small logits
    (hf.BertConfig(**SIZES, is_decoder=True), False),  # a head of two layers
])  # fmt: skip
def test_logits_that_are_linear_in_the_last_states(config, is_linear):
    model = tiny(config)
    last = tg.token_clouds(model, torch.arange(20)).hidden[-1]
    assert (tg.logit_cloud(model, last) is not None) == is_linear


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_every_precision(dtype):
    model = tiny(hf.LlamaConfig(**SIZES))
    model.network.to(dtype)
    assert model.anatomy.has_linear_head and model.n_layers == 2 and model.n_features == 32
    assert tiny(hf.Gemma2Config(**SIZES, head_dim=8, final_logit_softcapping=2.0), 4).anatomy.has_linear_head is False


def test_the_forward_method_is_put_back(monkeypatch):
    model = tiny(hf.LlamaConfig(**SIZES))

    def fail(log_p):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tg.stream_clouds(model, torch.arange(20), lambda cloud: None, fail)
    assert "forward" not in vars(model.anatomy.backbone)
    assert not any(module._forward_pre_hooks for module in model.anatomy.blocks)
    placed = model.anatomy.backbone.forward = lambda *args, **kwargs: None  # as accelerate does
    with passes._instead_of(model.anatomy.backbone, print):
        assert model.anatomy.backbone.forward is print
    assert model.anatomy.backbone.forward is placed


def test_few_logits_exist_at_a_time():
    model, sizes = tiny(hf.LlamaConfig(**SIZES)), []
    model.network.lm_head.register_forward_hook(lambda module, args, logits: sizes.append(logits.shape[:-1].numel()))
    _ = model.anatomy
    sizes.clear()
    tg.stream_clouds(model, torch.arange(600).reshape(2, 300) % 97, lambda cloud: None)
    assert sum(sizes) == 2 * 299 and max(sizes) == 128


@pytest.mark.parametrize("config", [
    hf.MistralConfig(**SIZES, num_key_value_heads=2, sliding_window=16),
    hf.Gemma2Config(**SIZES, head_dim=8, sliding_window=16),
    hf.Qwen3Config(**SIZES, num_key_value_heads=2, head_dim=8),
])  # fmt: skip
def test_a_window_of_attention_is_kept_where_nothing_is_switched_off(config):
    model, ids = tiny(config, 3), torch.arange(64)[None]
    plain = tg.token_clouds(model, ids[0]).hidden
    torch.testing.assert_close(tg.switched_clouds(model, ids)[0], plain, rtol=1e-4, atol=1e-4)
    still = tg.switched_clouds(model, torch.cat([ids, ids.flip(1)]), mask=False, positions=False)
    torch.testing.assert_close(still[0], still[1].flip(1), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("network, words", [
    (lambda: hf.T5ForConditionalGeneration(hf.T5Config(vocab_size=97, d_model=32, d_ff=48, num_layers=1, num_heads=4)),
     "is an encoder-decoder"),
    (lambda: hf.BartForConditionalGeneration(hf.BartConfig(vocab_size=97, d_model=32, encoder_layers=1,
                                                           decoder_layers=1)), "is an encoder-decoder"),
    (lambda: torch.nn.Linear(3, 4), "the network of m is a Linear: pass the model of transformers that it wraps"),
])  # fmt: skip
def test_what_is_no_causal_language_model_is_refused(network, words):
    with pytest.raises(tg.InputError, match=words):
        tg.token_clouds(LanguageModel("m", network().eval(), None, "x"), torch.arange(20))


def test_a_network_in_train_mode_is_refused_whenever_it_is_put_there():
    model = tiny(hf.LlamaConfig(**SIZES, attention_dropout=0.5))
    tg.token_clouds(model, torch.arange(20))
    model.network.train()
    with pytest.raises(tg.InputError, match=r"tiny is in train mode.*call network.eval\(\)"):
        tg.token_clouds(model, torch.arange(20))
    with pytest.raises(tg.InputError, match="is in train mode"):
        _ = LanguageModel("tiny", model.network, None, "x").n_layers


@pytest.mark.parametrize("token_ids, words", [
    ("hello", "must be token ids, whole numbers of shape"),
    (None, "must be token ids, whole numbers of shape"),
    (torch.arange(20) / 1.5, "must be token ids, whole numbers of shape"),
    (torch.arange(20) > 5, "must be token ids, whole numbers of shape"),
    ([[1, 2, 3], [4, 5]], "prompts measured at once need one length"),
    ([5, 6, 97], "has the token id 97, but the embedding of tiny has 97 rows"),
    ([5, 6, -1], "has the token id -1"),
    ([], "0 tokens, but at least 2"),
])  # fmt: skip
def test_what_are_no_token_ids_is_refused(token_ids, words):
    with pytest.raises(tg.InputError, match=words):
        tg.token_clouds(tiny(hf.LlamaConfig(**SIZES)), token_ids)


def test_a_text_needs_a_tokenizer_and_is_one():
    with pytest.raises(tg.InputError, match="tiny has no tokenizer: measure token ids, with tg.measure_tokens"):
        tg.measure(tiny(hf.LlamaConfig(**SIZES)), "a text")
    with pytest.raises(tg.InputError, match="a prompt is a text or a Prompt, not list"):
        tg.measure(tg.tiny_model(), ["one", "two"])
