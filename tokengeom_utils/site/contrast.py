"""Which of black and white is readable on a color."""

import numpy as np
from numpy.typing import ArrayLike

EVEN = 0.18  #: relative luminance at which black and white have the same contrast


def label_color(color: ArrayLike) -> str:
    """Choose black or white, whichever has more contrast with a color.

    Parameters
    ----------
    color : array_like, shape (3,)
        Red, green, and blue, from 0 to 1.

    Returns
    -------
    str
        ``"black"`` or ``"white"``.

    Notes
    -----
    By the relative luminance and the contrast of WCAG 2.1.

    Examples
    --------
    >>> label_color((0.97, 0.97, 0.97)), label_color((0.4, 0.0, 0.1))
    ('black', 'white')
    """
    parts = np.asarray(color, float)
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return "white" if linear @ (0.2126, 0.7152, 0.0722) < EVEN else "black"
