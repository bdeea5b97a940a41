"""Sums whose rounding depends on nothing but the values: the same on every device, alone and in a batch."""

import torch


def fold(values: torch.Tensor) -> torch.Tensor:
    """Add up the last axis by halves: the first half and the second, then those of the result, down to one number.

    The sum of torch rounds by its own rules, which on a GPU depend on the shape and on the place in memory; here each
    step adds two numbers, and which two follows from the length of the axis alone.

    Parameters
    ----------
    values : torch.Tensor, shape (..., n)
        With n >= 1; zeros are added to the next power of two.

    Returns
    -------
    torch.Tensor, shape (...)

    Examples
    --------
    >>> fold(torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]))
    tensor([ 6., 15.])
    """
    n = values.shape[-1]
    width = 1 << (n - 1).bit_length()
    values = torch.nn.functional.pad(values, (0, width - n))
    while width > 1:
        width //= 2
        values = values[..., :width] + values[..., width:]
    return values[..., 0]


def mean(values: torch.Tensor) -> torch.Tensor:
    """Return the mean over the last axis, by :func:`fold`.

    Parameters
    ----------
    values : torch.Tensor, shape (..., n)

    Returns
    -------
    torch.Tensor, shape (...)

    Examples
    --------
    >>> mean(torch.tensor([1.0, 2.0, 3.0]))
    tensor(2.)
    """
    return fold(values) / values.shape[-1]
