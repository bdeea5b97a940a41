"""Block shuffle: destroy the order of a prompt a little, or entirely (the paper's Algorithm 1).

>>> from tokengeom_utils import shuffle_blocks
>>> shuffle_blocks(range(16), degree=1, seed=0).tolist()
[8, 9, 10, 11, 0, 1, 2, 3, 4, 5, 6, 7, 12, 13, 14, 15]
"""

import hashlib
from collections import Counter

import numpy as np

from ..errors import InputError

DEGREES = (0, 1, 2, 3, 4, 5)


def shuffle_blocks(token_ids, degree, seed=0):
    """Permute blocks of tokens, keeping the order inside each block.

    The ``N`` tokens are cut into ``4**degree`` contiguous blocks of equal length, and the
    blocks are put in a random order. Degree 0 is the prompt itself; when the blocks have
    length one (``N = 1024``, degree 5) it is a full permutation.

    Parameters
    ----------
    token_ids : array_like of int, shape (token,)
    degree : int
        Shuffle degree ``S >= 0``; ``N`` must be divisible by ``4**S``.
    seed : int or sequence of int
        Seed of the permutation. The paper's is unseeded; a seed makes ours repeatable.

    Returns
    -------
    numpy.ndarray of int64, shape (token,)

    Raises
    ------
    InputError
        If ``N`` is not divisible by ``4**degree``.

    References
    ----------
    Viswanathan et al., arXiv:2501.10573, Algorithm 1.
    """
    ids = np.asarray(token_ids, dtype=np.int64)
    if degree < 0 or degree != int(degree):
        raise InputError(f"shuffle degree must be a whole number >= 0, got {degree}")
    n_blocks = 4 ** int(degree)
    check_divisible(len(ids), degree)
    order = np.random.default_rng(seed).permutation(n_blocks) if degree else np.arange(1)
    return ids.reshape(n_blocks, -1)[order].reshape(-1)


def bleu(token_ids, reference, n_max=4):
    r"""How much of the order of a text is left: the BLEU score of a shuffled prompt against the prompt in order.

    .. math:: \mathrm{BLEU} = \Big(\prod_{n=1}^{4} p_n\Big)^{1/4},

    where :math:`p_n` is the share of runs of :math:`n` tokens that the reference has too, each counted at most as often
    as it occurs there. Both texts are equally long, so there is no penalty for brevity.

    Parameters
    ----------
    token_ids, reference : array_like of int, shape (token,)
    n_max : int
        Longest run.

    Returns
    -------
    float
        Between 0 and 1.

    References
    ----------
    Papineni, Roukos, Ward, Zhu, *BLEU: a method for automatic evaluation of machine translation*, ACL 2002.

    Examples
    --------
    >>> bleu([1, 2, 3, 4, 5], [1, 2, 3, 4, 5]), bleu([3, 1, 5, 2, 4], [1, 2, 3, 4, 5])
    (1.0, 0.0)
    """
    token_ids, reference = (np.asarray(ids).tolist() for ids in (token_ids, reference))
    if len(token_ids) != len(reference) or len(reference) < n_max:
        raise InputError(f"BLEU compares two texts of one length, at least {n_max} tokens: "
                         f"these have {len(token_ids)} and {len(reference)}")
    precision = []
    for n in range(1, n_max + 1):
        found, known = (Counter(zip(*(ids[i:] for i in range(n)))) for ids in (token_ids, reference))
        precision.append((found & known).total() / found.total())
    return float(np.prod(precision) ** (1 / n_max))


def check_divisible(n_tokens, degree):
    """Raise ``InputError`` unless ``n_tokens`` splits into ``4**degree`` equal blocks."""
    if n_tokens % 4**degree:
        raise InputError(
            f"n_tokens = {n_tokens} cannot be cut into 4^{degree} = {4**degree} equal blocks: "
            f"use a multiple of {4**degree} or a lower shuffle degree"
        )


def prompt_seed(seed, prompt_id, degree):
    """A seed that belongs to one prompt at one degree, whatever else is surveyed beside it.

    >>> prompt_seed(42, "speech-000", 5) == prompt_seed(42, "speech-000", 5)
    True
    """
    digest = hashlib.sha256(f"{seed}/{prompt_id}/{degree}".encode()).digest()
    return int.from_bytes(digest[:8], "little")
