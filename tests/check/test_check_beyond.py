"""Checkers of the part "Beyond the paper": common mistakes get their hints, and other right answers pass."""

import itertools
import math
import struct
import zlib

import google_crc32c
import numpy as np
import pytest
import torch
from scipy import stats

from tokengeom_utils import check


def guess(v, d, s, variance=None, unit=1, signs=(1, -1)):
    variance = d * s**2 if variance is None else variance
    return [(np.log(v) + sign * variance / 2) / unit for sign in signs]


def untouched(v, c):
    return v


def left(v, c):
    return v - np.polyval(np.polyfit(c, v, 1), c)


def held_fixed(own, twin, loss, of_own=left, of_loss=left):
    return np.array([np.corrcoef(of_own(x, c), of_loss(loss, c))[0, 1] for x, c in zip(own, twin, strict=True)])


def by_formula(own, twin, loss, power=0.5):
    rows = [np.corrcoef(np.stack([x, c, loss])) for x, c in zip(own, twin, strict=True)]
    return np.array([(r[0, 2] - r[0, 1] * r[1, 2]) / ((1 - r[0, 1] ** 2) * (1 - r[1, 2] ** 2)) ** power for r in rows])


def so_far(v):
    return np.cumsum(v, 0) / np.arange(1, len(v) + 1)[:, None]


def rank(x, others):
    return (np.less(others, x) + np.equal(others, x) / 2).mean()


def residual(x, y, x0, y0, free=2, new=1, line=True):
    slope, intercept = np.polyfit(x, y, 1)
    s = np.sqrt(((y - slope * x - intercept) ** 2).sum() / (len(x) - free))
    wide = np.sqrt(new + line * (1 / len(x) + (x0 - x.mean()) ** 2 / ((x - x.mean()) ** 2).sum()))
    return (y0 - slope * x0 - intercept) / (s * wide)


def whole(data, value=google_crc32c.value, order="little", least=5):
    return len(data) >= least and value(data[:-4]) == int.from_bytes(data[-4:], order)


def step_by_step(values):
    total, found = 0, []
    for count, row in enumerate(values, 1):
        total = total + row
        found.append(total / count)
    return found


def by_matrix(values):
    weight = np.tril(np.ones((len(values), len(values))))
    return torch.tensor(weight / weight.sum(1, keepdims=True) @ values)


def by_design(x, y, x0, y0):
    design, new = np.column_stack([np.ones(len(x)), x]), np.array([1, x0])
    fit, squares, *_ = np.linalg.lstsq(design, y, rcond=None)
    s2 = squares[0] / (len(x) - 2)
    return (y0 - new @ fit) / np.sqrt(s2 * (1 + new @ np.linalg.inv(design.T @ design) @ new))


def by_linregress(x, y, x0, y0):
    fit = stats.linregress(x, y)
    s = np.std(y - fit.slope * x - fit.intercept) * np.sqrt(len(x) / (len(x) - 2))
    return (y0 - fit.slope * x0 - fit.intercept) / s / np.sqrt(1 + 1 / len(x) + (x0 - x.mean()) ** 2 / len(x) / x.var())


def one_more(seconds, write, efficiency=1.0):
    return next(w for w in itertools.count(1) if w * efficiency * write >= seconds)


def unpacked(data):
    return len(data) > 4 and struct.unpack("<I", data[-4:])[0] == google_crc32c.value(data[:-4])


def extended(data):
    value = 0
    for i in range(len(data) - 4):
        value = google_crc32c.extend(value, data[i : i + 1])
    return len(data) >= 5 and value.to_bytes(4, "little") == data[-4:]


RIGHT = [
    ("untrained_loss", guess),
    ("twin_held_fixed", held_fixed),
    ("twin_held_fixed", by_formula),
    ("causal_mean", so_far),
    ("percentile_rank", rank),
    ("unusual", residual),
    ("count_measurements", lambda n, shuffled, degrees: n + min(n, shuffled) * sum(d > 0 for d in {*degrees})),
    ("enough_workers", lambda seconds, write, efficiency=1.0: -(-seconds // (efficiency * write))),
    ("is_whole", whole),
    ("untrained_loss", lambda v, d, s: torch.log(torch.tensor(float(v))) + torch.tensor([1.0, -1.0]) * d * s * s / 2),
    ("untrained_loss", lambda v, d, s: (math.log(v * math.exp(d * s**2 / 2)), math.log(v / math.exp(d * s**2 / 2)))),
    ("causal_mean", step_by_step),
    ("causal_mean", by_matrix),
    ("percentile_rank", lambda x, others: stats.percentileofscore(others, x, kind="mean") / 100),
    ("percentile_rank", lambda x, others: sum(float(o < x) + float(o <= x) for o in others) / 2 / len(others)),
    ("unusual", by_design),
    ("unusual", by_linregress),
    ("count_measurements", lambda n, s, degrees: sum(1 + (i < s) * len({*degrees} - {0}) for i in range(n))),
    ("count_measurements", lambda n, s, d: n + min(n, s) * np.count_nonzero(np.unique(d))),
    ("enough_workers", one_more),
    ("enough_workers", lambda t, w, e=1.0: math.ceil(t / e / w)),
    ("is_whole", unpacked),
    ("is_whole", extended),
]

WRONG = [
    ("untrained_loss", lambda v, d, s: np.log(v), "two numbers"),
    ("untrained_loss", lambda v, d, s: [np.log(v)] * 2, "all equal"),
    ("untrained_loss", lambda v, d, s: guess(v, d, s, variance=1), "half the variance"),
    ("untrained_loss", lambda v, d, s: guess(v, d, s, signs=(-1, 1)), "signs"),
    ("untrained_loss", lambda v, d, s: guess(v, d, s, unit=np.log(2)), "bits"),
    ("untrained_loss", lambda v, d, s: guess(v, d, s, variance=d**0.5 * s), "square"),
    ("twin_held_fixed", lambda *given: held_fixed(*given).mean(), "each layer"),
    ("twin_held_fixed", lambda *given: held_fixed(*given, untouched, untouched), "nothing is held fixed"),
    ("twin_held_fixed", lambda *given: held_fixed(*given, np.subtract, untouched), "slope of one"),
    ("twin_held_fixed", lambda *given: by_formula(*given, power=0), "numerator"),
    ("twin_held_fixed", lambda *given: by_formula(*given, power=1), "root is missing"),
    ("twin_held_fixed", lambda *given: held_fixed(*given, of_loss=untouched), "both contribute a factor"),
    ("twin_held_fixed", lambda *given: held_fixed(*given, of_own=untouched), "both contribute a factor"),
    ("twin_held_fixed", lambda own, twin, loss: held_fixed(own, [twin.mean(0)] * len(own), loss), "has its own"),
    ("twin_held_fixed", lambda own, twin, loss: held_fixed(twin, own, loss), "three correlations"),
    ("causal_mean", lambda v: np.cumsum(v, 0), "divide each row"),
    ("causal_mean", lambda v: np.cumsum(v, 0) / len(v), "one row"),
    ("causal_mean", lambda v: np.tile(v.mean(0), (len(v), 1)), "follow"),
    ("causal_mean", lambda v: np.vstack([v[:1], so_far(v)[:-1]]), "its own mean"),
    ("percentile_rank", lambda x, others: len(others) * rank(x, others), "a count"),
    ("percentile_rank", lambda x, others: np.less(others, x).mean(), "leave them out"),
    ("percentile_rank", lambda x, others: np.less_equal(others, x).mean(), "in full"),
    ("percentile_rank", lambda x, others: 100 * rank(x, others), "percentage"),
    ("percentile_rank", lambda x, others: 1 - rank(x, others), "share of larger"),
    ("unusual", lambda x, y, x0, y0: y0 - np.polyval(np.polyfit(x, y, 1), x0), "standard deviation"),
    ("unusual", lambda *given: residual(*given, line=False), "root is missing"),
    ("unusual", lambda *given: residual(*given, new=0), "the 1 under the root"),
    ("unusual", lambda *given: residual(*given, free=1), "n - 2"),
    ("unusual", lambda *given: -residual(*given), "sign"),
    ("count_measurements", lambda n, shuffled, degrees: n * (1 + len(degrees)), "shuffled ones once more"),
    ("count_measurements", lambda n, shuffled, degrees: n + shuffled * len({*degrees}), "already counted"),
    ("count_measurements", lambda n, shuffled, degrees: n + shuffled * sum(d > 0 for d in degrees), "listed twice"),
    ("count_measurements", lambda n, shuffled, degrees: n + shuffled * len({*degrees} - {0}), "than there are"),
    ("enough_workers", lambda seconds, write, e=1.0: np.ceil(e * write / seconds), "other way around"),
    ("enough_workers", lambda seconds, write, e=1.0: seconds // (e * write), "round up"),
    ("enough_workers", lambda seconds, write, e=1.0: np.ceil(seconds / write), "half as efficient"),
    ("is_whole", lambda data: whole(data, value=zlib.crc32), "that of zlib"),
    ("is_whole", lambda data: whole(data, order="big"), "wrong end"),
    ("is_whole", lambda data: True, "unnoticed"),
    ("is_whole", lambda data: whole(data, least=0), "length too"),
    ("untrained_loss", lambda v, d, s: guess(v, d, s, variance=2 * d * s**2), "half of it"),
    ("untrained_loss", lambda v, d, s: guess(v, d, s, variance=d * s), "square"),
    ("untrained_loss", lambda v, d, s: guess(v, d, s, unit=np.log(10)), "natural"),
    ("untrained_loss", lambda v, d, s: guess(v, d, s, signs=(1, 1)), "plus and log V minus"),
    ("twin_held_fixed", lambda *given: abs(held_fixed(*given)), "three correlations"),
    ("causal_mean", lambda v: so_far(v[::-1])[::-1], "follow"),
    ("causal_mean", lambda v: (v + np.roll(v, 1, 0)) / 2, "divide np.cumsum"),
    ("causal_mean", lambda v: v, "divide np.cumsum"),
    ("percentile_rank", lambda x, others: rank(x, others) * len(others) / (len(others) - 1), "not one of them"),
    ("percentile_rank", lambda x, others: rank(x, np.append(others, x)), "not one of them"),
    ("percentile_rank", lambda x, others: rank(x, np.unique(others)), "among equals"),
    ("percentile_rank", lambda x, others: np.mean((others < x) + (others == x) / 2 + (others < x)), "among equals"),
    ("unusual", lambda *given: abs(residual(*given)), "below it a negative"),
    ("unusual", lambda x, y, x0, y0: (y0 - y.mean()) / y.std(), "mean of y"),
    ("unusual", lambda x, y, x0, y0: residual(y, x, y0, x0), "in the text"),
    ("count_measurements", lambda n, s, degrees: n + min(n, s) * max(1, len({*degrees} - {0})), "already counted"),
    ("count_measurements", lambda n, s, d: n + min(n, s) * len({*d} - {0}) if d else 0, "still measured once"),
    (
        "count_measurements",
        lambda n, s, d: n + min(n, s) * (d.remove(0) or len({*d}) if 0 in d else len({*d})),
        "changes",
    ),
    ("enough_workers", lambda t, w, e=1.0: int(t / (e * w)) + 1, "just enough"),
    ("enough_workers", lambda t, w, e=1.0: round(t / (e * w)), "round up"),
    ("enough_workers", lambda t, w, e=1.0: t / (e * w), "whole numbers"),
    ("enough_workers", lambda t, w, e=1.0: math.ceil(t / (e * w)) if t > w else 0, "however slow"),
    ("enough_workers", lambda t, w, e=1.0: math.ceil(e * t / w), "half as efficient"),
    ("is_whole", lambda data: False, "rejects an undamaged"),
    ("is_whole", lambda data: len(data) > 4 and google_crc32c.value(data[:-4]) % 256 == data[-4], "all four bytes"),
    ("is_whole", lambda data: unpacked(data) or unpacked(data[:-1]), "additional byte"),
    ("is_whole", lambda data: google_crc32c.value(data[:-4]), "True or False"),
]


@pytest.mark.parametrize("name, attempt", RIGHT)
def test_another_right_answer_passes(name, attempt):
    assert getattr(check, name)(attempt) == check.Answer(True)


@pytest.mark.parametrize("name, attempt, hint", WRONG)
def test_a_common_mistake_gets_its_hint(name, attempt, hint):
    answer = getattr(check, name)(attempt)
    assert not answer.passed and hint in answer.hint, answer
