"""Measuring on the workers of a Dask client.

The workers measure; only the calling process writes, so the workers need not share a disk with it. If a worker is
lost, only its current measurement is lost, and Dask gives it to another one.
"""

import warnings
from collections.abc import Callable, Generator, Mapping, Sequence
from functools import lru_cache
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from ..models.advice import advice
from ..models.language_model import LanguageModel
from ..models.load import fetch_model
from .batch import fitting_batch
from .crowd import Crowd
from .jobs import KEPT, jobs, parts, tokenize
from .measure import warm_up
from .plan import LazyModel, Measured, Plan
from .provenance import provenance
from .rows import Row, measure_rows

if TYPE_CHECKING:
    from distributed import Client

TASK_OF_TEXTS = 256  #: number of texts whose lengths one task checks
_loading = Lock()


def measure_on_workers(
    client: "Client", plan: Plan, degrees: Mapping[int, Sequence[int]], advance: Callable[[int], object]
) -> Generator[Measured]:
    """Measure on the workers of a client; yield the prompts as they end, in any order.

    Parameters
    ----------
    client : dask.distributed.Client
    plan : Plan
        Each worker loads its model once, by the name.
    degrees : mapping of int to sequence of int
        The degrees of shuffling to measure of each prompt, by its place.
    advance : callable
        Called as ``advance(steps)``: with 0 when measuring begins, then with the measurements made.

    Yields
    ------
    Measured

    Raises
    ------
    InputError
        If a prompt is too short.
    PartialSurvey
        If the cluster is lost, or no worker is left for :data:`~tokengeom_utils.surveys.crowd.PATIENCE` seconds; jobs
        may stay in a queue longer.
    """
    crowd = Crowd(client)
    crowd.wait()
    known: dict[int, np.ndarray] = {}
    checks = parts(list(degrees), TASK_OF_TEXTS)
    for number, found in crowd.map(_tokenize, ((plan.part(places),) for places in checks)):
        if (len(known) + len(found)) * plan.request["n_tokens"] <= KEPT:
            known |= zip(checks[number], found, strict=True)
    first = plan.part([next(iter(degrees))])
    for _, line in crowd.map(_advice, [(first,)]):
        if line:
            warnings.warn(line, stacklevel=4)
    batch = plan.batch or 1
    if crowd.has_gpus:
        for _, found in crowd.map(_batch, [(first,)]):
            batch = found
    advance(0)
    groups = parts(list(degrees), batch)
    tasks = (
        (plan.part(places), [degrees[i] for i in places], [known.get(i) for i in places], batch) for places in groups
    )
    for number, (rows, made) in crowd.map(_measure, tasks):
        for place, row in zip(groups[number], rows, strict=True):
            yield Measured(place, row, made)
        advance(sum(len(degrees[i]) for i in groups[number]))


@lru_cache(1)
def _load(model: LazyModel) -> LanguageModel:
    """Fetch and load a model, and compile what measuring needs, so that no estimate of the time counts this."""
    fetch_model(model.source, lambda text: None)
    loaded = model.load()
    warm_up(loaded)
    return loaded


def _model(plan: Plan) -> LanguageModel:
    """The model of this worker, loaded once for all its threads."""
    assert isinstance(plan.model, LazyModel)  # as in every part of a plan
    with _loading:
        return _load(plan.model)


def _tokenize(plan: Plan) -> list[np.ndarray]:
    """The token ids of the prompts of a plan; raises ``InputError`` if one is too short."""
    return tokenize(_model(plan), plan.prompts, plan.request["n_tokens"])


def _advice(plan: Plan) -> str | None:
    """What the first prompt of a plan says of the model's usual beginning of a sequence."""
    (ids,) = _tokenize(plan)
    return advice(_model(plan), ids, f"prompt {plan.prompts[0].id}")


def _batch(plan: Plan) -> int:
    """How many measurements fit into the memory of this worker's device at once."""
    (ids,) = _tokenize(plan)
    return fitting_batch(_model(plan), ids, plan.request, plan.batch)


def _measure(
    plan: Plan, degrees: Sequence[Sequence[int]], token_ids: Sequence[np.ndarray | None], batch: int
) -> tuple[list[Row | InputError], dict[str, Any]]:
    """The rows of the prompts of a plan, and how they were made."""
    model, wanted = _model(plan), dict(enumerate(degrees))
    known = {i: ids for i, ids in enumerate(token_ids) if ids is not None}
    stream = jobs(model, plan.prompts, wanted, plan.request, known)
    rows = dict(measure_rows(model, plan.prompts, stream, wanted, plan.request, batch))
    return [rows[i] for i in wanted], provenance(model, plan.profile, batch)
