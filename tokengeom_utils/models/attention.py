"""What attention attends to, and what it would put out with other weights.

>>> import tokengeom_utils as tg
>>> model = tg.tiny_model()
>>> parts = tg.attention_parts(model, model.tokenize("Tokens move through the layers."))
>>> parts.perplexity.shape, parts.output.shape  # (layer, head, token), (layer, token, feature)
(torch.Size([2, 4, 31]), torch.Size([2, 31, 32]))
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import torch
from numpy.typing import ArrayLike

from ..errors import InputError
from .anatomy import check_mode
from .extract import _behind_prefix, _parts
from .language_model import LanguageModel
from .passes import input_of, output_of, run_backbone

#: the name under which transformers finds the attention of this module while it runs
NAME = "tokengeom_parts"
#: the first of the copies of the pass is the real one; the others are those of :func:`_replaced`
REAL, COPIES = 0, 5


class AttentionParts(NamedTuple):
    """The attention of every layer, from :func:`attention_parts`.

    Attributes
    ----------
    perplexity : torch.Tensor, shape (layer, head, token)
        Exponential of the entropy of a token's weights: the effective number of tokens that it attends to.
    first : torch.Tensor, shape (layer, head, token)
        Weight of the first token that the model sees.
    output : torch.Tensor, shape (layer, token, feature)
        Output of attention.
    uniform : torch.Tensor, shape (layer, token, feature)
        Its output if every token attended evenly to all tokens that it may attend to.
    dealt : torch.Tensor, shape (layer, token, feature)
        Its output if the weights of a token, except those of the first token and of the token itself, were dealt at
        random to the tokens that it may attend to: as sharp, but it does not choose.
    without_first : torch.Tensor, shape (layer, token, feature)
        Its output if the first token added nothing, all other weights being as they are.
    itself : torch.Tensor, shape (layer, token, feature)
        Its output if every token attended to itself alone: what is left without any exchange between tokens.

    See Also
    --------
    attention_parts : computes them.

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> model = tg.tiny_model()
    >>> parts = tg.attention_parts(model, model.tokenize("Tokens move."))
    >>> bool((parts.first[..., 0] == 1).all())  # the first token sees itself alone
    True
    """

    perplexity: torch.Tensor
    first: torch.Tensor
    output: torch.Tensor
    uniform: torch.Tensor
    dealt: torch.Tensor
    without_first: torch.Tensor
    itself: torch.Tensor


@torch.inference_mode()
def attention_parts(model: LanguageModel, token_ids: ArrayLike | torch.Tensor, seed: int = 0) -> AttentionParts:
    """Run a prompt through a model, and compute in every layer what its attention weights do to its output.

    Five copies of the prompt run at once. All of them enter each layer with the states of the first, the real one; in
    the attention of the second all weights of a token are equal, in that of the third they are dealt to other tokens,
    in that of the fourth the first token has none, and in that of the fifth every token attends to itself alone.

    Parameters
    ----------
    model : LanguageModel
    token_ids : array_like of int, shape (token,)
    seed : int
        Of the deal.

    Returns
    -------
    AttentionParts
        Float32, on the CPU. What precedes every prompt (:attr:`LanguageModel.bos`) counts as the first token, but has
        no row of its own.

    Raises
    ------
    InputError
        If a layer has no softmax attention that transformers lets a caller replace, or if it does more than that.

    See Also
    --------
    halve_layers : the clouds before and after attention.
    meanfield : attention as a theory.

    Notes
    -----
    The weights are recomputed from queries and keys, and the first copy is compared with the model's own attention: a
    model whose attention differs (by a cap on its scores, say) is refused.

    Introduced in the chapter *The mean-field picture in a real model*.

    References
    ----------
    Xiao et al., arXiv:2309.17453, for the weight of the first token.

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> model = tg.tiny_model()
    >>> parts = tg.attention_parts(model, model.tokenize("Tokens move."))
    >>> bool((parts.perplexity <= 12.001).all())  # no token sees more than twelve
    True
    """
    check_mode(model.network, model.name)
    front = len(model.prefix)
    ids = _behind_prefix(model, torch.as_tensor(token_ids, dtype=torch.long, device=model.device)[None])
    own: list[Any] = []
    copies: list[Any] = []
    weights: list[Any] = []
    with _keeping(model, own):
        run_backbone(model.network, model.anatomy.backbone, ids)
    with _replaced(model, weights, seed), _keeping(model, copies), _from_one_state(model):
        run_backbone(model.network, model.anatomy.backbone, ids.expand(COPIES, -1))
    wanted, found = torch.cat(own), torch.stack(copies, 1)
    off, limit = (found[REAL] - wanted).abs().max(), 1e3 * torch.finfo(model.network.dtype).eps * wanted.abs().max()
    if len(weights) != len(model.anatomy.blocks) or not off <= limit:
        raise _refuse(model)
    perplexity, first = (torch.stack(part)[..., front:] for part in zip(*weights, strict=True))
    return AttentionParts(perplexity, first, *found[:, :, front:])


def _refuse(model):
    """Return the error for a model whose attention cannot be replaced."""
    return InputError(
        f"the attention of {model.name} is more than a softmax of scaled scores in every layer, so its weights "
        "cannot be computed: use another model"
    )


@contextmanager
def _keeping(model: LanguageModel, kept: list[torch.Tensor]) -> Iterator[None]:
    """Keep the output (prompt, token, feature) of the attention of every layer of a network that runs."""
    with ExitStack() as hooks:
        for block in model.anatomy.blocks:
            if "attention" not in (parts := _parts(block)):
                raise _refuse(model)
            hook = parts["attention"].register_forward_hook(
                lambda module, args, out: kept.append(output_of(out).float().cpu())
            )
            hooks.callback(hook.remove)
        yield


@contextmanager
def _from_one_state(model: LanguageModel) -> Iterator[None]:
    """Let all copies enter each layer of a network that runs with the states of the first.

    The feed-forward part, which would compute the same again for nothing, sees the first alone; its output is added to
    all copies.
    """

    def enter(block, args, kwargs):
        states = input_of(args, kwargs)
        states[1:] = states[:1]

    def first_alone(module, args):
        flat = not args or args[0].ndim < 3  # OPT lays the tokens of all copies end to end
        return None if flat else (args[0][:1], *args[1:])

    with ExitStack() as hooks:
        for block in model.anatomy.blocks:
            hooks.callback(block.register_forward_pre_hook(enter, with_kwargs=True).remove)
            if (part := _parts(block).get("feed-forward")) is not None:
                hooks.callback(part.register_forward_pre_hook(first_alone).remove)
        yield


def _dealt(weights: torch.Tensor, visible: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Deal the weights (head, token, token) of each row to the tokens that it sees, but the first and its own.

    ``visible`` has one matrix for each head, or one for all.
    """
    token = torch.arange(weights.shape[-1], device=weights.device)
    free = visible & (token > 0) & (token != token[:, None])
    draw = torch.rand(weights.shape, generator=generator).to(weights.device)
    # both orders end with the tokens that are not free, in one order, so these keep their weights
    drawn = torch.where(free, draw, 2.0).argsort(dim=-1, stable=True)
    places = (~free).byte().argsort(dim=-1, stable=True).expand_as(weights)
    return torch.empty_like(weights).scatter(-1, places, weights.gather(-1, drawn))


@contextmanager
def _replaced(model: LanguageModel, seen: list[Any], seed: int) -> Iterator[None]:
    """Replace the attention of a network by one that weighs its copies differently and keeps the real weights."""
    from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, eager_mask
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    generator = torch.Generator().manual_seed(seed)

    def attend(
        module: Any, query: Any, key: Any, value: Any, attention_mask: Any, scaling: float | None = None, **_: Any
    ) -> tuple[Any, None]:
        query, key, value = (part[REAL] for part in (query, key, value))  # those of the other copies are the same
        key, value = (part.repeat_interleave(len(query) // len(key), 0) for part in (key, value))
        scores = query.float() @ key.float().mT * (scaling or query.shape[-1] ** -0.5)
        hidden = torch.zeros_like(scores) if attention_mask is None else attention_mask[REAL].float()
        weights = (scores + hidden).softmax(-1)
        seen.append((torch.special.entr(weights).sum(-1).exp().cpu(), weights[..., 0].cpu()))
        visible = hidden == 0
        rest = weights.clone()
        rest[..., 0] = 0
        even = (visible / visible.sum(-1, keepdim=True)).expand_as(weights)
        mixes = torch.stack([weights, even, _dealt(weights, visible, generator), rest]).to(value.dtype)
        return torch.cat([mixes @ value, value[None]]).transpose(1, 2).contiguous(), None

    before = model.network.config._attn_implementation
    ALL_ATTENTION_FUNCTIONS.register(NAME, attend)
    ALL_MASK_ATTENTION_FUNCTIONS.register(NAME, eager_mask)
    try:
        model.network.set_attn_implementation(NAME)
        yield
    finally:
        model.network.set_attn_implementation(before)
        for interface in (ALL_ATTENTION_FUNCTIONS, ALL_MASK_ATTENTION_FUNCTIONS):
            interface._global_mapping.pop(NAME, None)
