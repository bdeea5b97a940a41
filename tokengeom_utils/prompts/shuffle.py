"""Block shuffle: change the order of a prompt a little, or entirely (the paper's Algorithm 1).

>>> import tokengeom_utils as tg
>>> tg.shuffle_blocks(range(16), degree=1, seed=0).tolist()
[8, 9, 10, 11, 0, 1, 2, 3, 4, 5, 6, 7, 12, 13, 14, 15]
"""

import hashlib
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from ..errors import InputError

DEGREES = (0, 1, 2, 3, 4, 5)  #: the paper's degrees of shuffling


def shuffle_blocks(token_ids: ArrayLike, degree: int, seed: int | Sequence[int] = 0) -> np.ndarray:
    r"""Permute blocks of tokens, keeping the order inside each block.

    The ``N`` tokens are cut into :math:`4^S` contiguous blocks of equal length, and the blocks are put in a random
    order. Degree :math:`S = 0` is the prompt itself; when the blocks have length one (``N = 1024``, degree 5), the
    result is a full permutation.

    Parameters
    ----------
    token_ids : array_like of int, shape (token,)
    degree : int
        Degree of shuffling ``S >= 0``; ``N`` must be divisible by ``4**S``.
    seed : int or sequence of int
        Seed of the permutation. The paper's permutation is unseeded; a seed makes this one repeatable.

    Returns
    -------
    numpy.ndarray of int64, shape (token,)

    Raises
    ------
    InputError
        If ``degree`` is not a whole number >= 0, or ``N`` is not divisible by ``4**degree``.

    See Also
    --------
    prompt_seed : the seed that a survey uses.
    measure : measures a shuffled prompt.

    Notes
    -----
    Introduced in the chapter *The shuffle control*.

    References
    ----------
    Viswanathan et al., arXiv:2501.10573, Algorithm 1.

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> tg.shuffle_blocks([1, 2, 3, 4, 5, 6, 7, 8], degree=1, seed=0).tolist()
    [5, 6, 1, 2, 3, 4, 7, 8]
    """
    ids = np.asarray(token_ids, dtype=np.int64)
    if degree < 0 or degree != int(degree):
        raise InputError(f"shuffle degree {degree} is not a whole number >= 0: use one, such as 0 or 5")
    n_blocks = 4 ** int(degree)
    check_divisible(len(ids), degree)
    order = np.random.default_rng(seed).permutation(n_blocks) if degree else np.arange(1)
    return ids.reshape(n_blocks, -1)[order].reshape(-1)


def bleu(token_ids: ArrayLike, reference: ArrayLike, n_max: int = 4) -> float:
    r"""Measure how much of the order of a text is left: its BLEU score against the text in order.

    .. math:: \mathrm{BLEU} = \Big(\prod_{n=1}^{n_{\max}} p_n\Big)^{1/n_{\max}},

    where :math:`p_n` is the share of runs of :math:`n` tokens that the reference has too, each counted at most as often
    as it occurs there. Both texts have the same length, so there is no brevity penalty.

    Parameters
    ----------
    token_ids, reference : array_like of int, shape (token,)
        At least ``n_max`` tokens each.
    n_max : int
        Length of the longest runs.

    Returns
    -------
    float
        Between 0 and 1.

    Raises
    ------
    InputError
        If the lengths differ or are less than ``n_max``.

    See Also
    --------
    shuffle_blocks : shuffles a text.

    Notes
    -----
    Introduced in the chapter *The shuffle control*.

    References
    ----------
    Papineni, Roukos, Ward, Zhu, *BLEU: a method for automatic evaluation of machine translation*, ACL 2002.

    Examples
    --------
    >>> bleu([1, 2, 3, 4, 5], [1, 2, 3, 4, 5]), bleu([3, 1, 5, 2, 4], [1, 2, 3, 4, 5])
    (1.0, 0.0)
    """
    ids, ordered = np.asarray(token_ids).tolist(), np.asarray(reference).tolist()
    if len(ids) != len(ordered) or len(ordered) < n_max:
        raise InputError(
            f"BLEU compares two texts of the same length, at least {n_max} tokens, but these have "
            f"{len(ids)} and {len(ordered)}: cut both to one length"
        )
    if ids == ordered:
        return 1.0
    precision = []
    for n in range(1, n_max + 1):
        found, known = _runs(ids, n), _runs(ordered, n)
        precision.append((found & known).total() / found.total())
    return float(np.prod(precision) ** (1 / n_max))


def _runs(ids, n):
    """How often each run of n tokens occurs in a text."""
    return Counter(zip(*(ids[i:] for i in range(n)), strict=False))


def check_divisible(n_tokens: int, degree: int) -> None:
    """Check that a number of tokens splits into ``4**degree`` equal blocks.

    Parameters
    ----------
    n_tokens, degree : int

    Raises
    ------
    InputError
        If it does not.

    Examples
    --------
    >>> check_divisible(1024, 5)
    """
    if degree > 20:
        raise InputError(f"shuffle degree {degree} would cut {n_tokens} tokens into 4^{degree} blocks: use a lower one")
    if n_tokens % 4**degree:
        raise InputError(
            f"n_tokens = {n_tokens} cannot be cut into 4^{degree} = {4**degree} equal blocks: "
            f"use a multiple of {4**degree} or a lower shuffle degree"
        )


def prompt_seed(seed: int, prompt_id: str, degree: int) -> int:
    """Return the seed of the shuffle of one prompt at one degree.

    It depends on nothing else in the survey, so a prompt is shuffled the same way in every survey with this seed.

    Parameters
    ----------
    seed : int
        Seed of the survey.
    prompt_id : str
    degree : int
        Degree of shuffling.

    Returns
    -------
    int
        The first 8 bytes of the SHA-256 hash of ``"seed/prompt_id/degree"``, little-endian.

    See Also
    --------
    shuffle_blocks : takes the seed.

    Notes
    -----
    Used in the chapter *The shuffle control*.

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> tg.prompt_seed(42, "speech-00", 5)
    14173419711066129044
    """
    digest = hashlib.sha256(f"{seed}/{prompt_id}/{degree}".encode()).digest()
    return int.from_bytes(digest[:8], "little")
