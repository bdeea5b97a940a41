"""The crowd of workers behind a Dask client, which come and go while it works through a stream of tasks."""

import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ..errors import PartialSurvey
from .interrupts import postpone_interrupt

if TYPE_CHECKING:
    from distributed import Client, Future

PATIENCE = 300.0  #: seconds without any worker before a survey stops; with a batch system it only warns
_POLL = 1.0  # seconds between two looks at the workers while no task ends
_SAFE = "everything measured is safe"
_RESUME = f"{_SAFE}; rerun the same command to resume"
_LOST = object()  # in place of a result that was lost with its worker


class Crowd:
    """The workers of a client.

    Parameters
    ----------
    client : dask.distributed.Client
    """

    def __init__(self, client: "Client"):
        self.client, self.has_gpus = client, False
        self.is_queue = hasattr(client.cluster, "job_script")
        self._seen = self._warned = time.monotonic()

    def workers(self) -> dict[str, dict[str, Any]]:
        """Return what the scheduler knows of each worker, by its address.

        ``client.scheduler_info`` may return what the client's own timer fetches at that moment, which lists no worker.
        """
        identity: dict[str, Any] = self.client.sync(self.client.scheduler.identity, n_workers=-1)
        return identity["workers"]

    @postpone_interrupt()
    def slots(self) -> int:
        """Return how many tasks can run at once.

        Raises
        ------
        PartialSurvey
            If there has been no worker for :data:`PATIENCE` seconds; a batch system may take longer.
        """
        workers = self.workers().values()
        gpus = [int(worker["resources"].get("GPU", 0)) for worker in workers]
        slots = sum(
            min(gpu, worker["nthreads"]) if self.has_gpus else worker["nthreads"]
            for gpu, worker in zip(gpus, workers, strict=True)
        )
        refusal = getattr(self.client.cluster, "refusal", None)
        if not slots and refusal:
            raise PartialSurvey(
                f"the batch system refuses the jobs ({refusal}): correct the --jobqueue file; {_RESUME}"
            )
        now = time.monotonic()
        if slots:
            self._seen = self._warned = now
        elif now - self._warned > PATIENCE:
            if not self.is_queue:
                raise PartialSurvey(
                    f"there was no worker for {PATIENCE:.0f} s; {_SAFE}; start workers, and rerun the "
                    "same command to resume"
                )
            self._warned = now
            warnings.warn(
                f"no job has run for {(now - self._seen) / 60:.0f} minutes: waiting for the batch system", stacklevel=2
            )
        return slots

    def wait(self) -> None:
        """Wait for the first worker. If it offers a GPU, only workers that offer one get tasks."""
        with _cluster_lost():
            while not self.slots():
                time.sleep(_POLL / 4)
            self.has_gpus = any("GPU" in worker["resources"] for worker in self.workers().values())

    def map(self, function: Callable[..., Any], tasks: Iterable[tuple[Any, ...]]) -> Iterator[tuple[int, Any]]:
        """Call a function with each tuple of arguments; yield the number and the result of each task as it ends.

        Twice as many tasks as can run are under way, however many workers there are at the time: no worker waits, and
        a million prompts need no more memory than a few.

        Raises
        ------
        PartialSurvey
            If the cluster is lost, a task fails because of its machine, or no worker is left.
        """
        options = {"pure": False, "resources": {"GPU": 1} if self.has_gpus else None}
        under_way: dict[Future, int] = {}
        numbered = enumerate(tasks)
        following = next(numbered, None)
        try:
            while following or under_way:
                with _cluster_lost(), postpone_interrupt():
                    slots = self.slots()
                    while following and len(under_way) < 2 * slots:
                        number, arguments = following
                        under_way[self.client.submit(function, *arguments, **options)] = number
                        following = next(numbered, None)
                    ended = _ended(under_way)
                for future in ended:
                    if (result := _result(future)) is not _LOST:
                        yield under_way.pop(future), result
        finally:
            self.client.cancel(list(under_way))


def _ended(under_way):
    """The tasks that have ended, after at most a second."""
    from distributed import wait

    if not under_way:
        time.sleep(_POLL)
        return []
    try:
        return wait(list(under_way), timeout=_POLL, return_when="FIRST_COMPLETED").done
    except TimeoutError:
        return []


@contextmanager
def _cluster_lost():
    """Report any sign that the scheduler is gone in one line."""
    from distributed import CancelledError

    try:
        yield
    except (CancelledError, OSError) as error:
        raise PartialSurvey(f"the cluster was lost ({type(error).__name__}); {_RESUME}") from None


@postpone_interrupt()
def _result(future: "Future") -> Any:
    """The result of a task that has ended; :data:`_LOST` if its worker was lost first, and the task runs again."""
    from distributed import KilledWorker

    seconds = _POLL
    try:
        while True:
            try:
                return future.result(timeout=seconds)
            except TimeoutError:
                if future.status == "error":  # the task itself ran into a timeout
                    raise
                if not future.done():
                    return _LOST
                seconds *= 2  # a large result, or a slow connection
    except KilledWorker as error:
        raise PartialSurvey(
            f"workers were repeatedly lost while measuring ({error.last_worker}): check that each has "
            f"enough memory for the model; {_RESUME}"
        ) from None
    except OSError as error:
        raise PartialSurvey(f"a worker could not continue ({type(error).__name__}: {error}); {_RESUME}") from error
