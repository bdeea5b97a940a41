"""Checkers for the chapter "What a survey costs"."""

import zlib

import google_crc32c
import numpy as np

from .answer import Attempt, checker, close, expect, reached, shaped, truth


@checker
def count_measurements(attempt: Attempt, rng: np.random.Generator) -> None:
    """Check ``count_measurements(n_prompts, n_shuffled, degrees)``: the number of forward passes of a survey.

    Every prompt is measured in order, the first ``n_shuffled`` also at each other degree of ``degrees``, a list of ints
    that may hold 0 or repeat an entry. Returns an int.
    """
    n, some = int(rng.integers(8, 30)), int(rng.integers(2, 8))
    degrees = [int(degree) for degree in rng.permutation(np.arange(1, 6))[: rng.integers(2, 4)]]
    m = len(degrees)
    expect(
        close(attempt(n, some, degrees), n + some * m),
        "measure every prompt once in order, and the shuffled ones once more for each degree",
    )
    reached(0.25)
    expect(
        close(attempt(n, some, [*degrees, 0]), n + some * m) and close(attempt(n, some, [0]), n),
        "degree 0 is the prompt in order, which is already counted",
    )
    expect(
        close(attempt(n, some, [*degrees, degrees[0]]), n + some * m)
        and close(attempt(n, some, [2, 0, 2, 0]), n + some),
        "a degree that is listed twice is measured once",
    )
    reached(0.5)
    expect(close(attempt(n, n + 5, degrees), n * (1 + m)), "no more prompts can be shuffled than there are")
    reached(0.75)
    expect(
        close([attempt(n, some, []), attempt(n, 0, degrees)], [n, n]),
        "with no degree or no shuffled prompt, every prompt is still measured once in order",
    )


@checker
def enough_workers(attempt: Attempt, rng: np.random.Generator) -> None:
    """Check ``enough_workers(seconds, write, efficiency=1.0)``: the fewest workers that keep the writer busy.

    All three are floats: the seconds for measuring a prompt, those for writing it, and the efficiency of a worker.
    Returns an int, at least 1.
    """
    write, whole = rng.uniform(0.1, 0.5, 4), rng.integers(2, 9, 4)
    seconds = (whole + np.array([0.2, 0.4, 0.6, 0.8])) * write
    found = [shaped(attempt(float(t), float(w))) for t, w in zip(seconds, write, strict=True)]
    expect(np.mean(found) > 1, "it is the other way around: how many writes fit into one measurement?")
    expect(
        not close(found, seconds / write),
        "workers come in whole numbers: round up",
    )
    expect(
        close(found, whole + 1),
        "divide the seconds by those for writing, and round up: one worker fewer would leave the writer waiting",
    )
    reached(0.5)
    expect(
        close([attempt(2.0, 0.5), attempt(0.75, 0.25)], [4, 3]),
        "four workers that finish a prompt in two seconds are just enough for a writer that takes half a second",
    )
    expect(close(attempt(0.25, 1.0), 1), "one worker is needed, however slow the writer is")
    efficiency = rng.uniform(0.3, 0.9)
    expect(
        close([attempt(1.0, 0.3, 0.5), attempt(5.3, 0.5, efficiency)], [7, np.ceil(10.6 / efficiency)]),
        "with workers that are half as efficient, you need twice as many",
    )


@checker
def is_whole(attempt: Attempt, rng: np.random.Generator) -> None:
    """Check ``is_whole(data)``: whether a chunk of a store agrees with the CRC-32C in its last four bytes.

    ``data`` is bytes of any length; returns a bool.
    """
    body = rng.bytes(int(rng.integers(20, 60)))

    def ends(value: int, order: str = "little") -> bytes:
        return value.to_bytes(4, "little" if order == "little" else "big")

    def accepted(data: bytes) -> bool:
        return truth(attempt(data))

    right = ends(google_crc32c.value(body))
    whole, other = accepted(body + right), ends(zlib.crc32(body))
    expect(
        whole or not accepted(body + other),
        "your function computes another CRC, that of zlib: take google_crc32c.value",
    )
    expect(
        whole or not accepted(body + right[::-1]),
        "you read the checksum from the wrong end: its least significant byte comes first",
    )
    expect(
        whole and accepted(body[:1] + ends(google_crc32c.value(body[:1]))),
        "your function rejects an undamaged chunk: the last four bytes are the checksum of all the others, least "
        "significant byte first",
    )
    for place in (0, len(body) // 2, -5, -4, -3, -2, -1):
        damaged = bytearray(body + right)
        damaged[place] ^= 1 << int(rng.integers(0, 8))
        expect(
            not accepted(bytes(damaged)),
            "a changed byte goes unnoticed: compute the checksum of the data and compare all four bytes",
        )
    reached(0.5)
    expect(
        not accepted((body + right)[:-1]) and not accepted(body + right + b"\0"),
        "a missing or an additional byte goes unnoticed: the last four bytes are the checksum of all the others",
    )
    expect(
        not any(accepted(data) for data in (b"", b"\0", b"\0\0\0", b"\0\0\0\0")),
        "an empty chunk or four zero bytes pass: the checksum of nothing is 0, so look at the length too",
    )
