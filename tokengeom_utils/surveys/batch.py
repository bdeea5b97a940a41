"""How many measurements share a forward pass."""

from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputError
from ..models.language_model import LanguageModel
from .measure import measure_arrays
from .request import Request

if TYPE_CHECKING:
    from collections.abc import Callable

GPU_BATCH = 16  #: measurements per forward pass on a GPU with enough memory; with fewer it waits for Python


def fitting_batch(model: LanguageModel, token_ids: np.ndarray, request: Request, wanted: int | None = None) -> int:
    """Find out how many measurements fit into the memory of a model's device at once, by measuring as many.

    The first pass on a GPU also compiles its programs, which takes 15 to 20 seconds on a machine that has not run them
    before.

    Parameters
    ----------
    model : LanguageModel
    token_ids : array of int, shape (token,)
        Of any prompt of the survey.
    request : dict
        From :func:`tokengeom_utils.surveys.request.make_request`.
    wanted : int, optional
        The number that has to fit; otherwise the largest of :data:`GPU_BATCH`, half of it, and so on.

    Returns
    -------
    int

    Raises
    ------
    InputError
        If not even one fits, or not as many as wanted.

    Examples
    --------
    >>> import numpy as np, tokengeom_utils as tg
    >>> fitting_batch(tg.tiny_model(), np.arange(64), {"scale_max": 16, "k_max": 8})
    16
    """

    def measure(batch):
        with suppress(InputError):  # a prompt that cannot be measured, which the survey reports in its turn
            measure_arrays(model, np.tile(token_ids, (batch, 1)), request["scale_max"], request["k_max"])

    batch = _largest(measure, wanted or GPU_BATCH, wanted or 1)
    if not batch:
        few = f"{wanted} measurements in a pass do" if wanted else "one measurement does"
        raise InputError(
            f"{few} not fit into the memory of {model.device}: use a smaller {'batch' if wanted else 'n_tokens'}, or a "
            "GPU with more memory"
        )
    return batch


def _largest(measure: "Callable[[int], None]", most: int, least: int) -> int:
    """The first of ``most``, half of it, and so on with which ``measure`` does not run out of memory; 0 if none is."""
    import torch

    batch = most
    while batch >= least:
        try:
            measure(batch)
            return batch
        except torch.OutOfMemoryError:
            pass  # until here, the traceback keeps the tensors alive
        torch.cuda.empty_cache()
        batch //= 2
    return 0
