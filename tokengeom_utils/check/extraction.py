"""Checkers for the chapter "From text to token clouds"."""

import numpy as np
import torch

from .answer import Attempt, checker, close, expect


def _losses(logits: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """Return -ln p of each of the ids under the row of logits at its position, shape (token,)."""
    return -torch.log_softmax(logits, -1)[torch.arange(len(ids)), ids]


@checker
def block_inputs(attempt: Attempt) -> None:
    """Check ``block_inputs(network, x)``: what each block of a network receives, collected by hooks.

    ``network`` is a ``torch.nn.Sequential`` of blocks, ``x`` a tensor of shape (token, feature); returns a list of
    tensors, one for each block, and leaves no hook behind.
    """
    network = torch.nn.Sequential(*(torch.nn.Linear(3, 3) for _ in range(4))).requires_grad_(False)
    x = torch.randn(5, 3, generator=torch.Generator().manual_seed(2))
    found = attempt(network, x)
    states = [x]
    for block in network:
        states.append(block(states[-1]))
    expect(
        not any(block._forward_hooks or block._forward_pre_hooks for block in network),
        "your hooks are still in place: call .remove() on the handle of each, or the next forward pass will fill your "
        "list too",
    )
    expect(len(found) == 4, f"4 blocks receive 4 inputs, but you return {len(found)}")
    seen = torch.stack(list(found))
    expect(
        not close(seen, torch.stack(states[1:])),
        "these are the outputs of the blocks: use register_forward_pre_hook, whose hooks run before the block",
    )
    expect(
        close(seen, torch.stack(states[:-1])),
        "each entry should be the tensor that the block was called with: a pre-hook receives the positional arguments "
        "as a tuple",
    )


@checker
def next_token_loss(attempt: Attempt) -> None:
    """Check ``next_token_loss(logits, ids)``: the loss in nats of every token but the first.

    ``logits`` is a tensor of shape (token, vocabulary), ``ids`` an integer tensor of shape (token,); returns a tensor
    of shape (token - 1,).
    """
    logits, ids = torch.tensor(np.random.default_rng(0).normal(size=(6, 5))), torch.tensor([4, 1, 0, 3, 1, 2])
    found, wanted, unshifted = attempt(logits, ids), _losses(logits[:-1], ids[1:]), _losses(logits, ids)
    expect(np.shape(found) != (), "return one loss for every predicted token, not their mean")
    expect(
        not close(found, unshifted) and not close(found, unshifted[:5]),
        "the logits at position i do not predict token i, which the model has already seen, but token i + 1",
    )
    expect(
        np.shape(found) != (6,),
        "the last position predicts a token beyond the end of the prompt: 6 tokens have 5 losses",
    )
    expect(not close(found, -wanted), "the loss is minus the logarithm of a probability, so it cannot be negative")
    expect(not close(found, wanted / np.log(2)), "this is in bits: the book uses natural logarithms")
    expect(close(found, wanted), "turn each row of logits into log-probabilities, and take the entry of the next token")


@checker
def loss_in_chunks(attempt: Attempt) -> None:
    """Check ``loss_in_chunks(states, ids, head, chunk)``: the same losses with few logits in memory.

    ``states`` is a tensor of shape (token, feature), ``ids`` an integer tensor of shape (token,); ``head`` turns at
    most ``chunk`` rows of states into logits of shape (row, vocabulary). Returns a tensor of shape (token - 1,).
    """
    rng = np.random.default_rng(1)
    states, weight, ids = (torch.tensor(rng.normal(size=size)) for size in ((11, 3), (3, 7), (11,)))
    ids, most = (5 * ids).long() % 7, 4

    def head(rows: torch.Tensor) -> torch.Tensor:
        expect(len(rows) <= most, f"you ask the head for {len(rows)} positions at once, but chunk is {most}")
        return rows @ weight

    found = attempt(states, ids, head, most)
    expect(np.shape(found) != (11,), "the last position has nothing to predict: cut it off before you split")
    expect(np.shape(found) != (8,), "10 positions do not split evenly into chunks of 4: the last two are lost")
    expect(
        close(found, _losses((states @ weight)[:-1], ids[1:])),
        "each chunk of states needs the tokens that follow its positions: split states and ids in the same way",
    )
