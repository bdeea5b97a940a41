"""Checkers for the chapter "What a survey costs"."""

import google_crc32c

from .answer import Attempt, checker, expect


@checker
def count_measurements(attempt: Attempt) -> None:
    """Check ``count_measurements(n_prompts, n_shuffled, degrees)``: the number of forward passes of a survey.

    Every prompt is measured in order, the first ``n_shuffled`` also at each other degree of ``degrees``, a list of ints
    that may hold 0 or repeat an entry. Returns an int.
    """
    expect(
        attempt(10, 4, [1, 2]) == 18,
        "measure every prompt once in order, and the shuffled ones once more for each degree",
    )
    expect(attempt(10, 4, [0, 1, 2]) == 18, "degree 0 is the prompt in order, which is already counted")
    expect(attempt(10, 4, [1, 1]) == 14, "a degree that is listed twice is measured once")
    expect(attempt(3, 50, [5]) == 6, "no more prompts can be shuffled than there are")


@checker
def enough_workers(attempt: Attempt) -> None:
    """Check ``enough_workers(seconds, write, efficiency=1.0)``: the fewest workers that keep the writer busy.

    All three are floats: the seconds for measuring a prompt, those for writing it, and the efficiency of a worker.
    Returns an int.
    """
    found = attempt(1.0, 0.3)
    expect(found > 1, "it is the other way round: how many writes fit into one measurement?")
    expect(found == 4, "workers come in whole numbers, and three would leave the writer waiting: round up")
    expect(attempt(1.0, 0.3, 0.5) == 7, "with workers that are half as efficient, you need twice as many")


@checker
def is_whole(attempt: Attempt) -> None:
    """Check ``is_whole(data)``: whether a chunk of a store agrees with the CRC-32C in its last four bytes.

    ``data`` is bytes; returns a bool.
    """
    body = b"token geometry"
    ending = google_crc32c.value(body).to_bytes(4, "little")
    expect(
        attempt(body + ending),
        "your function rejects an undamaged chunk: the last four bytes are the checksum of all the others, least "
        "significant byte first",
    )
    expect(
        not attempt(b"T" + body[1:] + ending),
        "a changed byte goes unnoticed: compute the checksum of the data and compare",
    )
    expect(
        not attempt(b"\0\0\0\0"),
        "four zero bytes pass: the checksum of nothing is 0, so look at the length too",
    )
