"""Where the clouds are in a network: found by a pass over a few tokens, and proved by comparison with the network.

Nothing here depends on the name of an architecture. The blocks are the modules whose inputs are the network's own
hidden states; the backbone is what its ``forward`` calls for the states that its head reads. What cannot be proved is
refused in one line, before anything is measured.
"""

from contextlib import ExitStack
from itertools import pairwise
from typing import Any, NamedTuple

import torch

from ..errors import InputError
from .passes import input_of, last_states, output_of, run_backbone, split_logits

PROBE = 12  #: tokens of the pass
ROWS = 256  #: of the output embedding, to see whether the logits are linear
FAR = 64.0  #: states are also tried at this multiple, where a cap on the logits would show


class Anatomy(NamedTuple):
    """The parts of a network that measuring needs.

    Attributes
    ----------
    backbone : torch.nn.Module
        Returns the states that the head reads.
    blocks : tuple of torch.nn.Module
        The transformer blocks, in order; the input of each is a cloud.
    n_features : int
        Features of the last cloud.
    has_linear_head : bool
        Whether the logits :math:`z` are linear in the last states :math:`x`, :math:`z_i - z_j = s W (x_i - x_j)` with
        the output embedding :math:`W` and a constant :math:`s`.
    """

    backbone: Any
    blocks: tuple[Any, ...]
    n_features: int
    has_linear_head: bool


class _Call(NamedTuple):
    """One call of a module during the probe."""

    module: Any
    depth: int  # 0 for the network itself
    given: Any
    output: Any


@torch.inference_mode()
def examine(network: Any, name: str) -> Anatomy:
    """Find the parts of a network and prove that they give its own hidden states and logits.

    Parameters
    ----------
    network : transformers.PreTrainedModel
        A causal language model in eval mode.
    name : str
        What errors call the model.

    Returns
    -------
    Anatomy

    Raises
    ------
    InputError
        If the clouds or the logits are not defined; the message gives the reason.
    """
    _check_kind(network, name)
    ids = _probe(network)
    calls, own = _trace(network, ids, name)
    backbone = _backbone(calls, name)
    blocks = _blocks(network, calls, own, ids, name)
    _check_causal(own.logits, name)
    output = _check_states(network, backbone, blocks, ids, own, name)
    _check_logits(network, backbone, output, ids, own.logits, name)
    return Anatomy(backbone, blocks, last_states(output).shape[-1], _has_linear_head(network, backbone, output, ids))


def _check_kind(network, name):
    """Refuse what is no causal language model of transformers, before it runs."""
    if not hasattr(network, "config") or not hasattr(network, "get_input_embeddings"):
        kind = type(network).__name__
        raise InputError(f"the network of {name} is a {kind}: pass the model of transformers that it wraps")
    if getattr(network.config, "is_encoder_decoder", False):
        raise InputError(
            f"{name} is an encoder-decoder, whose predictions depend on a second text: use a decoder-only model"
        )
    check_mode(network, name)


def check_mode(network: Any, name: str) -> None:
    """Raise ``InputError`` if a network is being trained, which drops some of its states at random."""
    if network.training:
        raise InputError(f"{name} is in train mode, in which dropout changes its states: call network.eval()")


def _probe(network):
    """Two prompts (2, token) of ordinary tokens, spread over the vocabulary, that differ in their last token."""
    config = network.config.get_text_config()
    rows = getattr(network.get_input_embeddings(), "num_embeddings", None) or config.vocab_size
    settings = {**network.config.to_dict(), **config.to_dict()}
    special = {value for key, value in settings.items() if key.endswith("token_id") and isinstance(value, int)}
    ordinary = [i for i in range(rows) if i not in special]
    limit = getattr(config, "max_position_embeddings", None) or PROBE
    n = min(PROBE, len(ordinary), limit if limit > 0 else PROBE)
    places = torch.linspace(0.05, 0.95, n).mul(len(ordinary)).long()
    ids = [ordinary[place] for place in places]
    return torch.tensor([ids, [*ids[:-1], ids[0]]], device=network.device)


def _trace(network, ids, name):
    """Every call of a module with its states, in the order in which they return, and the network's own output."""
    calls, depth = [], 0

    def enter(module, args, kwargs):
        nonlocal depth
        depth += 1

    def leave(module, args, kwargs, output):
        nonlocal depth
        depth -= 1
        given = input_of(args, kwargs)
        given = given.clone() if torch.is_tensor(given) and given.is_floating_point() else None
        calls.append(_Call(module, depth, given, output))

    with ExitStack() as hooks:
        for module in network.modules():
            hooks.callback(module.register_forward_pre_hook(enter, with_kwargs=True, prepend=True).remove)
            hooks.callback(module.register_forward_hook(leave, with_kwargs=True).remove)
        try:
            own = network(input_ids=ids, use_cache=False, output_hidden_states=True)
        except Exception as error:  # whatever an architecture may raise
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise InputError(f"{name} does not run on token ids alone: {reason}") from error
    if not torch.is_tensor(getattr(own, "logits", None)) or own.logits.shape[:2] != ids.shape:
        raise InputError(f"{name} does not return one distribution per token: it is not a causal language model")
    return calls, own


def _backbone(calls, name):
    """What the network calls for the states of its head: the largest of its parts that return such an output."""
    parts = [call for call in calls if call.depth == 1 and _is_output(call.output)]
    if not parts:
        raise InputError(
            f"the states that the head of {name} reads were not found, so its loss cannot be measured: if the network "
            "is wrapped, pass the model inside"
        )
    return max(parts, key=lambda call: sum(weight.numel() for weight in call.module.parameters())).module


def _is_output(output):
    states = output[0] if isinstance(output, tuple) and output else getattr(output, "last_hidden_state", None)
    return not torch.is_tensor(output) and torch.is_tensor(states) and states.ndim >= 3


def _blocks(network, calls, own, ids, name):
    """The list of modules whose inputs (or, in Mamba's family, outputs) are the network's own hidden states."""
    by_module = {}
    for place, call in enumerate(calls):
        by_module.setdefault(call.module, []).append((place, call))
    found, odd = [], None
    for modules in network.modules():
        if not isinstance(modules, torch.nn.ModuleList):
            continue
        called = [by_module[module] for module in modules if module in by_module]
        flat = [entry for entries in called for entry in entries]
        if not flat or [place for place, _ in flat] != sorted(place for place, _ in flat):
            continue
        states = [(call.given, output_of(call.output)) for _, call in flat]
        if not all(torch.is_tensor(x) and torch.is_tensor(y) for x, y in states):
            continue
        if any(len(entries) > 1 for entries in called):
            odd = "calls its blocks more than once"
        elif any(x.ndim != 3 for x, _ in states):
            odd = "keeps several residual streams per token" if any(x.ndim > 3 for x, _ in states) else odd
        elif any(len(x) != len(ids) for x, _ in states):
            odd = "does not order its states by prompt and token"
        elif any(x.shape[1] != ids.shape[1] for x, _ in states):
            odd = f"turns {ids.shape[1]} tokens into {states[0][0].shape[1]} states"
        elif _follows(states, getattr(own, "hidden_states", None)):
            found.append(tuple(call.module for _, call in flat))
    if not found:
        reason = odd or "has no list of blocks whose inputs are its hidden states"
        raise InputError(f"the token clouds of {name} are not defined, as it {reason}: use another model")
    return max(found, key=len)


def _follows(states, own):
    """Whether blocks pass their states on, and to the network's own record of them."""
    if not own:  # the network keeps none
        return all(_same(y, x) for (_, y), (x, _) in pairwise(states))
    own = [x for x in own if torch.is_tensor(x)]
    inputs, outputs = [x for x, _ in states], [y for _, y in states]
    n = len(states)
    return len(own) in (n, n + 1) and any(
        all(_same(mine, theirs) for mine, theirs in zip(some, own[:n], strict=True)) for some in (inputs, outputs)
    )


def _same(a, b):
    """Whether two tensors are equal up to the rounding of another order of sums."""
    if a.shape != b.shape:
        return False
    coarse = max(torch.finfo(x.dtype).eps for x in (a, b))
    size = b[b.isfinite()].abs().max() if b.isfinite().any() else 1.0
    return torch.allclose(a.double(), b.double(), rtol=0, atol=max(1e-4, 8 * coarse) * float(size), equal_nan=True)


def _check_causal(logits, name):
    """Refuse a network whose predictions know the tokens that they predict: the last one, which alone differs."""
    if not _same(logits[0, :-1], logits[1, :-1]):
        raise InputError(
            f"the predictions of {name} depend on later tokens, so its loss is not that of a causal language model: "
            "use another model, or set is_decoder in its config.json if it was trained as a decoder"
        )


def _check_states(network, backbone, blocks, ids, own, name):
    """Return the output of the backbone, if its states are those of the tokens and the network's own last ones."""
    output = run_backbone(network, backbone, ids)
    last = last_states(output)
    if last.shape[:2] != ids.shape or last.ndim != 3:
        raise InputError(
            f"the head of {name} reads states of shape {tuple(last.shape[1:-1])} for {ids.shape[1]} tokens, so its "
            "token clouds are not defined: use another model"
        )
    record = [x for x in getattr(own, "hidden_states", None) or () if torch.is_tensor(x)]
    if len(record) > len(blocks) and not _same(last, record[-1]):
        raise InputError(f"the last token cloud of {name} is not what its head reads: use another model")
    return output


def _check_logits(network, backbone, output, ids, logits, name):
    """Refuse a network whose head needs more than the states of some positions."""
    size = max(1, ids.shape[1] // 2 - 1)
    try:
        parts = [part for part, _ in split_logits(network, backbone, output, last_states(output)[0], ids[0], size)]
        agrees = _same(torch.cat(parts).to(network.dtype), logits[0])
    except Exception:  # its head reads something else beside the states
        agrees = False
    if not agrees:
        raise InputError(
            f"the logits of {name} cannot be computed from its last states a few positions at a time, so its loss "
            "cannot be measured: use another model"
        )


def _has_linear_head(network, backbone, output, ids):
    """Whether z_i - z_j = s W (x_i - x_j) with the output embedding W and one s, near the origin and far from it."""
    embedding = getattr(network.get_output_embeddings(), "weight", None)
    states = last_states(output)[0]
    if embedding is None or embedding.ndim != 2 or embedding.shape[1] != states.shape[-1]:
        return False
    rows = torch.linspace(0, len(embedding) - 1, min(len(embedding), ROWS), device=embedding.device).long()
    scales = []
    for factor in (1.0, FAR):
        x = states * factor
        ((z, _),) = split_logits(network, backbone, output, x, ids[0], len(x))
        if z.shape[-1] < len(embedding):
            return False
        linear = ((x[1:] - x[:1]).double() @ embedding[rows].double().T).flatten()
        found = (z[1:, rows] - z[:1, rows]).double().flatten()
        scales.append(float(found @ linear / (linear @ linear)))
        if not (found - scales[-1] * linear).norm() <= max(1e-4, 8 * torch.finfo(network.dtype).eps) * found.norm():
            return False
    return abs(scales[1] / scales[0] - 1) < 1e-2
