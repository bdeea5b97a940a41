"""The untrained twin: a model's architecture with weights from before any training.

Its clouds show what the architecture and the tokens make by themselves; what they show need not have been learned.
"""

import hashlib
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

#: prefix of the name of a twin: ``untrained:`` or, with a seed, ``untrained-1:``
PREFIX = re.compile(r"untrained(?:-(\d{1,9}))?:")


def split_twin(name: str) -> tuple[str, int | None]:
    """Split the name of an untrained twin into that of its model and the seed of its weights.

    Parameters
    ----------
    name : str

    Returns
    -------
    plain : str
        Without the prefix.
    seed : int or None
        None if the name is not that of a twin.

    See Also
    --------
    untrained_network : draws the weights.

    Notes
    -----
    Used in the chapter *The untrained twin: what does learning add?*

    Examples
    --------
    >>> split_twin("untrained:smollm2-135m"), split_twin("untrained-1:smollm2-135m"), split_twin("smollm2-135m")
    (('smollm2-135m', 0), ('smollm2-135m', 1), ('smollm2-135m', None))
    """
    found = PREFIX.match(name)
    return (name[found.end() :], int(found[1] or 0)) if found else (name, None)


def untrained_network(config: "PreTrainedConfig", seed: int = 0) -> tuple["PreTrainedModel", str]:
    """Draw the weights that a model has before training, for a seed the same ones every time.

    The weights come from the model's class in transformers. For Llama, Mistral, and GPT-NeoX they are normal numbers
    with mean 0 and standard deviation ``config.initializer_range`` in every matrix and in the embeddings, 1 in the
    weights of every norm, and 0 in every bias. They are drawn on the CPU in float32, whatever device and dtype they are
    used in; torch's own random state is left unchanged.

    Parameters
    ----------
    config : transformers.PreTrainedConfig
    seed : int
        Each seed gives another twin of the same model.

    Returns
    -------
    network : transformers.PreTrainedModel
        A causal language model in float32, on the CPU.
    fingerprint : str
        Hash of the weights. It differs if another processor or another version of torch draws different weights.

    See Also
    --------
    load_model : loads the twin of any model, as ``"untrained:NAME"`` or, with a seed, ``"untrained-1:NAME"``.

    Notes
    -----
    Introduced in the chapter *The untrained twin: what does learning add?*

    Examples
    --------
    >>> import transformers
    >>> config = transformers.LlamaConfig(vocab_size=9, hidden_size=8, intermediate_size=8, num_hidden_layers=1,
    ...                                   num_attention_heads=1)
    >>> untrained_network(config)[1] == untrained_network(config)[1]
    True
    """
    import torch
    from transformers import AutoModelForCausalLM

    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        torch.manual_seed(seed)
        network = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    digest = hashlib.sha256()
    for name, parameter in network.named_parameters():  # tied weights come once
        digest.update(name.encode())
        digest.update(memoryview(parameter.detach().contiguous().numpy()).cast("B"))
    return network, f"untrained:sha256:{digest.hexdigest()}"
