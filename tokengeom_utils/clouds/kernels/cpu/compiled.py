"""How the loops of this path are compiled, and the one loop that several modules share."""

import warnings
from typing import Any

from numba import njit

TILE = 16  # divides products.STRIP


def can_keep() -> bool:
    """Return whether numba has a folder for compiled code; a warning states what to do if not."""
    try:
        njit(cache=True)(can_keep)  # compiles nothing
    except RuntimeError:  # neither the folder of the package nor the user's cache can be written
        warnings.warn(
            "compiled loops cannot be kept, so that every run compiles them again, for half a minute or so: set "
            "NUMBA_CACHE_DIR to a folder of your own",
            stacklevel=2,
        )
        return False
    return True


PLAIN: dict[str, Any] = {"nogil": True, "cache": can_keep(), "error_model": "numpy"}
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
