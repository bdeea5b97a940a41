"""One forward pass of a network in two parts: up to the states that its head reads, and its head on given states.

Both parts run the network's own ``forward``, so whatever it does to its logits (scaling, capping, a head of several
layers) is done here too. In the first part it is stopped when its backbone has returned; in the second its backbone
hands over the given states at once.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch


class _Reached(Exception):
    """Ends a forward pass; carries what the backbone returned."""


@contextmanager
def _instead_of(module, forward):
    """Replace the ``forward`` of a module."""
    before = vars(module).get("forward")  # accelerate may have put one of its own there
    module.forward = forward
    try:
        yield
    finally:
        if before is None:
            del module.forward
        else:
            module.forward = before


def run_backbone(network: Any, backbone: Any, ids: torch.Tensor) -> Any:
    """Run a network on token ids (prompt, token) until its backbone has returned, and return the backbone's output."""

    def stop(module, args, output):
        raise _Reached(output)

    hook = backbone.register_forward_hook(stop)
    try:
        network(input_ids=ids, use_cache=False)
    except _Reached as reached:
        return reached.args[0]
    finally:
        hook.remove()
    raise RuntimeError("the backbone was not called")


def last_states(output: Any) -> torch.Tensor:
    """Return the states (prompt, token, feature) that the head reads in the output of a backbone."""
    return output[0]


def split_logits(
    network: Any, backbone: Any, output: Any, states: torch.Tensor, ids: torch.Tensor, size: int
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield the logits (position, vocabulary) of ``size`` positions after the other, each time with their ids.

    Parameters
    ----------
    network, backbone : torch.nn.Module
    output : transformers.utils.ModelOutput or tuple
        What the backbone returned; only its type matters.
    states : torch.Tensor, shape (position, feature)
    ids : torch.Tensor, shape (position,)
    size : int
    """
    given = None

    def hand_over(*args, **kwargs):
        if isinstance(output, tuple):
            return (given, *(None for _ in output[1:]))
        return type(output)(given)  # the states are its first field

    with _instead_of(backbone, hand_over):
        for some, these in zip(states.split(size), ids.split(size), strict=True):
            given = some[None]
            yield network(input_ids=these[None], use_cache=False).logits[0], these


@contextmanager
def watching(blocks: Sequence[Any], on_input: Any) -> Iterator[None]:
    """Call ``on_input(states)`` with the input (prompt, token, feature) of each block of a network that runs."""

    def before(block, args, kwargs):
        on_input(input_of(args, kwargs))

    with ExitStack() as hooks:
        for block in blocks:
            hooks.callback(block.register_forward_pre_hook(before, with_kwargs=True).remove)
        yield


def input_of(args: tuple, kwargs: dict) -> Any:
    """Return the states that a block is called with."""
    return args[0] if args else kwargs.get("hidden_states")


def output_of(output: Any) -> Any:
    """Return the states that a block or a part of one returns; some return more beside them."""
    return output[0] if isinstance(output, (tuple, list)) else output
