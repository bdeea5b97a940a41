"""A small random Llama in GGUF, with a tokenizer of its own, in one file or in several."""

import gguf
import numpy as np
from tokenizers import pre_tokenizers

TOKENS = ["<|endoftext|>", *sorted(pre_tokenizers.ByteLevel.alphabet()), "Ġt", "he"]
FEATURES, INNER, LAYERS = 32, 48, 2


def write_gguf(*files):
    """Write the model; several files are the parts of a split model, of which the first holds the metadata."""
    tensors, each = list(_tensors()), -(-len(_shapes()) // len(files))
    for number, path in enumerate(files):
        file = gguf.GGUFWriter(path, "llama")
        if not number:
            _add_metadata(file)
        if len(files) > 1:
            file.add_uint16("split.no", number)
            file.add_uint16("split.count", len(files))
            file.add_int32("split.tensors.count", len(tensors))
        for name, values, kind in tensors[number * each : (number + 1) * each]:
            file.add_tensor(name, values, raw_dtype=kind)
        file.write_header_to_file()
        file.write_kv_data_to_file()
        file.write_tensors_to_file()
        file.close()


def _add_metadata(file):
    file.add_context_length(64)
    file.add_embedding_length(FEATURES)
    file.add_block_count(LAYERS)
    file.add_feed_forward_length(INNER)
    file.add_head_count(2)
    file.add_head_count_kv(2)
    file.add_rope_dimension_count(FEATURES // 2)
    file.add_layer_norm_rms_eps(1e-5)
    file.add_vocab_size(len(TOKENS))
    file.add_tokenizer_model("gpt2")
    file.add_token_list(TOKENS)
    file.add_token_merges(["Ġ t", "h e"])
    file.add_token_types([3] + [1] * (len(TOKENS) - 1))
    file.add_bos_token_id(0)
    file.add_eos_token_id(0)


def _shapes():
    square = (FEATURES, FEATURES)
    shapes = {
        "attn_q": square,
        "attn_k": square,
        "attn_v": square,
        "attn_output": square,
        "attn_norm": (FEATURES,),
        "ffn_gate": (INNER, FEATURES),
        "ffn_up": (INNER, FEATURES),
        "ffn_down": (FEATURES, INNER),
        "ffn_norm": (FEATURES,),
    }
    names = {f"blk.{i}.{name}.weight": shape for i in range(LAYERS) for name, shape in shapes.items()}
    return names | {"token_embd.weight": (len(TOKENS), FEATURES), "output_norm.weight": (FEATURES,)}


def _tensors():
    """Names and values; those of the first block's gate are quantized to 8 bits."""
    rng = np.random.default_rng(0)
    for name, shape in _shapes().items():
        values, kind = rng.normal(0, 0.1, shape).astype(np.float32), None
        if name == "blk.0.ffn_gate.weight":
            kind = gguf.GGMLQuantizationType.Q8_0
            values = gguf.quants.quantize(values, kind)
        yield name, values, kind
