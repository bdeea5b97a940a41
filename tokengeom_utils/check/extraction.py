"""Checkers for the chapter "From text to token clouds"."""

import numpy as np
import torch

from .answer import Attempt, checker, close, expect


def _losses(logits: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """Return -ln p of each of the ids under the row of logits at its position, shape (token,)."""
    return -torch.log_softmax(logits, -1)[torch.arange(len(ids)), ids]


@checker
def next_token_loss(attempt: Attempt, rng: np.random.Generator) -> None:
    """Check ``next_token_loss(logits, ids)``: the loss in nats of every token but the first.

    ``logits`` is a torch tensor of shape (token, vocabulary), ``ids`` an integer torch tensor of shape (token,);
    returns a torch tensor of shape (token - 1,).
    """
    n, vocabulary = (int(size) for size in rng.integers(5, 12, 2))
    logits, ids = torch.tensor(3 * rng.normal(size=(n, vocabulary))), torch.tensor(rng.integers(0, vocabulary, n))
    found, wanted, unshifted = attempt(logits, ids), _losses(logits[:-1], ids[1:]), _losses(logits, ids)
    expect(np.shape(found) != (), "return one loss for every predicted token, not their mean")
    expect(
        not close(found, unshifted) and not close(found, unshifted[:-1]) and not close(found, unshifted[1:]),
        "the logits at position i do not predict token i, which the model has already seen, but token i + 1",
    )
    expect(
        np.shape(found) != (n,),
        f"the last position predicts a token beyond the end of the prompt: {n} tokens have {n - 1} losses",
    )
    expect(not close(found, -wanted), "the loss is minus the logarithm of a probability, so it cannot be negative")
    expect(not close(found, wanted / np.log(2)), "this is in bits: the book uses natural logarithms")
    expect(not close(found, torch.exp(-wanted)), "this is the probability: the loss is minus its logarithm")
    expect(
        close(found, wanted) and close(attempt(logits[:2], ids[:2]), wanted[:1]),
        "turn each row of logits into log-probabilities, and take the entry of the next token; a prompt of two tokens "
        "has one loss",
    )


@checker
def loss_in_chunks(attempt: Attempt, rng: np.random.Generator) -> None:
    """Check ``loss_in_chunks(states, ids, head, chunk)``: the same losses with few logits in memory.

    ``states`` is a torch tensor of shape (token, feature), ``ids`` an integer torch tensor of shape (token,); ``head``
    turns at most ``chunk`` rows of states into logits of shape (row, vocabulary). Returns a torch tensor of shape
    (token - 1,).
    """
    weight = torch.tensor(rng.normal(size=(3, 7)))
    for n, most in ((11, 4), (9, 4), (8, 3), (6, 5), (5, 1), (4, 10), (2, 2)):
        states, ids = torch.tensor(rng.normal(size=(n, 3))), torch.tensor(rng.integers(0, 7, n))
        asked = [0]

        def head(rows: torch.Tensor, asked: list[int] = asked) -> torch.Tensor:
            asked.append(len(rows))
            return torch.as_tensor(rows, dtype=torch.float64) @ weight

        found, wanted = attempt(states, ids, head, most), _losses((states @ weight)[:-1], ids[1:])
        expect(max(asked) <= most, f"you ask the head for {max(asked)} positions at once, but chunk is {most}")
        expect(np.shape(found) != (), "return one loss for every predicted token, not their mean")
        expect(np.shape(found) != (n,), "the last position has nothing to predict: cut it off before you split")
        expect(
            np.shape(found) not in {((n - 1) // most * most,), (n // most * most,)} - {(n - 1,)},
            f"{n - 1} positions do not split evenly into chunks of {most}: the last ones are lost",
        )
        expect(
            close(found, wanted),
            "each chunk of states needs the tokens that follow its positions: split states and ids in the same way",
        )


class _Residual(torch.nn.Sequential):
    """Blocks whose output is added to their input, as in a transformer."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for block in self:
            x = x + block(x)
        return x


def hooks_of(network: torch.nn.Module) -> int:
    """Return how many hooks the parts of a network hold."""
    return sum(len(part._forward_hooks) + len(part._forward_pre_hooks) for part in network.modules())


@checker
def block_inputs(attempt: Attempt, rng: np.random.Generator) -> None:
    """Check ``block_inputs(network, x)``: what each block of a network receives, collected by hooks.

    ``network`` is a ``torch.nn.Sequential`` of blocks, whose forward pass may do more than call one after the other,
    ``x`` a torch tensor of shape (token, feature); returns a list of torch tensors, one for each block, and leaves no
    hook behind.
    """
    n, (tokens, width) = int(rng.integers(3, 6)), rng.integers(2, 7, 2)
    blocks = [torch.nn.Linear(width, width).double() for _ in range(n)]
    for part in blocks:
        part.weight.data = torch.tensor(rng.normal(size=(width, width)))
    x, network = torch.tensor(rng.normal(size=(tokens, width))), _Residual(*blocks)
    states, chained, outputs = [x], [x], []
    for part in blocks:
        outputs.append(part(states[-1]).detach())
        states.append(states[-1] + outputs[-1])
        chained.append(part(chained[-1]).detach())
    before = {name: value.clone() for name, value in network.state_dict().items()}
    found = attempt(network, x)
    expect(
        not hooks_of(network),
        "your hooks are still in place: call .remove() on the handle of each, or the next forward pass will fill your "
        "list too",
    )
    expect(
        network.training and all(torch.equal(value, before[name]) for name, value in network.state_dict().items()),
        "leave the network as you found it: its weights and its mode have changed",
    )
    expect(
        np.ndim(found) > 0 and len(found) == n, f"{n} blocks receive {n} inputs, but you return {np.shape(found)[:1]}"
    )
    expect(
        not close(found, torch.stack(chained[:-1])),
        "you call the blocks one after the other, but this network adds each output to its input: call the network "
        "itself, and let hooks on its blocks collect",
    )
    expect(
        not close(found, torch.stack(states[1:])) and not close(found, torch.stack(outputs)),
        "these are the outputs of the blocks: use register_forward_pre_hook, whose hooks run before the block",
    )
    expect(
        close(found, torch.stack(states[:-1])),
        "each entry should be the tensor that the block was called with: a pre-hook receives the positional arguments "
        "as a tuple",
    )
