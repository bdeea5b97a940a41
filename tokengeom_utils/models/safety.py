"""Which model files are safe to load: numbers from safetensors or GGUF files; no pickles, no code.

Unpickling runs whatever code the file contains, and so does loading a repository's own Python code
(``trust_remote_code`` of transformers). This package has no option for either.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import InputError
from .gguf_files import models

PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")


def find_weights(folder: Path) -> tuple[list[str], bool] | None:
    """Find the weights in a folder.

    Parameters
    ----------
    folder : pathlib.Path

    Returns
    -------
    (list of str, bool) or None
        Names of the safetensors files, or of one GGUF file or its parts, and whether it is GGUF; None if there are no
        weights in a safe format.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> (folder / "small.gguf").touch()
    >>> find_weights(folder)
    (['small.gguf'], True)
    """
    names = ["model.safetensors"]
    if not (folder / names[0]).is_file():
        names = safetensors_names(folder)
    if all((folder / name).is_file() for name in names):
        return names, False
    ggufs = models(path.name for path in folder.glob("*") if path.is_file())
    return (ggufs[0], True) if len(ggufs) == 1 and all((folder / name).is_file() for name in ggufs[0]) else None


def safetensors_names(folder: Path) -> list[str]:
    """Return the names of the safetensors files that hold, or would hold, the weights of a folder.

    Parameters
    ----------
    folder : pathlib.Path

    Returns
    -------
    list of str

    Raises
    ------
    InputError
        If the folder's index names anything other than safetensors files beside it.
    """
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        return ["model.safetensors"]
    weight_map = read_json(index).get("weight_map")
    names = sorted(set(weight_map.values())) if isinstance(weight_map, dict) else []
    if not names or not all(name == Path(name).name and name.endswith(".safetensors") for name in names):
        raise InputError(f"{index} is not an index of safetensors files: get the folder again from its source")
    return names


def without_weights(files: Sequence[str], name: str | Path) -> str:
    """Explain why some files do not serve as weights, and what to do.

    Parameters
    ----------
    files : sequence of str
        Names of the files of a model.
    name : str or path
        The model's id or folder.

    Returns
    -------
    str
        The rest of a sentence that begins with the model.

    Examples
    --------
    >>> without_weights(["config.json"], "owner/name")
    'has neither safetensors nor GGUF weights: choose a model that has them'
    """
    if ggufs := models(files):
        if len(ggufs) == 1:
            missing = [part for part in ggufs[0] if part not in files]
            return f"has only some of the {len(ggufs[0])} parts of its GGUF model: get {', '.join(missing[:3])} too"
        return f"holds {len(ggufs)} GGUF models: choose one by its path, such as {name}/{ggufs[0][0]}"
    shards = [file for file in files if file.endswith((".safetensors", ".safetensors.index.json"))]
    if len(shards) == 1 and shards[0].startswith("model.") and shards[0].count(".") == 2:
        return f"has its weights under another name: rename {shards[0]} to model.safetensors"
    if shards:
        return f"lacks some of its weight files: it has only {', '.join(shards[:3])}; get the missing ones"
    pickles = [file for file in files if file.endswith(PICKLES)]
    if pickles:
        new, posix = f"{Path(name).name}-safetensors", str(name).replace("\\", "/")
        return (
            f"has only pickled weights ({pickles[0]}), which can run code when they are read: if you trust them, "
            f"""convert them with  python -c "import transformers as t; [c.from_pretrained('{posix}')"""
            f""".save_pretrained('{new}') for c in (t.AutoModelForCausalLM, t.AutoTokenizer)]"  and load {new}"""
        )
    if folders := [file for file in files if file.endswith("/")]:
        return f"has neither safetensors nor GGUF weights: use the folder of a model, perhaps {name}/{folders[0][:-1]}"
    return "has neither safetensors nor GGUF weights: choose a model that has them"


def unusable(names: Sequence[object]) -> str:
    """Count the weights that are missing or have the wrong shape, and name one of them.

    Parameters
    ----------
    names : sequence
        Of the weights; at least one.

    Returns
    -------
    str

    Examples
    --------
    >>> unusable(["lm_head.weight"])
    '1 is missing or has another shape, lm_head.weight'
    """
    one = len(names) == 1
    verbs = "is missing or has" if one else "are missing or have"
    return f"{len(names)} {verbs} another shape, {'' if one else 'such as '}{min(map(str, names))}"


def check_not_adapter(folder: Path, name: str) -> None:
    """Raise ``InputError`` if the weights in a folder are only an adapter of another model.

    Parameters
    ----------
    folder : pathlib.Path
    name : str
        The model's name in the error.
    """
    file = folder / "adapter_config.json"
    if not file.is_file():
        return
    base, merged = read_json(file).get("base_model_name_or_path") or "another model", f"{Path(name).name}-merged"
    name = name.replace("\\", "/")
    raise InputError(
        f"{name} is an adapter of {base}, not a model: after  pip install peft  merge the two with  "
        f"""python -c "import peft, transformers as t; peft.AutoPeftModelForCausalLM.from_pretrained('{name}')"""
        f""".merge_and_unload().save_pretrained('{merged}'); """
        f"""t.AutoTokenizer.from_pretrained('{base}').save_pretrained('{merged}')"  and load {merged}"""
    )


def _check_head(config, name):
    """Refuse weights that were saved without the part that predicts the next token."""
    held = [str(kind) for kind in config.get("architectures") or ()]
    heads = ("LM", "LMHead", "Generation", "Assistant")
    if held and not any(word in kind for kind in held for word in heads):
        raise InputError(
            f"{name} holds a {held[0]}, which has no head that predicts the next token: get the weights of the "
            "language model, whose class ends in ForCausalLM or LMHeadModel"
        )


def check_config(folder: Path, name: str) -> None:
    """Check that a model's configuration requires no code and no pickles, and that transformers supports its type.

    An ``auto_map``, the entry that points to code, is ignored if transformers supports the architecture itself, as for
    Falcon or Phi-3: then its own implementation is used.

    Parameters
    ----------
    folder : pathlib.Path
    name : str
        The model's name in the error.

    Raises
    ------
    InputError
        If the model cannot be loaded safely.
    """
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES as KNOWN
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES as SUPPORTED

    check_not_adapter(folder, name)
    if not (folder / "config.json").is_file():
        raise InputError(f"{name} has no config.json: get it from the same source as the weights")
    config = read_json(folder / "config.json")
    kind = config.get("model_type")
    if kind not in SUPPORTED:
        if "auto_map" in config:
            code = sorted({str(value).split(".")[0] + ".py" for value in config["auto_map"].values()})
            raise InputError(
                f"{name} requires its own Python code ({', '.join(code)}), which is never run here: "
                "choose a model that transformers supports itself"
            )
        if kind in KNOWN:
            raise InputError(
                f"{name} has type {kind!r}, which is not a causal language model: choose a decoder-only model"
            )
        raise InputError(
            f"{name} has type {kind!r}, which this version of transformers does not support as a causal "
            "language model: try a newer one with  pip install --upgrade transformers"
        )
    if config.get("is_encoder_decoder"):
        raise InputError(
            f"{name} is an encoder-decoder, whose predictions depend on a second text: choose a decoder-only model"
        )
    _check_head(config, name)
    for key in ("attn_implementation", "_attn_implementation"):
        if "/" in str(config.get(key, "")):
            raise InputError(
                f"{name} requires a kernel from the Hub ({config[key]}), which is never run here: "
                f"remove {key} from its config.json"
            )
    weights = config.get("transformers_weights")
    if weights and not str(weights).endswith((".safetensors", ".safetensors.index.json")):
        raise InputError(
            f"{name} requires the weights file {weights}, but only safetensors are read: convert it, or "
            "choose another model"
        )


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON file that holds an object.

    Parameters
    ----------
    path : pathlib.Path

    Returns
    -------
    dict

    Raises
    ------
    InputError
        If the file is not JSON or holds something else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path} is not JSON: {error}; get it again from its source") from None
    if not isinstance(content, dict):
        raise InputError(f"{path} does not hold a JSON object: get it again from its source")
    return content
