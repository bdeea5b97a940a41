"""Moves that a layer might have made instead of its own: the null models of an observed move, and the theory's."""

import numpy as np
import torch
from numpy.typing import ArrayLike

from .dynamics import velocity
from .sphere import to_sphere


def dealt_moves(moves: torch.Tensor, draws: int = 1, seed: int = 0) -> torch.Tensor:
    """Deal the moves of a cloud to its tokens at random: the same moves, at wrong tokens.

    What a cloud does under these moves does not depend on where a token stood when it got its move.
    A deal is a random permutation, so one token, on average, keeps its own.

    Parameters
    ----------
    moves : torch.Tensor, shape (token, feature)
    draws : int
        Number of deals.
    seed : int

    Returns
    -------
    torch.Tensor, shape (draw, token, feature), of the dtype of ``moves``

    See Also
    --------
    common_push : one random move for all.
    theory_moves : the moves of the self-attention dynamics.

    Notes
    -----
    Introduced in the chapter *The mean-field picture in a real model*.

    Examples
    --------
    >>> import torch, tokengeom_utils as tg
    >>> moves = torch.tensor([[1.0, 0.0], [0.0, 2.0], [3.0, 0.0]])
    >>> dealt = tg.meanfield.dealt_moves(moves, draws=5)
    >>> dealt.shape, bool((dealt.sum(1) == moves.sum(0)).all())
    (torch.Size([5, 3, 2]), True)
    """
    generator = np.random.default_rng(seed)
    orders = generator.permuted(np.tile(np.arange(len(moves)), (draws, 1)), axis=1)
    return moves[torch.from_numpy(orders).to(moves.device)]


def common_push(moves: torch.Tensor, draws: int = 1, seed: int = 0) -> torch.Tensor:
    """Draw pushes in a random direction, each the same for all tokens and as long as the mean move.

    Parameters
    ----------
    moves : torch.Tensor, shape (token, feature)
    draws : int
        Number of directions.
    seed : int

    Returns
    -------
    torch.Tensor, shape (draw, 1, feature), of the dtype of ``moves``
        To be added to all tokens.

    See Also
    --------
    random_moves : a random direction for each token.
    dealt_moves : the moves themselves, at wrong tokens.
    theory_moves : the moves of the self-attention dynamics.

    Notes
    -----
    Introduced in the chapter *The mean-field picture in a real model*.

    Examples
    --------
    >>> import torch, tokengeom_utils as tg
    >>> moves = torch.tensor([[3.0, 0.0, 0.0], [3.0, 8.0, 0.0]])  # their mean has length 5
    >>> pushes = tg.meanfield.common_push(moves, draws=2)
    >>> torch.allclose(pushes.norm(dim=-1), torch.tensor(5.0))
    True
    """
    drawn = np.random.default_rng(seed).standard_normal((draws, 1, moves.shape[-1]))
    directions = torch.nn.functional.normalize(torch.from_numpy(drawn), dim=-1)
    return directions.to(moves) * moves.mean(0).norm()


def random_moves(moves: torch.Tensor, draws: int = 1, seed: int = 0) -> torch.Tensor:
    """Draw for every token a move in a random direction of its own, as long as the move that it made.

    Parameters
    ----------
    moves : torch.Tensor, shape (token, feature)
    draws : int
    seed : int

    Returns
    -------
    torch.Tensor, shape (draw, token, feature), of the dtype of ``moves``

    See Also
    --------
    common_push : one random direction for all.
    dealt_moves : the moves themselves, at wrong tokens.

    Notes
    -----
    Introduced in the chapter *The mean-field picture in a real model*.

    Examples
    --------
    >>> import torch, tokengeom_utils as tg
    >>> moves = torch.tensor([[3.0, 4.0], [0.0, 2.0]])
    >>> tg.meanfield.random_moves(moves, draws=3).norm(dim=-1)[0]
    tensor([5., 2.])
    """
    drawn = np.random.default_rng(seed).standard_normal((draws, *moves.shape))
    directions = torch.nn.functional.normalize(torch.from_numpy(drawn), dim=-1)
    return directions.to(moves) * moves.norm(dim=-1, keepdim=True)


def theory_moves(
    tokens: ArrayLike | torch.Tensor, moves: torch.Tensor, beta: float = 1.0, causal: bool = True
) -> torch.Tensor:
    """Redirect the moves of a cloud: every token turns as far as it did, but to where the theory would turn it.

    A move has a part along its token, which changes the length alone, and a part across it, which turns the token. The
    first is kept. The second keeps its length and takes the direction of :func:`velocity`.

    Parameters
    ----------
    tokens : array_like, shape (token, feature)
        The cloud before the move; its directions are the particles.
    moves : torch.Tensor, shape (token, feature)
    beta : float
        Inverse temperature.
    causal : bool
        Whether token ``i`` attends only to itself and the tokens before it.

    Returns
    -------
    torch.Tensor, shape (token, feature), float64
        A token that the theory does not move, as the first one under a mask, is not turned.

    Raises
    ------
    InputError
        If a token lies at the origin.

    See Also
    --------
    velocity : the direction of these moves.
    dealt_moves, common_push, random_moves : null models.

    Notes
    -----
    Introduced in the chapter *The mean-field picture in a real model*.

    Examples
    --------
    >>> import torch, tokengeom_utils as tg
    >>> moves = torch.tensor([[0.0, 7.0], [-5.0, 2.0]])
    >>> tg.meanfield.theory_moves(torch.eye(2), moves)  # the second token turns toward the first, and not away from it
    tensor([[0., 0.],
            [5., 2.]], dtype=torch.float64)
    """
    x, moves = to_sphere(tokens), moves.double()
    along = (moves * x).sum(-1, keepdim=True) * x
    pull = velocity(x, beta, causal=causal)
    speed = pull.norm(dim=-1, keepdim=True)
    direction = torch.where(speed > 1e-12, pull / speed, 0.0)  # below that it is rounding
    return along + direction * (moves - along).norm(dim=-1, keepdim=True)
