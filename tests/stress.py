"""The ledger of claims on synthetic surveys: how often does it decide what is not there, and miss what is?

    .venv/bin/python tests/stress.py               # 200 surveys of each kind, half an hour; renews data/stress.json
    .venv/bin/python tests/stress.py 20 "noise"    # prints the rows whose name contains a word, from 20 surveys

The first rows are nulls: the claims that are counted there are false, so that each decision is an error. At most 5% of
the surveys of a null may decide anything after the correction. The last rows have real effects.
"""

import json
import sys
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import synthetic
import xarray as xr
from synthetic import World

import tokengeom_utils as tg
from tokengeom_utils.claims import LEVEL, MIN_UNITS

PAGE = Path(__file__).parents[1] / "data" / "stress.json"
SURVEYS = 200
DEGREE_CLAIMS = (2, 3, 4, 6, 7, 9, 15)  #: those that only compare degrees


class Row(NamedTuple):
    """A kind of survey: how to draw one, and the claims and parts that are counted."""

    name: str
    draw: Callable[[int], xr.Dataset]
    claims: tuple[int, ...] = ()  #: all of them if empty
    part: str = ""  #: of these claims, this part only
    is_null: bool = True  #: whether every decision is an error


def worlds() -> list[Row]:
    """The rows of random numbers."""

    def row(name: str, world: World, *claims: int, part: str = "", is_null: bool = True) -> Row:
        return Row(name, lambda seed: synthetic.survey(world, seed), claims, part, is_null)

    smooth = 8
    noisy = partial(World, smooth=smooth, kind_effect=1.0)
    strongest = "positive at the strongest layer"
    return [
        row("independent noise", World()),
        row("noise smooth over layers", World(smooth=smooth)),
        row("kind effects as large as prompt effects", World(smooth=smooth, kind_effect=1)),
        row("kind effects three times as large", World(smooth=smooth, kind_effect=3)),
        row("shuffled prompts scatter 1.5 times as much", World(smooth=smooth, scatter=1.5)),
        row("one prompt of each kind", World(prompts=1, shuffled=1)),
        row("six kinds of two prompts", World(kinds=6, prompts=2, shuffled=2)),
        row(
            "one random profile for all, claims on degrees and loss",
            World(profile=1),
            *range(2, 5),
            6,
            7,
            *range(9, 16),
        ),
        row(
            "one r in all layers but the first, where it is negative",
            World(prompts=20, r=0.5, first_r=-0.45),
            10,
            part="strongest in the first half",
        ),
        row(
            "two equal peaks, one in each half of the depth",
            noisy(peaks=((8, 1.5), (22, 1.5))),
            1,
            part="peak in the first half",
        ),
        row(
            "a low peak in the first half, kind effects",
            noisy(peaks=((10, 1.5),)),
            1,
            part="higher than in the last layer",
            is_null=False,
        ),
        row("one random profile for all, claims on its shape", World(profile=1), 1, 8, is_null=False),
        row("true r = 0.3, kind effects", noisy(r=0.3, prompts=20), 10, part=strongest, is_null=False),
        row("true r = 0.5, kind effects", noisy(r=0.5, prompts=20), 10, part=strongest, is_null=False),
        row("true r = 0.5, 12 kinds of 4 prompts", World(12, 4, r=0.5, smooth=8), 10, part=strongest, is_null=False),
        row("a rise of 0.25 deviations per degree", World(smooth=smooth, raised=0.25), 2, 6, is_null=False),
        row("the same with kind effects", World(smooth=smooth, raised=0.25, kind_effect=1), 2, 6, is_null=False),
    ]


def measured(name: str = "standard") -> list[Row]:
    """The rows made of a survey that was measured; none if it has too few kinds of text."""
    results = tg.open_results(name)
    if len(set(results.domain.values)) < MIN_UNITS:
        print(f"{name} has fewer than {MIN_UNITS} kinds of text: no rows are made of it", flush=True)
        return []

    def row(what: str, alter: Callable[..., xr.Dataset], *claims: int, is_null: bool = True) -> Row:
        return Row(f"{name}, {what}", lambda seed: alter(results, seed), claims, "", is_null)

    return [
        row("degrees permuted", synthetic.permuted_degrees, *DEGREE_CLAIMS),
        row("degrees reversed", synthetic.reversed_degrees, 2, 3, 6, 15, is_null=False),
        row("loss mirrored", synthetic.mirrored_loss, 10, 11, is_null=False),
        row("prompts drawn again", synthetic.resampled, is_null=False),
    ]


def shares(row: Row, n: int = SURVEYS, first_seed: int = 0) -> dict[str, Any]:
    """Judge ``n`` surveys of a row; return the shares with any verdict of each sort, and the parts decided most often.

    The last are shares of tests alone, without a correction: in a null, about 5% is right.
    """
    found, alone = [], Counter()
    for seed in range(first_seed, first_seed + n):
        whole = tg.evaluate(row.draw(seed))
        ledger = [c for c in whole if not row.claims or c.number in row.claims]
        parts = [p for c in ledger for p in c.parts if p.name == row.part or not row.part]
        decided = [(c.number, p.name) for c in ledger for p in c.parts if p.uncorrected in ("holds", "opposite")]
        alone.update(decided)
        found.append(
            {
                "reproduced": any(c.verdict == "reproduced" for c in ledger),
                "reproduced, uncorrected": any(c.uncorrected == "reproduced" for c in ledger),
                "not seen here": any(c.verdict == "not seen here" for c in ledger),
                "any part holds": any(p.outcome == "holds" for p in parts),
                "any part opposite": any(p.outcome == "opposite" for p in parts),
                "any part holds, by Holm": bool(_held_by_holm(whole) & set(map(id, parts))),
            }
        )
    counted = {key: float(np.mean([one[key] for one in found])) for key in found[0]}
    about = {"survey": row.name, "null": row.is_null, "claims": list(row.claims), "part": row.part, "n": n}
    worst = {f"{number}: {name}": count / n for (number, name), count in alone.most_common(3)}
    return about | counted | {"decided most often alone": worst}


def _held_by_holm(ledger):
    """The parts, by identity, that would hold if Holm's rule corrected the p-values of the ledger."""
    parts = [part for claim in ledger for part in claim.parts]
    adjusted = tg.statistics.holm([part.p_value for part in parts])
    return {id(part) for p, part in zip(adjusted, parts, strict=True) if p < LEVEL and part.uncorrected == "holds"}


def twins_alike(n: int = SURVEYS) -> dict[str, Any]:
    """Return how often a part counts as stronger or weaker than in a twin that follows the same law."""
    world = World(smooth=8, kind_effect=1, prompts=2, shuffled=2)
    found = []
    for seed in range(n):
        ledger = tg.evaluate(synthetic.survey(world, seed), synthetic.survey(world, n + seed))
        found.append({part.beyond for claim in ledger for part in claim.parts})
    return {"survey": "a twin that follows the same law", "n": n} | {
        word: float(np.mean([word in one for one in found])) for word in ("more", "less")
    }


def choosing(n: int = 10 * SURVEYS, kinds: int = 15, layers: int = 30, peak: float = 1.5) -> dict[str, Any]:
    """Return how often a test decides that a peak is higher than the last layer, by who chooses its layer.

    In noise 5% would be right, as a test alone. Then one layer is higher by ``peak`` standard deviations of a kind.
    """
    return {"n": n, "kinds": kinds, "layers": layers, "peak": peak} | {
        name: _decided_by_chooser(n, kinds, layers, height) for name, height in (("noise", 0.0), ("found", peak))
    }


def _decided_by_chooser(n: int, kinds: int, layers: int, height: float) -> dict[str, float]:
    """Return the share of ``n`` draws in which the test decides, by who chooses the layer."""
    rng, one_deal = np.random.default_rng(0), np.arange(kinds) % 2
    decided = Counter[str]()
    for _ in range(n):
        profile = rng.normal(size=(kinds, layers))
        profile[:, layers // 3] += height
        above, inner = profile - profile[:, -1:], profile[:, :-1]
        halves = np.array([inner[one_deal != half].mean(0).argmax() for half in (0, 1)])[one_deal]
        every_deal = tg.statistics.scores_elsewhere(inner, partial(np.take, above, axis=1))
        tests = {
            "the same kinds": above[:, inner.mean(0).argmax()],
            "all other kinds": above[np.arange(kinds), (inner.sum(0) - inner).argmax(1)],
            "the other half, in one deal": above[np.arange(kinds), halves],
            "the other half, mean score over all deals": every_deal.scores,
            "the other half, median statistic over all deals": every_deal,
        }
        p_values, *_ = tg.statistics.joint_p_values(list(tests.values()))
        decided.update(name for name, p in zip(tests, p_values, strict=True) if p < LEVEL)
    return {name: decided[name] / n for name in tests}


def main() -> None:
    n = int(sys.argv[1]) if sys.argv[1:] else SURVEYS
    words = sys.argv[2:]
    rows = [row for row in [*worlds(), *measured()] if not words or any(word in row.name for word in words)]
    table: list[dict[str, Any]] = []
    start = time.perf_counter()
    for place, row in enumerate(rows, 1):
        table.append(shares(row, n, 1000 * place))  # no two rows share their random numbers
        numbers = "  ".join(f"{key} {value:.1%}" for key, value in table[-1].items() if isinstance(value, float))
        worst = ", ".join(f"{name} {share:.0%}" for name, share in table[-1]["decided most often alone"].items())
        print(
            f"{place}/{len(rows)}  {row.name}: {numbers}; alone: {worst}  ({time.perf_counter() - start:.0f} s)",
            flush=True,
        )
    if not sys.argv[1:]:
        twins = twins_alike(n)
        print(twins, flush=True)
        content = {"rows": table, "twins": twins, "choosing": choosing()}
        print(content["choosing"], flush=True)
        PAGE.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    wrong = [one["survey"] for one in table if one["null"] and max(one["reproduced"], one["not seen here"]) > LEVEL]
    sys.exit(f"beyond 5%: {', '.join(wrong)}" if wrong else 0)


if __name__ == "__main__":
    main()
