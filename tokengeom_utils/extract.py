"""Token clouds: the hidden state of every token in every layer, and the loss of every token.

    >>> clouds = tg.token_clouds(model, model.tokenize(text))   # doctest: +SKIP
    >>> clouds.hidden.shape                                     # doctest: +SKIP
    torch.Size([31, 1024, 576])
"""

from typing import NamedTuple

import torch

from .errors import InputError

# Positions whose logits are held at once: 128 x 128,000 float32 logits are 65 MB.
CHUNK = 128


class TokenClouds(NamedTuple):
    """What one forward pass says about one prompt."""

    hidden: torch.Tensor  #: (layer, token, feature); layer 0 the embeddings, the last after the final norm
    loss: torch.Tensor  #: (token - 1,) float32, nats: the loss of predicting token i + 1 from those up to i
    before_norm: torch.Tensor  #: (token, feature): what the last block hands to the final norm


@torch.inference_mode()
def token_clouds(model, token_ids):
    """Run a prompt through the model and keep every layer's token cloud.

    The layers are those of ``output_hidden_states=True`` in transformers: ``L + 1`` of them, the
    first the embeddings, the last taken *after* the final norm. The logits are never held whole.

    Parameters
    ----------
    model : LanguageModel
    token_ids : array_like of int, shape (token,)
        At least two tokens.

    Returns
    -------
    TokenClouds
        ``.hidden`` (layer, token, feature) in the model's dtype and on its device; ``.loss``
        (token - 1,) float32 in nats, whose mean is the model's own loss; ``.before_norm``
        (token, feature), the last cloud as it is before the final norm.

    Raises
    ------
    InputError
        If there are fewer than two tokens, or more than the model has positions for, or if its
        layers differ in width.
    """
    ids = torch.as_tensor(token_ids, dtype=torch.long, device=model.device).reshape(1, -1)
    limit = getattr(model.network.config.get_text_config(), "max_position_embeddings", None)
    if ids.shape[1] < 2 or (limit and ids.shape[1] > limit):
        raise InputError(f"a prompt of {ids.shape[1]} tokens: {model.name} takes from 2 to {limit or 'any'} tokens")
    backbone = model.network.base_model
    blocks = next(m for m in backbone.modules() if isinstance(m, torch.nn.ModuleList) and len(m) == model.n_layers)
    last = {}
    hook = blocks[-1].register_forward_hook(lambda block, inputs, out: last.update(out=out))
    try:
        output = backbone(input_ids=ids, output_hidden_states=True, use_cache=False)
    finally:
        hook.remove()
    before_norm = last["out"] if torch.is_tensor(last["out"]) else last["out"][0]  # some blocks return more
    widths = sorted({states.shape[-1] for states in output.hidden_states})
    if len(widths) > 1:  # OPT-350m projects its embeddings and its output
        raise InputError(f"{model.name} has layers of different widths, {widths}: its clouds cannot be stacked")
    hidden = torch.cat(output.hidden_states)
    loss = _loss(model.network, output.last_hidden_state[0], ids[0])
    return TokenClouds(hidden, loss, before_norm.reshape(hidden.shape[1:]))


def _loss(network, last_hidden, ids):
    """Next-token cross-entropy, a chunk of positions at a time."""
    head = network.get_output_embeddings()
    config = network.config.get_text_config()
    softcap = getattr(config, "final_logit_softcapping", None)  # Gemma 2
    # Cohere multiplies its logits, Granite divides them.
    scale = getattr(config, "logit_scale", None) or 1 / (getattr(config, "logits_scaling", None) or 1)
    losses = []
    for states, targets in zip(last_hidden[:-1].split(CHUNK), ids[1:].split(CHUNK)):
        logits = head(states).float() * scale
        if softcap:
            logits = softcap * torch.tanh(logits / softcap)
        losses.append(torch.nn.functional.cross_entropy(logits, targets, reduction="none"))
    return torch.cat(losses)
