"""Measuring on the workers of a Dask client.

The workers measure; only the calling process writes, so the workers need not share a disk with it. If a worker is
lost, only its current measurement is lost, and Dask gives it to another one.
"""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from threading import Lock
from typing import TYPE_CHECKING, Any

from ..models.advice import advice
from ..models.language_model import LanguageModel
from ..models.load import fetch_model
from .crowd import Crowd
from .measure import GPU_BATCH, check_lengths, measure_prompts, parts, warm_up
from .plan import LazyModel, Measured, Plan
from .provenance import provenance

if TYPE_CHECKING:
    from distributed import Client

TASK_OF_TEXTS = 256  #: number of texts whose lengths one task checks
_loading = Lock()


def measure_on_workers(
    client: "Client", plan: Plan, degrees: Mapping[int, Sequence[int]], advance: Callable[[int], object]
) -> Iterator[Measured]:
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
    batch = plan.batch or (GPU_BATCH if crowd.has_gpus else 1)
    for _ in crowd.map(_check_lengths, ((plan.part(places),) for places in parts(list(degrees), TASK_OF_TEXTS))):
        pass
    for line in crowd.map(_advice, [(plan.part([next(iter(degrees))]),)]):
        if line[1]:
            warnings.warn(line[1], stacklevel=4)
    advance(0)
    groups = parts(list(degrees), batch)
    tasks = ((plan.part(places), [degrees[i] for i in places], batch) for places in groups)
    for number, (rows, made) in crowd.map(_measure, tasks):
        yield Measured(groups[number], rows, made)
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


def _check_lengths(plan: Plan) -> None:
    """Raise ``InputError`` if a prompt of the plan is too short."""
    check_lengths(_model(plan), plan.prompts, plan.request["n_tokens"])


def _advice(plan: Plan) -> str | None:
    """What the first prompt of a plan says of the model's usual beginning of a sequence."""
    model, (prompt,) = _model(plan), plan.prompts
    return advice(model, model.tokenize(prompt.text, plan.request["n_tokens"]), f"prompt {prompt.id}")


def _measure(plan: Plan, degrees: Sequence[Sequence[int]], batch: int) -> tuple[list[Any], dict[str, Any]]:
    """The rows of the prompts of a plan, and how they were made."""
    model = _model(plan)
    rows = measure_prompts(model, plan.prompts, degrees, plan.request, batch)
    return rows, provenance(model, plan.profile, batch)
