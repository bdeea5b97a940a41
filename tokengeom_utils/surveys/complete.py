"""Completing the store of a survey: repair what is damaged, measure what is missing, and write each finished prompt.

Three threads work at once: one prepares the token ids of the next measurements, this one measures, and one writes.
"""

import time
import warnings
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError, PartialSurvey
from ..models.advice import advice
from .ahead import ahead
from .batch import GPU_BATCH, fitting_batch
from .behind import WriteBehind
from .checks import faults
from .jobs import jobs, tokenize, tokenize_few
from .journal import NAME
from .measure import warm_up
from .metadata import exists
from .plan import Measured, Plan
from .provenance import provenance
from .results import open_results
from .rows import measure_rows
from .store import Store

if TYPE_CHECKING:
    import xarray as xr
    from distributed import Client

LAG = GPU_BATCH  #: measured prompts that may wait to be written
AHEAD = 2  #: forward passes whose jobs are prepared before they are needed


def complete(
    plan: Plan,
    out: str | Path,
    client: "Client | None" = None,
    progress: Callable[[int, int, float], object] | None = None,
    moved: Callable[[int], object] = lambda prompts: None,
) -> "xr.Dataset":
    """Measure what a store lacks of a survey.

    Parameters
    ----------
    plan : Plan
    out : path
        The store; made if it is not there.
    client : dask.distributed.Client, optional
        Measure on its workers.
    progress : callable, optional
        See :func:`tokengeom_utils.survey`.
    moved : callable
        See :meth:`~tokengeom_utils.surveys.store.Store.fold`.

    Returns
    -------
    xarray.Dataset
        The complete store, from :func:`tokengeom_utils.open_results`.

    Raises
    ------
    InputError
        See :func:`tokengeom_utils.survey`.
    PartialSurvey
        If some prompts could not be measured.
    """
    failed: dict[int, InputError] = {}
    with Store(out, plan.request, plan.prompts) as store:
        store.match(plan.known_provenance())
        if exists(out):
            _mend(store)
        if degrees := plan.degrees(store.done()):
            store.check_measurable()
            advance = _Progress(sum(map(len, degrees.values())), progress)
            plan = plan._replace(batch=plan.batch or store.batch)
            # Closed at once when anything is raised here: a traceback would keep its thread waiting.
            with WriteBehind(store.write, LAG) as writer, closing(_measure(plan, degrees, client, advance)) as stream:
                for place, row, made in stream:
                    if isinstance(row, InputError):
                        failed[place] = row
                    else:
                        writer.put(place, row, made)
        lost = 0 if store.fold(moved) or failed else int((~store.done()).sum())
    if lost:
        raise PartialSurvey(
            f"{lost} of {len(plan.prompts)} prompts were damaged on the disk while the survey ran; rerun it to measure "
            "them again"
        )
    if failed:
        i, why = next(iter(failed.items()))
        raise PartialSurvey(
            f"{len(failed)} of {len(plan.prompts)} prompts could not be measured, the others are in "
            f"{out}; the first is prompt {plan.prompts[i].id}: {why}"
        )
    return open_results(store.path)  # absolute, wherever a callback has changed to


class _Progress:
    """Measurements counted and timed for the caller's ``progress``."""

    def __init__(self, total, report):
        self.total, self.report = total, report
        self.count, self.started = 0, time.perf_counter()

    def __call__(self, steps):
        if not steps:  # the model is loaded, and the first measurement begins
            self.started = time.perf_counter()
        self.count += steps
        if self.report:
            self.report(self.count, self.total, (time.perf_counter() - self.started) / max(self.count, 1))


def _mend(store: Store) -> None:
    """Rewrite damaged coordinates, and have prompts with a damaged or missing chunk or record measured again."""
    for file, prompts, what in faults(store.path):
        if prompts is None:
            then = "it follows from the request and is written again"
            store.mend(file.split("/")[0])
        else:
            ids = ", ".join(store.prompts[i].id for i in prompts)
            then = f"prompt {ids} is measured again" if ids else "what is lost with it is measured again"
            store.forget(prompts)
            if file == NAME:
                store.mend_journal()
        warnings.warn(f"{store.path}: {file} is {what}; {then}", stacklevel=4)


def _measure(
    plan: Plan, degrees: Mapping[int, Sequence[int]], client: "Client | None", advance: Callable[[int], object]
) -> Generator[Measured]:
    """Measure on the workers of a client, or in this process without one; yields the prompts as they end."""
    if client is not None:
        from .workers import measure_on_workers

        yield from measure_on_workers(client, plan, degrees, advance)
        return
    model, request = plan.load(), plan.request
    known = tokenize_few(model, plan.prompts, list(degrees), request["n_tokens"])  # all, before the first is measured
    first = plan.prompts[next(iter(degrees))]
    (ids,) = tokenize(model, [first], request["n_tokens"])
    if line := advice(model, ids, f"prompt {first.id}"):
        warnings.warn(line, stacklevel=4)
    warm_up(model)
    batch = plan.batch or 1
    if model.device.type == "cuda":
        batch = fitting_batch(model, ids, request, plan.batch)
    made = provenance(model, plan.profile, batch)
    advance(0)
    with ahead(jobs(model, plan.prompts, degrees, request, known), AHEAD * batch) as stream:
        for place, row in measure_rows(model, plan.prompts, stream, degrees, request, batch, advance, plan.watch):
            yield Measured(place, row, made)
