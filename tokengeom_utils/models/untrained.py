"""The untrained twin: a model's architecture with weights that have seen no text.

What its clouds look like is what the architecture alone does to text; the difference to the model is what it learned.
"""

import hashlib

UNTRAINED = "untrained:"
SEED = 0


def untrained_network(config):
    """A model before training: the weights that its class in transformers draws, always the same ones.

    For Llama, Mistral and GPT-NeoX these are normal numbers of mean 0 and standard deviation
    ``config.initializer_range`` in every matrix and in the embeddings, 1 in the weights of every norm, 0 in every bias.
    They are drawn on the CPU in float32 from seed :data:`SEED`, whatever device and dtype they are used in, and leave
    torch's own random state as it was.

    Parameters
    ----------
    config : transformers.PreTrainedConfig

    Returns
    -------
    network : torch.nn.Module
    fingerprint : str
        Hash of the weights, so that it tells twins apart if another processor or version of torch draws others.
    """
    import torch
    from transformers import AutoModelForCausalLM

    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        torch.manual_seed(SEED)
        network = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    digest = hashlib.sha256()
    for name, parameter in network.named_parameters():  # tied weights come once
        digest.update(name.encode())
        digest.update(memoryview(parameter.detach().contiguous().numpy()).cast("B"))
    return network, f"{UNTRAINED}sha256:{digest.hexdigest()}"
