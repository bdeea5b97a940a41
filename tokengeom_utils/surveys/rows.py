"""The rows of a survey: jobs measured in passes of a fixed size, put together prompt by prompt as plain arrays."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from ..errors import InputError
from ..models.language_model import LanguageModel
from ..prompts.load import Prompt
from ..schema import OBSERVABLES
from .jobs import Job
from .measure import Onlooker, measure_arrays
from .request import Request

if TYPE_CHECKING:
    from .measure import Watch

#: observables by name, float64, shape (shuffle, ...) over all degrees of a survey; NaN where nothing was measured
Row: TypeAlias = dict[str, np.ndarray]


def measure_rows(
    model: LanguageModel,
    prompts: Sequence[Prompt],
    jobs: Iterable[Job],
    degrees: Mapping[int, Sequence[int]],
    request: Request,
    batch: int = 1,
    advance: Callable[[int], object] = lambda steps: None,
    watch: "Watch | None" = None,
) -> Iterator[tuple[int, Row | InputError]]:
    """Measure jobs, and yield the row of each prompt as soon as its last one is done.

    Parameters
    ----------
    model : LanguageModel
    prompts : sequence of Prompt
    jobs : iterable of Job
        From :func:`tokengeom_utils.surveys.jobs.jobs`.
    degrees : mapping of int to sequence of int
        The degrees of each prompt, by its place.
    request : dict
        From :func:`tokengeom_utils.surveys.request.make_request`.
    batch : int
        Measurements per forward pass. Every pass has this many: the last one repeats a measurement and drops the
        copies, because passes of different sizes round differently, and an interrupted survey must end the same.
    advance : callable
        Called as ``advance(steps)`` after each forward pass, when the rows that it completed have been yielded.
    watch : callable, optional
        See :data:`tokengeom_utils.surveys.measure.Watch`.

    Yields
    ------
    (int, dict of str to numpy.ndarray or InputError)
        The place of a prompt, and its row or why there is none.
    """
    jobs = iter(jobs)
    begun: dict[int, dict[int, Row | InputError]] = {}
    while group := list(islice(jobs, batch)):
        for job, found in zip(group, _measure_pass(model, prompts, group, request, batch, watch), strict=True):
            measured = begun.setdefault(job.place, {})
            measured[job.degree] = found
            if len(measured) == len(degrees[job.place]):
                yield job.place, _row(begun.pop(job.place), request["shuffles"])
        advance(len(group))


def _measure_pass(model, prompts, group, request, batch, watch):
    """The observables of each job of a group, or why there are none, from one forward pass."""
    onlookers: list[Onlooker | None] = [watch(prompts[job.place], job.degree) if watch else None for job in group]

    def show(clouds):
        for onlooker, cloud in zip(onlookers, clouds, strict=False):  # the copies at the end have none
            if onlooker:
                onlooker.update(cloud)

    ids = np.stack([group[min(i, len(group) - 1)].token_ids for i in range(batch)])
    try:
        values, loss = measure_arrays(
            model, ids, request["scale_max"], request["k_max"], on_cloud=show if watch else None
        )
    except InputError as error:
        places = dict.fromkeys(job.place for job in group)
        if len(places) == 1:
            return [error] * len(group)
        return [
            found
            for place in places  # one by one, to find the faulty one; the jobs of a prompt follow one another
            for found in _measure_pass(
                model, prompts, [job for job in group if job.place == place], request, batch, watch
            )
        ]
    for onlooker, job, losses in zip(onlookers, group, loss, strict=False):
        if onlooker:
            onlooker.finish(model, job.token_ids, losses)
    return [
        {name: value[i] for name, value in values.items()} | {"bleu": np.asarray(job.bleu)}
        for i, job in enumerate(group)
    ]


def _row(measured, shuffles):
    """The row of a prompt from the observables by degree; the first error if there is one."""
    for found in measured.values():
        if isinstance(found, InputError):
            return found
    shapes = {name: np.shape(value) for name, value in next(iter(measured.values())).items()}
    row = {name: np.full((len(shuffles), *shapes[name]), np.nan) for name in OBSERVABLES if name in shapes}
    for degree, found in measured.items():
        for name, values in row.items():
            values[shuffles.index(degree)] = found[name]
    return row
