"""Token clouds: the hidden state of every token in every layer, and the loss of every token.

>>> import tokengeom_utils as tg
>>> model = tg.tiny_model()
>>> clouds = tg.token_clouds(model, model.tokenize("Tokens move through the layers."))
>>> clouds.hidden.shape, clouds.loss.shape
(torch.Size([3, 31, 32]), torch.Size([30]))
"""

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, NamedTuple

import torch
from numpy.typing import ArrayLike

from ..errors import InputError
from .anatomy import check_mode
from .language_model import LanguageModel
from .passes import input_of, last_states, output_of, run_backbone, split_logits, watching
from .vocabulary import check_ids

#: positions whose logits are held at once on a CPU: 128 x 128,000 float32 logits are 65 MB
CHUNK = 128
#: logits that are held at once on a GPU, half a GiB in float32: each chunk reads the whole head, so few are better
LOGITS = 2**27
#: on a small GPU fewer: one for this many bytes of its memory
BYTES_OF_A_LOGIT = 160


class TokenClouds(NamedTuple):
    """The token clouds and losses of one prompt, from :func:`token_clouds`.

    Attributes
    ----------
    hidden : torch.Tensor, shape (layer, token, feature)
        Layer 0 holds the embeddings, the last layer the states after the final norm.
    loss : torch.Tensor, shape (token - 1,), float32
        Loss of predicting token i + 1 from the tokens up to i, in nats.
    before_norm : torch.Tensor, shape (token, feature)
        Output of the last block, before the final norm.

    See Also
    --------
    token_clouds : computes them.

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> model = tg.tiny_model()
    >>> hidden, loss, before_norm = tg.token_clouds(model, model.tokenize("Tokens move."))
    >>> len(hidden) == model.n_layers + 1
    True
    """

    hidden: torch.Tensor
    loss: torch.Tensor
    before_norm: torch.Tensor


class LayerHalves(NamedTuple):
    """The clouds between the layers and halfway through each layer, from :func:`halve_layers`.

    Attributes
    ----------
    ends : torch.Tensor, shape (layer + 1, token, feature)
        The embeddings, then the output of each layer; the final norm is not applied.
    halfway : torch.Tensor, shape (layer, token, feature)
        The input of each layer plus the output of its attention, without that of its feed-forward part.

    See Also
    --------
    halve_layers : computes them.

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> model = tg.tiny_model()
    >>> ends, halfway = tg.halve_layers(model, model.tokenize("Tokens move."))
    >>> by_attention = halfway - ends[:-1]
    >>> by_attention.shape
    torch.Size([2, 12, 32])
    """

    ends: torch.Tensor
    halfway: torch.Tensor


@torch.inference_mode()
def stream_clouds(
    model: LanguageModel,
    token_ids: ArrayLike | torch.Tensor,
    on_cloud: Callable[[torch.Tensor], object],
    on_log_p: Callable[[torch.Tensor], object] | None = None,
) -> torch.Tensor:
    r"""Run prompts through a model and hand over each layer's token cloud as soon as it exists.

    The layers are those of ``output_hidden_states=True`` in transformers: ``L + 1`` of them, the first the
    embeddings, the last taken *after* the final norm. (Mamba's family keeps no embeddings there; here they do.) No
    layer is kept, and the logits of few positions exist at a time (of :data:`CHUNK` on a CPU), so the memory is that
    of the forward pass alone. The logits are those of the model's own head.

    Parameters
    ----------
    model : LanguageModel
    token_ids : array_like of int, shape (token,) or (prompt, token)
        At least two tokens per prompt. Several prompts must have the same length.
    on_cloud : callable
        Called as ``on_cloud(cloud)`` for every layer in order. ``cloud`` is a tensor of shape (token, feature), or
        (prompt, token, feature) for several prompts, in the model's dtype and on its device. It is an inference
        tensor: clone it before using it with autograd.
    on_log_p : callable, optional
        Called as ``on_log_p(log_p)`` for one chunk of positions after the other, after the last cloud. ``log_p`` holds
        the natural logarithms of the probabilities of all next tokens, a float32 tensor of shape
        (position, vocabulary). Prompts follow one another; the last position of each, whose next token is unknown, is
        left out.

    Returns
    -------
    torch.Tensor, shape (..., token - 1), float32
        Loss of predicting token i + 1 from the tokens up to i, :math:`-\ln p(t_{i+1} \mid t_1, \dots, t_i)`, in nats.
        Its mean is the loss that transformers reports. What precedes every prompt (:attr:`LanguageModel.bos`) is seen
        by all tokens, but it is in no cloud, and nothing that it predicts counts.

    Raises
    ------
    InputError
        If a prompt has fewer than two tokens, more than the model has positions for, or one that the model has no
        embedding for; if the model's token clouds or logits are not defined (see
        :mod:`tokengeom_utils.models.anatomy`).

    See Also
    --------
    token_clouds : keeps the clouds of one prompt.
    Observer : measures clouds as they arrive; pass its ``update`` as ``on_cloud``.
    Predictions : summarizes next-token distributions; pass its ``update`` as ``on_log_p``.

    Notes
    -----
    An exception raised by a callback ends the forward pass and reaches the caller.

    Used in the chapters *The shuffle control* and *From geometry to loss*.

    Examples
    --------
    Measure every layer and the predictions in one pass:

    >>> import tokengeom_utils as tg
    >>> model = tg.tiny_model()  # two layers, random weights
    >>> token_ids = model.tokenize("Tokens move through the layers.")
    >>> observer, predictions = tg.Observer(scale_max=4, k_max=3), tg.Predictions()
    >>> loss = tg.stream_clouds(model, token_ids, observer.update, predictions.update)
    >>> loss.shape, observer.compute().sizes["layer"], sorted(predictions.compute())
    (torch.Size([30]), 3, ['entropy', 'top_entropy', 'top_mass', 'top_width'])

    Compute a quantity of one's own, here the mean norm of the token vectors of each layer:

    >>> norms = []
    >>> loss = tg.stream_clouds(model, token_ids, lambda cloud: norms.append(cloud.norm(dim=-1).mean().item()))
    >>> len(norms)
    3
    """
    anatomy, front = model.anatomy, len(model.prefix)
    check_mode(model.network, model.name)
    check_ids(model, token_ids.cpu() if torch.is_tensor(token_ids) else token_ids)
    ids = torch.as_tensor(token_ids, dtype=torch.long, device=model.device)
    n_tokens = ids.shape[-1]
    limit = getattr(model.network.config.get_text_config(), "max_position_embeddings", None)
    if n_tokens < 2:
        raise InputError(
            f"the prompt has {n_tokens} tokens, but at least 2 are needed for a prediction: use a longer text"
        )
    if limit and n_tokens + front > limit > 0:
        before = f", and {front} in front of them" if front else ""
        raise InputError(
            f"the prompt has {n_tokens} tokens{before}, but {model.name} has positions for {limit}: use fewer tokens"
        )

    def hand_over(states):
        states = states[:, front:]
        on_cloud(states if ids.ndim > 1 else states[0])

    prompts = _behind_prefix(model, ids.reshape(-1, n_tokens))
    with watching(anatomy.blocks, hand_over):
        output = run_backbone(model.network, anatomy.backbone, prompts)
    hand_over(last_states(output))
    return _loss(model, output, prompts, on_log_p).reshape(*ids.shape[:-1], -1)


def _behind_prefix(model, ids):
    """Token ids (prompt, token) behind the tokens that precede every prompt of the model."""
    prefix = torch.tensor(model.prefix, dtype=torch.long, device=ids.device)
    return torch.cat([prefix.expand(len(ids), -1), ids], -1) if model.prefix else ids


def token_clouds(model: LanguageModel, token_ids: ArrayLike | torch.Tensor) -> TokenClouds:
    """Run a prompt through a model and keep every layer's token cloud.

    Parameters
    ----------
    model : LanguageModel
    token_ids : array_like of int, shape (token,)
        At least two tokens.

    Returns
    -------
    TokenClouds
        ``.hidden`` (layer, token, feature) in the model's dtype and on its device; ``.loss`` (token - 1,), float32, in
        nats, whose mean is the loss that transformers reports; ``.before_norm`` (token, feature), the last cloud
        before the final norm.

    Raises
    ------
    InputError
        If there are fewer than two tokens, or more than the model has positions for, or if the layers differ in width.

    See Also
    --------
    stream_clouds : hands over the clouds one at a time, for prompts or models too large to keep them all.
    observables : measures the clouds.

    Notes
    -----
    Introduced in the chapter *From text to token clouds*.

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> model = tg.tiny_model()
    >>> clouds = tg.token_clouds(model, model.tokenize("Tokens move."))
    >>> clouds.hidden.shape, clouds.loss.shape, clouds.before_norm.shape
    (torch.Size([3, 12, 32]), torch.Size([11]), torch.Size([12, 32]))
    """
    layers: list[torch.Tensor] = []
    last_block: list = []
    hook = model.anatomy.blocks[-1].register_forward_hook(lambda block, args, out: last_block.append(out))
    try:
        loss = stream_clouds(model, token_ids, layers.append)
    finally:
        hook.remove()
    widths = sorted({cloud.shape[-1] for cloud in layers})
    if len(widths) > 1:  # OPT-350m projects its embeddings and its output
        raise InputError(
            f"the layers of {model.name} have different widths, {widths}, so its clouds cannot be "
            "stacked: use stream_clouds"
        )
    before_norm = output_of(last_block[0])[0, len(model.prefix) :]
    return TokenClouds(torch.stack(layers), loss, before_norm)


@torch.inference_mode()
def halve_layers(
    model: LanguageModel, token_ids: ArrayLike | torch.Tensor, attention_only: bool = False
) -> LayerHalves:
    r"""Run a prompt through a model and keep its clouds between the layers and halfway through each.

    A layer adds the outputs of its attention and of its feed-forward part to the tokens,
    :math:`x \mapsto x + \mathrm{attention} + \mathrm{feed\text{-}forward}`; halfway is
    :math:`x + \mathrm{attention}`. In some architectures both parts read the same input; the halfway cloud is the same
    sum there.

    Parameters
    ----------
    model : LanguageModel
    token_ids : array_like of int, shape (token,)
    attention_only : bool
        Leave the feed-forward parts out: every layer passes its halfway cloud to the next.

    Returns
    -------
    LayerHalves
        ``.ends`` (layer + 1, token, feature) and ``.halfway`` (layer, token, feature), in the model's dtype and on its
        device.

    Raises
    ------
    InputError
        If a layer is not the sum of these parts, as in BLOOM, whose parts add the tokens themselves.

    See Also
    --------
    token_clouds : the clouds between the layers, the last one after the final norm.
    meanfield : the theory of attention alone.

    Notes
    -----
    Introduced in the chapter *The mean-field picture in a real model*.

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> model = tg.tiny_model()
    >>> halves = tg.halve_layers(model, model.tokenize("Tokens move."))
    >>> halves.ends.shape, halves.halfway.shape
    (torch.Size([3, 12, 32]), torch.Size([2, 12, 32]))
    """
    scale = getattr(model.network.config.get_text_config(), "residual_multiplier", 1.0)  # Granite
    parts: dict[str, torch.Tensor] = {}
    front = len(model.prefix)
    ends: list[torch.Tensor] = []
    halfway: list[torch.Tensor] = []

    def keep(name):
        return lambda module, args, out: parts.__setitem__(name, scale * output_of(out))

    def layer_done(block, args, kwargs, out):
        before, after = input_of(args, kwargs), output_of(out)
        middle = before + parts.get("attention", torch.nan)
        off = (middle + parts.get("feed-forward", torch.nan) - after).abs().max()
        if not off <= 64 * torch.finfo(after.dtype).eps * after.abs().max():
            raise InputError(
                f"the layers of {model.name} are not the sum of the tokens, attention and a feed-forward "
                "part, so they cannot be halved: use another model"
            )
        after = middle if attention_only else after
        ends.extend([before[0, front:], after[0, front:]][bool(ends) :])
        halfway.append(middle[0, front:])
        return after if torch.is_tensor(out) else (after, *out[1:])

    with ExitStack() as hooks:
        for block in model.anatomy.blocks:
            for name, module in _parts(block).items():
                hooks.callback(module.register_forward_hook(keep(name)).remove)
            hooks.callback(block.register_forward_hook(layer_done, with_kwargs=True).remove)
        ids = torch.as_tensor(token_ids, dtype=torch.long, device=model.device)
        run_backbone(model.network, model.anatomy.backbone, _behind_prefix(model, ids[None]))
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
def switched_clouds(
    model: LanguageModel, token_ids: ArrayLike | torch.Tensor, mask: bool = True, positions: bool = True
) -> torch.Tensor:
    """Compute token clouds with the causal mask and the position encoding on or off.

    With both off, a permutation of the tokens only permutes the vectors of each cloud.

    Parameters
    ----------
    model : LanguageModel
    token_ids : array_like of int, shape (prompt, token)
    mask : bool
        Whether a token attends only to itself and to earlier tokens (within a window, if the model has one); otherwise
        all tokens attend to all.
    positions : bool
        Whether the tokens have different positions; if not, all have position 0.

    Returns
    -------
    torch.Tensor, shape (prompt, layer, token, feature)
        The layers of :func:`token_clouds`, in the model's dtype and on its device.

    See Also
    --------
    token_clouds : the clouds of one prompt, with both on.

    Notes
    -----
    Introduced in the chapter *Empirical measures*.

    Examples
    --------
    >>> import torch, tokengeom_utils as tg
    >>> model = tg.tiny_model()
    >>> ids = torch.as_tensor(model.tokenize("Tokens move."))
    >>> there, back = tg.switched_clouds(model, torch.stack([ids, ids.flip(0)]), mask=False, positions=False)
    >>> torch.allclose(there, back.flip(1), atol=1e-5)
    True
    """
    ids = _behind_prefix(model, torch.as_tensor(token_ids, dtype=torch.long, device=model.device))
    n = ids.shape[-1]
    places = torch.arange(n, device=ids.device) * positions
    # No token is padding, so the model builds its own mask, windows of attention included; or nothing is hidden.
    attends = torch.ones_like(ids) if mask else torch.zeros(len(ids), 1, n, n, dtype=model.network.dtype).to(ids.device)
    backbone: Any = model.anatomy.backbone
    output = backbone(input_ids=ids, position_ids=places.expand_as(ids), attention_mask=attends,
                      output_hidden_states=True, use_cache=False)  # fmt: skip
    return torch.stack(output.hidden_states, 1)[:, :, len(model.prefix) :]


def logit_cloud(model: LanguageModel, last: torch.Tensor) -> torch.Tensor | None:
    r"""Return a cloud with the same distances as the logits, in as few features as a hidden state.

    The logits are linear in the last hidden state, :math:`z = W x + b`, so
    :math:`\lVert z_i - z_j \rVert = \lVert R (x_i - x_j) \rVert` with the triangular factor :math:`R` of
    :math:`W = Q R`. The vocabulary does not enter. A constant by which some models multiply their logits is left out:
    dimension and overlap do not depend on it.

    Parameters
    ----------
    model : LanguageModel
        Keeps :math:`R`, (feature, feature) in float64, for the next call.
    last : torch.Tensor, shape (..., token, feature)
        The last layer's cloud, after the final norm, on the model's device.

    Returns
    -------
    torch.Tensor, shape (..., token, feature), float64
        None if the model's logits are not linear in the last hidden state, because they are capped or its head has more
        than one layer.

    See Also
    --------
    token_clouds : its ``hidden[-1]`` is the last cloud.
    intrinsic_dimension : of a cloud.

    Notes
    -----
    Introduced, with a proof, in the chapter *From geometry to loss*.

    Examples
    --------
    >>> import torch, tokengeom_utils as tg
    >>> model = tg.tiny_model()
    >>> last = tg.token_clouds(model, model.tokenize("Tokens move.")).hidden[-1]
    >>> logits = last.double() @ model.network.get_output_embeddings().weight.detach().double().T
    >>> logits.shape, tg.logit_cloud(model, last).shape
    (torch.Size([12, 256]), torch.Size([12, 32]))
    >>> torch.allclose(torch.pdist(logits), torch.pdist(tg.logit_cloud(model, last)))
    True
    """
    return last.double() @ model.logit_factor.T if model.anatomy.has_linear_head else None


def _loss(model, output, ids, on_log_p):
    """Next-token cross-entropy, a chunk of positions at a time.

    Every prompt is cut in the same way, whatever its place among others, so that it rounds in the same way too.
    """
    front = len(model.prefix)  # the first token of a prompt is predicted by none of its own
    states, targets = last_states(output)[:, front:-1], ids[:, front + 1 :]
    network, backbone, size = model.network, model.anatomy.backbone, _chunk(model)
    losses = []
    for its_states, its_targets in zip(states, targets, strict=True):
        for logits, following in split_logits(network, backbone, output, its_states, its_targets, size):
            log_p = logits.float().log_softmax(-1)
            if on_log_p:
                on_log_p(log_p)
            losses.append(-log_p.gather(-1, following[:, None])[:, 0])
    return torch.cat(losses)


def _chunk(model):
    """Positions whose logits are held at once."""
    if model.device.type != "cuda":
        return CHUNK
    memory = torch.cuda.get_device_properties(model.device).total_memory
    return max(1, min(LOGITS, memory // BYTES_OF_A_LOGIT) // model.network.config.get_text_config().vocab_size)
