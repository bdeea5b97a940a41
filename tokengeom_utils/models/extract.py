"""Token clouds: the hidden state of every token in every layer, and the loss of every token.

    >>> clouds = tg.token_clouds(model, model.tokenize(text))   # doctest: +SKIP
    >>> clouds.hidden.shape                                     # doctest: +SKIP
    torch.Size([31, 1024, 576])
"""

from contextlib import ExitStack
from functools import lru_cache
from typing import NamedTuple

import torch

from ..errors import InputError

# Positions whose logits are held at once: 128 x 128,000 float32 logits are 65 MB.
CHUNK = 128


class TokenClouds(NamedTuple):
    """What one forward pass says about one prompt."""

    hidden: torch.Tensor  #: (layer, token, feature); layer 0 the embeddings, the last after the final norm
    loss: torch.Tensor  #: (token - 1,) float32, nats: the loss of predicting token i + 1 from those up to i
    before_norm: torch.Tensor  #: (token, feature): what the last block hands to the final norm


@torch.inference_mode()
def stream_clouds(model, token_ids, see, see_log_p=None):
    """Run prompts through the model and hand out each layer's token cloud as soon as it exists.

    The layers are those of ``output_hidden_states=True`` in transformers: ``L + 1`` of them, the
    first the embeddings, the last taken *after* the final norm. None is kept, and the logits are never
    held whole, so memory is that of the forward pass alone.

    Parameters
    ----------
    model : LanguageModel
    token_ids : array_like of int, shape (token,) or (prompt, token)
        At least two tokens.
    see : callable
        Called as ``see(cloud)`` for every layer in order; ``cloud`` is (token, feature), or
        (prompt, token, feature) for several prompts, in the model's dtype and on its device.
    see_log_p : callable, optional
        Called as ``see_log_p(log_p)`` for one chunk of positions after the other, with the logarithms of the
        probabilities of all next tokens, (position, vocabulary) in float32; the last position of a prompt, which
        predicts nothing that is known, is left out.

    Returns
    -------
    torch.Tensor, shape (..., token - 1), float32
        Loss of predicting token i + 1 from those up to i, in nats; its mean is the model's own loss.

    Raises
    ------
    InputError
        If there are fewer than two tokens, or more than the model has positions for.
    """
    ids = torch.as_tensor(token_ids, dtype=torch.long, device=model.device)
    n_tokens = ids.shape[-1]
    limit = getattr(model.network.config.get_text_config(), "max_position_embeddings", None)
    if n_tokens < 2 or (limit and n_tokens > limit):
        raise InputError(f"a prompt of {n_tokens} tokens: {model.name} takes from 2 to {limit or 'any'} tokens")

    def hand_out(states):
        see(states if ids.ndim > 1 else states[0])

    def before_block(block, args, kwargs):
        hand_out(args[0] if args else kwargs["hidden_states"])

    backbone = model.network.base_model
    with ExitStack() as hooks:
        for block in _blocks(model):
            hooks.callback(block.register_forward_pre_hook(before_block, with_kwargs=True).remove)
        last = backbone(input_ids=ids.reshape(-1, n_tokens), use_cache=False).last_hidden_state
    hand_out(last)
    return _loss(model.network, last, ids.reshape(-1, n_tokens), see_log_p).reshape(*ids.shape[:-1], -1)


def _blocks(model):
    """The transformer blocks, whatever the architecture calls them."""
    modules = model.network.base_model.modules()
    return next(m for m in modules if isinstance(m, torch.nn.ModuleList) and len(m) == model.n_layers)


def token_clouds(model, token_ids):
    """Run a prompt through the model and keep every layer's token cloud: see :func:`stream_clouds`.

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
    layers, last_block = [], []
    hook = _blocks(model)[-1].register_forward_hook(lambda block, args, out: last_block.append(out))
    try:
        loss = stream_clouds(model, token_ids, layers.append)
    finally:
        hook.remove()
    widths = sorted({cloud.shape[-1] for cloud in layers})
    if len(widths) > 1:  # OPT-350m projects its embeddings and its output
        raise InputError(f"{model.name} has layers of different widths, {widths}: its clouds cannot be stacked")
    out = last_block[0]
    before_norm = (out if torch.is_tensor(out) else out[0]).reshape(layers[-1].shape)  # some blocks return more
    return TokenClouds(torch.stack(layers), loss, before_norm)


class LayerHalves(NamedTuple):
    """What one forward pass hands on between the layers, and inside each."""

    ends: torch.Tensor  #: (layer + 1, token, feature): the embeddings, then what each layer hands on; no final norm
    halfway: torch.Tensor  #: (layer, token, feature): with the part of attention, without that of the feed-forward


@torch.inference_mode()
def halve_layers(model, token_ids, attention_only=False):
    """Run a prompt through the model and keep its clouds between the layers and half-way through each.

    A layer adds to the tokens what its attention gives, and what its feed-forward part gives. In some
    architectures both read the same input; the half-way cloud is then that of attention alone as well.

    Parameters
    ----------
    model : LanguageModel
    token_ids : array_like of int, shape (token,)
    attention_only : bool
        Leave the feed-forward parts out: every layer hands on its half-way cloud.

    Returns
    -------
    LayerHalves
        In the model's dtype and on its device.

    Raises
    ------
    InputError
        If a layer is not the sum of these parts, as in BLOOM, whose parts add the tokens themselves.
    """
    scale = getattr(model.network.config.get_text_config(), "residual_multiplier", 1.0)  # Granite
    parts, ends, halfway = {}, [], []

    def keep(name):
        return lambda module, args, out: parts.__setitem__(name, scale * (out if torch.is_tensor(out) else out[0]))

    def layer_done(block, args, kwargs, out):
        before, after = args[0] if args else kwargs["hidden_states"], out if torch.is_tensor(out) else out[0]
        middle = before + parts.get("attention", torch.nan)
        off = (middle + parts.get("feed-forward", torch.nan) - after).abs().max()
        if not off <= 64 * torch.finfo(after.dtype).eps * after.abs().max():
            raise InputError(f"the layers of {model.name} are not the tokens plus attention plus a feed-forward part")
        after = middle if attention_only else after
        ends.extend([before[0], after[0]][bool(ends) :])
        halfway.append(middle[0])
        return after if torch.is_tensor(out) else (after, *out[1:])

    with ExitStack() as hooks:
        for block in _blocks(model):
            for name, module in _parts(block).items():
                hooks.callback(module.register_forward_hook(keep(name)).remove)
            hooks.callback(block.register_forward_hook(layer_done, with_kwargs=True).remove)
        ids = torch.as_tensor(token_ids, dtype=torch.long, device=model.device)
        model.network.base_model(input_ids=ids[None], use_cache=False)
    return LayerHalves(torch.stack(ends), torch.stack(halfway))


def _parts(block):
    """The modules of a block whose outputs are added to the tokens."""
    modules = dict(block.named_children())
    if "post_feedforward_layernorm" in modules:  # Gemma 2, OLMo 2: normalized before they are added
        return {"attention": modules["post_attention_layernorm"], "feed-forward": modules["post_feedforward_layernorm"]}
    names = [name for name in modules if "norm" not in name and not name.startswith("ln")]
    wanted = {"attention": ("att",), "feed-forward": ("mlp", "moe", "feed_forward", "ffn", "fc2")}
    found = {part: [n for n in names if any(word in n for word in words)] for part, words in wanted.items()}
    return {part: modules[of[0]] for part, of in found.items() if of}


@torch.inference_mode()
def switched_clouds(model, token_ids, mask=True, positions=True):
    """Token clouds with the causal mask and the position encoding on or off.

    Parameters
    ----------
    model : LanguageModel
    token_ids : array_like of int, shape (prompt, token)
    mask : bool
        Whether a token sees only itself and those before it.
    positions : bool
        Whether the tokens have places; without, all stand at place 0.

    Returns
    -------
    torch.Tensor, shape (prompt, layer, token, feature)
        The layers of :func:`token_clouds`, in the model's dtype and on its device.
    """
    network, ids = model.network.base_model, torch.as_tensor(token_ids, dtype=torch.long, device=model.device)
    n, dtype = ids.shape[-1], network.dtype
    hidden = torch.full((n, n), torch.finfo(dtype).min if mask else 0, dtype=dtype, device=ids.device).triu(1)
    places = torch.arange(n, device=ids.device) * positions
    output = network(input_ids=ids, position_ids=places.expand_as(ids), attention_mask=hidden.expand(len(ids), 1, n, n),
                     output_hidden_states=True, use_cache=False)  # fmt: skip
    return torch.stack(output.hidden_states, 1)


def logit_cloud(model, last):
    """A cloud with the distances of the logits, in as few features as a hidden state has.

    The logits are linear in the last hidden state, :math:`z = W x + b`, so :math:`|z_i - z_j| = |R (x_i - x_j)|` with
    the triangular factor :math:`R` of :math:`W = Q R`: the vocabulary never enters.

    Parameters
    ----------
    model : LanguageModel
    last : torch.Tensor, shape (..., token, feature)
        The last layer's cloud, after the final norm.

    Returns
    -------
    torch.Tensor, shape (..., token, feature), float64
        None if the model bends its logits (soft capping), so that they are not linear.
    """
    if getattr(model.network.config.get_text_config(), "final_logit_softcapping", None):
        return None
    return last.double() @ _logit_factor(model.network).T


@lru_cache(1)
def _logit_factor(network):
    with torch.no_grad():
        return torch.linalg.qr(network.get_output_embeddings().weight.double(), mode="r").R


def _loss(network, last_hidden, ids, see_log_p):
    """Next-token cross-entropy, a chunk of positions at a time."""
    head = network.get_output_embeddings()
    config = network.config.get_text_config()
    softcap = getattr(config, "final_logit_softcapping", None)  # Gemma 2
    # Cohere multiplies its logits, Granite divides them.
    scale = getattr(config, "logit_scale", None) or 1 / (getattr(config, "logits_scaling", None) or 1)
    states, targets = last_hidden[:, :-1].flatten(0, 1), ids[:, 1:].flatten()
    losses = []
    for states, targets in zip(states.split(CHUNK), targets.split(CHUNK)):
        logits = head(states).float() * scale
        if softcap:
            logits = softcap * torch.tanh(logits / softcap)
        log_p = logits.log_softmax(-1)
        if see_log_p:
            see_log_p(log_p)
        losses.append(-log_p.gather(-1, targets[:, None])[:, 0])
    return torch.cat(losses)
