"""Every decoder of transformers, tiny and with random weights: our clouds and losses beside the model's own.

    .venv/bin/python tests/architectures.py              # all types, about six minutes; renews the table of the book
    .venv/bin/python tests/architectures.py llama bart   # prints the rows of some types

A type is *supported* if :func:`tokengeom_utils.stream_clouds` measures it, as surveys do; then every state that the
model itself reports must be one of our clouds, and every loss must follow from the logits that it returns. Otherwise it
must be refused in one line.
"""

import inspect
import json
import signal
import sys
import textwrap
import warnings
from pathlib import Path
from typing import NamedTuple

import torch
import transformers
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES as TYPES

import tokengeom_utils as tg
from tokengeom_utils.models.passes import output_of

PAGE = Path(__file__).parents[1] / "book" / "models.md"
START, END = "<!-- table: make architectures -->", "<!-- end of table -->"
SECONDS = 120  # for one type
LARGEST = 100_000_000  # parameters of a model that is built here
WORDS = 97  # size of the vocabulary
N = 40  # tokens of the prompt
GAIN = 8.0  # weights larger than at initialization, so that faults show

# What a size is called differs by architecture; each configuration takes the names that it knows.
_SIZES = {
    32: "hidden_size n_embd d_model word_embed_proj_dim embedding_size rnn_hidden_size lru_width",
    48: "intermediate_size n_inner ffn_hidden_size ffn_dim decoder_ffn_dim encoder_ffn_dim",
    24: "moe_intermediate_size shared_expert_intermediate_size",
    16: "q_lora_rank kv_lora_rank attention_window_size sliding_window dim_model_base",
    8: "head_dim qk_nope_head_dim v_head_dim linear_key_head_dim linear_value_head_dim mamba_d_state mamba_n_heads"
    " mamba_d_head state_size hidden_size_per_layer_input",
    4: "num_attention_heads n_head n_heads attention_heads decoder_attention_heads encoder_attention_heads num_heads"
    " num_experts num_local_experts n_routed_experts moe_num_experts qk_rope_head_dim linear_num_value_heads"
    " mamba_d_conv time_step_rank rotary_dim",
    2: "num_hidden_layers n_layer n_layers num_layers decoder_layers num_key_value_heads num_experts_per_tok moe_k"
    " num_experts_per_token linear_num_key_heads mamba_expand eos_token_id",
    3: "encoder_layers",  # unlike the decoder's
    1: "bos_token_id n_shared_experts n_group topk_group first_k_dense_replace mamba_n_groups type_vocab_size",
    0: "pad_token_id",
    512: "max_position_embeddings n_positions max_seq_len",
    WORDS: "vocab_size vocab_size_per_layer_input",
}
USUAL = {name: size for size, names in _SIZES.items() for name in names.split()} | {"is_decoder": True}
PARTICULAR = Path(__file__).with_name("architectures.json")  #: settings of single types; "only" those, "-" without some


class Row(NamedTuple):
    """The outcome for one type."""

    kind: str
    supported: str  #: yes, no, or "not tried"
    layers: str = ""  #: whether they agree with the model's own
    loss: str = ""  #: whether it follows from the model's own logits
    remark: str = ""


def build(kind: str) -> torch.nn.Module:
    """Return a tiny network of a type with random weights; any exception says that it cannot be built."""
    own = dict(json.loads(PARTICULAR.read_text(encoding="utf-8")).get(kind, {}))
    base, without = {} if own.pop("only", False) else _usual(CONFIG_MAPPING[kind]), own.pop("-", [])
    config = CONFIG_MAPPING[kind](**{name: value for name, value in base.items() if name not in without} | own)
    with torch.device("meta"):
        size = sum(weight.numel() for weight in transformers.AutoModelForCausalLM.from_config(config).parameters())
    if size > LARGEST:
        raise ValueError(f"its smallest configuration here has {size:,} parameters")
    torch.manual_seed(0)
    network = transformers.AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():
        for weight in network.parameters():
            if weight.is_floating_point():
                weight.mul_(GAIN)
    return network


def _usual(config_class):
    """The usual sizes that a configuration and those within it know."""
    known = set(inspect.signature(config_class.__init__).parameters)
    known.update(*(vars(base).get("__annotations__", {}) for base in config_class.__mro__))
    settings = {name: value for name, value in USUAL.items() if name in known}
    for name, part in getattr(config_class, "sub_configs", {}).items():
        if part is not transformers.AutoConfig:
            settings[name] = _usual(part)
    return settings


def prompt(network: torch.nn.Module) -> torch.Tensor:
    """Return the ids of a prompt."""
    words = getattr(network.config.get_text_config(), "vocab_size", WORDS)
    return torch.randint(3, min(words, WORDS), (N,), generator=torch.Generator().manual_seed(1))


def compare(kind: str, network: torch.nn.Module) -> Row:
    """Measure a network and hold the result against what it returns itself."""
    ids = prompt(network)
    with torch.inference_mode():
        own = network(input_ids=ids[None], output_hidden_states=True, use_cache=False)
    surprise = -own.logits[0, :-1].float().log_softmax(-1).gather(1, ids[1:, None])[:, 0]
    try:
        clouds, before_norm, found_loss = stream(tg.LanguageModel(kind, network, None, "random"), ids)
    except tg.InputError as error:
        reason = str(error).removesuffix(": use another model").split(" are not defined, as it ")[-1]
        return Row(kind, "no", remark=reason)
    layers = "yes" if _layers_agree(clouds, before_norm, own.hidden_states) else "NO"
    loss = "yes" if (found_loss - surprise).abs().max() < 1e-3 else "NO"
    return Row(kind, "yes", layers, loss, _remark(clouds, own.hidden_states))


def stream(model: tg.LanguageModel, ids: torch.Tensor) -> tuple[list[torch.Tensor], torch.Tensor, torch.Tensor]:
    """Return the clouds of all layers, the last one before its norm, and the losses; layers may differ in width."""
    clouds: list[torch.Tensor] = []
    last_block: list = []
    hook = model.anatomy.blocks[-1].register_forward_hook(lambda block, args, out: last_block.append(output_of(out)))
    try:
        loss = tg.stream_clouds(model, ids, clouds.append)
    finally:
        hook.remove()
    return clouds, last_block[0][0], loss


def _layers_agree(clouds, before_norm, own):
    """Whether each of the model's states is one of our clouds, in order, and each of ours but the first one of its."""
    ours = [*clouds[:-1], before_norm, clouds[-1]]
    place = 0
    for state in own:
        while place < len(ours) and not _same(ours[place], state[0]):
            place += 1
        if place == len(ours):
            return False
    return all(any(_same(cloud, state[0]) for state in own) for cloud in clouds[1:])


def _same(a, b):
    return a.shape == b.shape and torch.allclose(a, b, rtol=1e-4, atol=1e-5 * b.abs().max().item())


def _remark(clouds, own):
    remarks = [] if _same(clouds[0], own[0][0]) else ["its own hidden states leave the embeddings out"]
    widths = list(dict.fromkeys(cloud.shape[-1] for cloud in clouds))
    if len(widths) > 1:
        remarks.append(f"its layers are {' and '.join(map(str, widths))} wide, so token_clouds cannot stack them")
    return "; ".join(remarks)


def try_type(kind: str) -> Row:
    """Build and compare one type."""
    try:
        network = build(kind)
        with torch.inference_mode():
            network(input_ids=prompt(network)[None], output_hidden_states=True, use_cache=False)
    except Exception as error:  # says nothing about us
        reason = " ".join(str(error).split()) or type(error).__name__
        return Row(kind, "not tried", remark=textwrap.shorten(reason, 160, placeholder=" ..."))
    try:
        return compare(kind, network)
    except Exception as error:
        return Row(kind, "FAILS", remark=f"{type(error).__name__}: {error}"[:200])


def table(rows: list[Row]) -> str:
    """Return the part of the page between its marks."""
    tried = [row for row in rows if row.supported != "not tried"]
    count = sum(row.supported == "yes" for row in tried)
    lines = [
        f"Of the {len(rows)} types that transformers {transformers.__version__} knows as causal language models, "
        f"{len(tried)} could be built in a tiny size; {count} of them are supported, "
        f"and {len(tried) - count} are refused.",
        "",
        "| type | supported | layers agree | loss agrees | remark |",
        "| --- | --- | --- | --- | --- |",
    ]
    return "\n".join([*lines, *map(line, rows)])


def line(row: Row) -> str:
    """Return the line of the table for one type."""
    return f"| `{row.kind}` | {' | '.join(row[1:4])} | {_plain(row.remark)} |"


def _plain(text):
    """A remark that Markdown leaves as it is."""
    return text.replace("|", "\\|").replace("<", "&lt;").replace("_", "\\_").replace("*", "\\*")


def main():
    warnings.filterwarnings("ignore")
    transformers.utils.logging.set_verbosity_error()
    torch.set_num_threads(1)
    rows, kinds = [], sys.argv[1:] or sorted(TYPES)

    def late(*_):
        raise TimeoutError(f"longer than {SECONDS} s")

    signal.signal(signal.SIGALRM, late)
    for place, kind in enumerate(kinds, 1):
        signal.alarm(SECONDS)
        rows.append(try_type(kind))
        signal.alarm(0)
        print(f"{place}/{len(kinds)}", *filter(None, rows[-1]), sep="  ", flush=True)
    if not sys.argv[1:]:
        text = PAGE.read_text(encoding="utf-8")
        head, tail = text[: text.index(START) + len(START)], text[text.index(END) :]
        PAGE.write_text(f"{head}\n{table(rows)}\n{tail}", encoding="utf-8")
    wrong = [row.kind for row in rows if "NO" in row or row.supported == "FAILS"]
    sys.exit(f"wrong: {', '.join(wrong)}" if wrong else 0)


if __name__ == "__main__":
    main()
