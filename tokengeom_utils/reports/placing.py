"""Where a number lies among those of prompts: percentiles, the nearest kind of text, and a line through the prompts."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.stats import beta

from ..theory.statistics import bootstrap_interval

ENOUGH = 10  #: prompts; among fewer, a percentile says nothing


class Share(NamedTuple):
    """The share of prompts below a number: smaller ones, and half of the equal ones."""

    below: float
    low: float  #: of its 95% interval
    high: float
    n: int  #: prompts
    by_kinds: bool  #: whether the interval draws whole kinds of text


def share_below(x: float, others: np.ndarray, kinds: Sequence[str] | np.ndarray = (), seed: int = 0) -> Share | None:
    """Place a number among those of prompts.

    Parameters
    ----------
    x : float
    others : array of float, shape (prompt,)
    kinds : sequence of str, optional
        The kind of each prompt. If there are several, the interval draws whole kinds; otherwise it takes prompts as
        independent.
    seed : int
        Of the draws.

    Returns
    -------
    Share or None
        None for fewer than :data:`ENOUGH` prompts, or if the number is not defined.

    Examples
    --------
    >>> share_below(2.5, np.arange(10)).below
    0.3
    """
    defined = np.isfinite(others)
    others, groups = others[defined], [kind for kind, here in zip(kinds, defined, strict=False) if here]
    if len(others) < ENOUGH or not np.isfinite(x):
        return None
    below = (others < x) + (others == x) / 2
    several = len(set(groups)) > 1
    low, high = _drawing_kinds(below, groups, seed) if several else _independent(int((others < x).sum()), len(others))
    return Share(float(below.mean()), low, high, len(others), several)


def _drawing_kinds(below, groups, seed):
    """The 95% interval of a share, drawing whole kinds of text with replacement."""
    low, high = bootstrap_interval(lambda drawn: drawn.mean(-1), below, seed=seed, groups=groups)
    return float(low), float(high)


def _independent(m, n):
    """The 95% interval of Clopper and Pearson for a share of which m of n independent draws are counted."""
    return (
        float(beta.ppf(0.025, m, n - m + 1)) if m else 0.0,
        float(beta.ppf(0.975, m + 1, n - m)) if m < n else 1.0,
    )


class Nearest(NamedTuple):
    """The kind of text that a text is nearest to."""

    kind: str
    members: np.ndarray  #: (prompt,) bool
    found: float  #: share of the prompts for which the same rule finds their own kind


def nearest_kind(text: Sequence[float], prompts: np.ndarray, kinds: np.ndarray) -> Nearest | None:
    """Find the kind of text whose prompts are nearest to a text on average, in units of the prompts' spread.

    Parameters
    ----------
    text : sequence of float, shape (quantity,)
    prompts : array of float, shape (quantity, prompt)
    kinds : array of str, shape (prompt,)

    Returns
    -------
    Nearest or None
        None if there is only one kind, or a quantity of the text is not defined.

    Examples
    --------
    >>> prompts = np.array([[1.0, 1.1, 5.0, 5.2]])
    >>> nearest_kind([4.0], prompts, np.array(["code", "code", "news", "news"])).kind
    'news'
    """
    names = list(dict.fromkeys(map(str, kinds)))
    if len(names) < 2 or not np.isfinite(text).all():
        return None
    spread = prompts.std(1, keepdims=True)
    spread[spread == 0] = 1
    points, here = prompts / spread, np.asarray(text)[:, None] / spread
    member = np.array([kinds == name for name in names])

    def nearest(point, counted):
        distance = np.linalg.norm(points - point, axis=0)
        average = [distance[of & counted].mean() if (of & counted).any() else np.inf for of in member]
        return int(np.argmin(average))

    everyone = np.ones(len(kinds), bool)
    own = [
        kinds[i] == names[nearest(points[:, [i]], everyone & (np.arange(len(kinds)) != i))] for i in range(len(kinds))
    ]
    best = nearest(here, everyone)
    return Nearest(str(names[best]), member[best], float(np.mean(own)))


class Expected(NamedTuple):
    """A number, and the one that a line through the prompts leads to expect."""

    value: float  #: on the line
    half: float  #: 95% of the prompts lie within this distance of the line of the other kinds
    above: float  #: of the number above the line
    closer: float  #: share of the prompts that lie closer to the line of the other kinds

    @property
    def is_ordinary(self) -> bool:
        """Whether the number lies no farther from the line than 95% of the prompts."""
        return abs(self.above) <= self.half


def expected(
    text: Sequence[float], y: float, prompts: np.ndarray, others: np.ndarray, kinds: np.ndarray
) -> Expected | None:
    """Compare a number with the line, or plane, of the prompts.

    Prompts of one kind tend to lie on one side of the line, and a text belongs to no kind. So the yardstick is the
    distance that prompts keep from the line fitted without their own kind.

    Parameters
    ----------
    text : sequence of float, shape (quantity,)
        What the number is predicted from.
    y : float
    prompts : array of float, shape (quantity, prompt)
    others : array of float, shape (prompt,)
    kinds : array of str, shape (prompt,)

    Returns
    -------
    Expected or None
        None for fewer than :data:`ENOUGH` prompts, or if something is not defined.

    Examples
    --------
    >>> loss = np.linspace(1, 3, 20)
    >>> found = expected([2.0], 5.0, loss[None], 2 * loss, np.array(["a", "b"] * 10))
    >>> round(found.value, 6), found.is_ordinary
    (4.0, False)
    """
    defined = np.isfinite(others) & np.isfinite(prompts).all(0)
    if defined.sum() < ENOUGH or not np.isfinite([*text, y]).all():
        return None
    design = np.column_stack([np.ones(defined.sum()), prompts[:, defined].T])
    values, kinds = others[defined], kinds[defined]
    groups = kinds if len(set(kinds)) > 1 else np.arange(len(values)).astype(str)  # of one kind: each prompt by itself
    away = np.empty(len(values))
    for group in set(groups):
        own = groups == group
        away[own] = np.abs(values[own] - design[own] @ _fit(design[~own], values[~own]))
    value = float(np.array([1.0, *text]) @ _fit(design, values))
    place = min(len(away), int(np.ceil(0.95 * (len(away) + 1)))) - 1
    return Expected(value, float(np.sort(away)[place]), y - value, float((away < abs(y - value)).mean()))


def _fit(design, values):
    """Coefficients of the least squares."""
    return np.linalg.lstsq(design, values, rcond=None)[0]
