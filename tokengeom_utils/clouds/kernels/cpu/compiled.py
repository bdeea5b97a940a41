"""How the loops of this path are compiled, and the one loop that several modules share."""

from typing import Any

from numba import njit

TILE = 16  # divides products.STRIP
PLAIN: dict[str, Any] = {"nogil": True, "cache": True, "error_model": "numpy"}
# Lets the compiler add in any order, and so in vectors. A compiled function of this kind is always inlined where it is
# called: otherwise the process that compiles and those that find the code in the cache may use different copies of it.
SUMS: dict[str, Any] = PLAIN | {"fastmath": {"reassoc", "contract", "nsz"}}


@njit(**PLAIN)
def mirror(g, start, stop):
    """Fill in the rows ``start`` to ``stop`` of a symmetric matrix, up to column ``start``, from its columns."""
    for first in range(0, start, TILE):  # tiles stay in the cache
        for i in range(start, stop):
            for j in range(first, first + TILE):
                g[i, j] = g[j, i]
