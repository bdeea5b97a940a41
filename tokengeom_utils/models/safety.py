"""What of a model may be loaded: numbers from safetensors or GGUF files; no pickles, no code.

Unpickling runs whatever the file says, and so does a repository's own Python code (``trust_remote_code`` of
transformers). Neither has a switch here.
"""

import json
from pathlib import Path

from ..errors import InputError

PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")


def find_weights(folder):
    """The weights of a folder: (names of its safetensors files or of one GGUF file, is it GGUF); None without any."""
    names = ["model.safetensors"]
    if not (folder / names[0]).is_file():
        names = safetensors_names(folder)
    if all((folder / name).is_file() for name in names):
        return names, False
    ggufs = sorted(path.name for path in folder.glob("*.gguf"))
    return (ggufs, True) if len(ggufs) == 1 else None


def safetensors_names(folder):
    """Names of the safetensors files in which a folder keeps, or would keep, its weights.

    Raises
    ------
    InputError
        If its index names anything but safetensors files beside it.
    """
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        return ["model.safetensors"]
    weight_map = read_json(index).get("weight_map")
    names = sorted(set(weight_map.values())) if isinstance(weight_map, dict) else []
    if not names or not all(name == Path(name).name and name.endswith(".safetensors") for name in names):
        raise InputError(f"{index} is not an index of safetensors files")
    return names


def without_weights(files, name):
    """Why files are of no use as weights and what to do: the rest of a sentence that begins with the model."""
    ggufs = [file for file in files if file.endswith(".gguf")]
    if ggufs:
        return f"holds {len(ggufs)} GGUF files: choose one by its path, such as {name}/{ggufs[0]}"
    shards = [file for file in files if file.endswith((".safetensors", ".safetensors.index.json"))]
    if shards:
        return f"lacks a part of its weights: of their files there is only {', '.join(shards[:3])}"
    pickles = [file for file in files if file.endswith(PICKLES)]
    if pickles:
        new = f"{Path(name).name}-safetensors"
        return (
            f"has only pickled weights ({pickles[0]}), which run code when they are read: if you trust them, convert "
            f"""them by  python -c "import transformers as t; [c.from_pretrained('{name}').save_pretrained('{new}') """
            f"""for c in (t.AutoModelForCausalLM, t.AutoTokenizer)]"  and load {new}"""
        )
    return "has neither safetensors nor GGUF weights"


def check_config(folder, name):
    """Raise ``InputError`` if a model's configuration asks for code, pickles or what transformers does not know.

    An ``auto_map``, the entry that points to code, is passed over where transformers has the architecture itself,
    as it has for Falcon or Phi-3: then its own implementation is used.
    """
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES as KNOWN

    if (folder / "adapter_config.json").is_file():
        raise InputError(f"{name} is an adapter: merge it into its model (peft's merge_and_unload) and load that")
    if not (folder / "config.json").is_file():
        raise InputError(f"{name} has no config.json")
    config = read_json(folder / "config.json")
    kind = config.get("model_type")
    if kind not in KNOWN:
        if "auto_map" in config:
            code = sorted({str(value).split(".")[0] + ".py" for value in config["auto_map"].values()})
            raise InputError(f"{name} needs Python code of its own ({', '.join(code)}), which is never run here: "
                             "choose a model that transformers knows itself")
        raise InputError(f"{name} is of type {kind!r}, which transformers does not know as a causal language model: "
                         "a newer version may, see  pip install --upgrade transformers")
    for key in ("attn_implementation", "_attn_implementation"):
        if "/" in str(config.get(key, "")):
            raise InputError(f"{name} asks for a kernel from the Hub ({config[key]}), which is never run here: "
                             f"remove {key} from its config.json")
    weights = config.get("transformers_weights")
    if weights and not str(weights).endswith((".safetensors", ".safetensors.index.json")):
        raise InputError(f"{name} asks for {weights}: only safetensors are read")


def read_json(path):
    """A JSON file that holds an object."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path} is not JSON: {error}") from None
    if not isinstance(content, dict):
        raise InputError(f"{path} does not hold a JSON object")
    return content
