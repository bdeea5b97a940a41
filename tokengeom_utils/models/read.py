"""Reading a located model with transformers: its tokenizer, its configuration, its weights.

No repository's own code is run, and no pickle is read: see :mod:`tokengeom_utils.models.safety`.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from .bundled import BUNDLED, INITIALIZER_RANGE
from .hub import TOKENIZERS
from .locate import Source
from .safety import read_json, unusable

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

POINTER = b"version https://git-lfs"  #: what git leaves in place of a large file that it did not fetch


def read_tokenizer(source: Source) -> "PreTrainedTokenizerBase":
    """Read the tokenizer of a model.

    Parameters
    ----------
    source : Source

    Returns
    -------
    transformers.PreTrainedTokenizerBase

    Raises
    ------
    InputError
        If there is none.
    """
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(source.folder, trust_remote_code=False, **source.options)
    except Exception as error:
        if source.options or any(next(source.folder.glob(pattern), None) for pattern in TOKENIZERS):
            raise
        raise InputError(
            f"the folder {source.folder} has no tokenizer: copy tokenizer.json and the other files whose names begin "
            "with tokenizer from the model's source into it"
        ) from error


def read_config(source: Source, name: str) -> "PreTrainedConfig":
    """Read the configuration of a model.

    Parameters
    ----------
    source : Source
    name : str
        The model's name. The bundled model's GGUF file has no place for the standard deviation of its initial weights,
        which is added here.

    Returns
    -------
    transformers.PreTrainedConfig
    """
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(source.folder, trust_remote_code=False, **source.options)
    if name == BUNDLED:
        config.initializer_range = INITIALIZER_RANGE
    return config


def read_network(source: Source, name: str, dtype: "torch.dtype") -> "PreTrainedModel":
    """Read the weights of a model.

    Parameters
    ----------
    source : Source
    name : str
        The model's name in the error.
    dtype : torch.dtype

    Returns
    -------
    transformers.PreTrainedModel
        On the CPU.

    Raises
    ------
    InputError
        If weights are missing or have the wrong shape.
    """
    from transformers import AutoModelForCausalLM

    try:
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            source.folder,
            dtype=dtype,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # they are reported, and refused below
            **source.options,
        )
    except Exception as error:
        if why := _cause(source.folder, error):
            raise InputError(f"the weights of {name} {why}") from error
        raise
    network, report = loaded
    wrong = [*report["missing_keys"], *report["mismatched_keys"]]
    if wrong:  # transformers would fill them with random numbers
        raise InputError(
            f"the weights of {name} do not match its config.json: {unusable(wrong)}; "
            "get both files from the same source"
        )
    _check_finite(network, name)
    return network


def _cause(folder: Path, error: Exception) -> str | None:
    """Explain why weights could not be read, and what to do; None if the exception itself explains it."""
    for file in sorted(folder.glob("*.safetensors")):
        with open(file, "rb") as opened:
            if opened.read(len(POINTER)) == POINTER:
                return f"are not in {file}, which only points to them: run  git lfs pull  in {folder}"
    reason = _first_line(error)
    config = folder / "config.json"
    method = (read_json(config).get("quantization_config") or {}).get("quant_method") if config.is_file() else None
    if method:
        return (
            f"are quantized ({method}), and cannot be read here: {reason.rstrip('.')}; "
            "do that, or choose the unquantized model that it was made from"
        )
    if type(error).__name__ == "SafetensorError":
        return f"are damaged ({reason}): get them again from their source"
    return None


def _check_finite(network, name):
    """Raise ``InputError`` if a weight is NaN or infinite: no cloud would be finite, whatever the text."""
    import torch

    for where, weight in network.named_parameters():
        if weight.is_floating_point() and not torch.isfinite(weight).all():
            wrong = int((~torch.isfinite(weight)).sum())
            raise InputError(
                f"the weights of {name} are not finite in {str(weight.dtype).removeprefix('torch.')}: {wrong} of "
                f"{where} are NaN or infinite; get them again from their source, or use another dtype"
            )


def _first_line(error):
    """The first line of an exception's message, or its kind; of a missing package, how to install it."""
    text = str(error).strip() or type(error).__name__
    first = text.splitlines()[0]
    command = re.search(r"pip install [^`'\"\s]+", text) if isinstance(error, ImportError) else None
    if command is None or command[0] in first:
        return first
    return f"{re.split(r'[.:] ', f'{first} ')[0]}: run  {command[0]}"


@contextmanager
def one_line_errors(name: str) -> Iterator[None]:
    """Turn any exception raised while transformers reads a model into an ``InputError`` of one line.

    Parameters
    ----------
    name : str
        The model's name in the error.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # its libraries raise many kinds, down to their own
        reason = _first_line(error)
        if "trust_remote_code" in str(error):
            reason = "it requires its own Python code, which is never run here"
        raise InputError(f"the model {name} could not be loaded: {reason}") from error
