"""Reading a located model with transformers: its tokenizer, its configuration, its weights.

No repository's own code is run, and no pickle is read: see :mod:`tokengeom_utils.models.safety`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from .bundled import BUNDLED, INITIALIZER_RANGE
from .locate import Source

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase


def read_tokenizer(source: Source) -> "PreTrainedTokenizerBase":
    """Read the tokenizer of a model.

    Parameters
    ----------
    source : Source

    Returns
    -------
    transformers.PreTrainedTokenizerBase
    """
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(source.folder, trust_remote_code=False, **source.options)


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

    loaded: Any = AutoModelForCausalLM.from_pretrained(
        source.folder,
        dtype=dtype,
        use_safetensors=True,
        trust_remote_code=False,
        output_loading_info=True,
        ignore_mismatched_sizes=True,  # they are reported, and refused below
        **source.options,
    )
    network, report = loaded
    wrong = [*report["missing_keys"], *report["mismatched_keys"]]
    if wrong:  # transformers would fill them with random numbers
        raise InputError(
            f"the weights of {name} do not match its config.json: {len(wrong)} are missing or have "
            f"another shape, such as {min(map(str, wrong))}; get both files from the same source"
        )
    return network


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
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        if "trust_remote_code" in str(error):
            reason = "it requires its own Python code, which is never run here"
        raise InputError(f"the model {name} could not be loaded: {reason}") from error
