"""Execute stale chapters with papermill, some of them while the survey is measured."""

import logging
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from pathlib import Path

from ...console import say, track
from ...errors import BuildError
from .inputs import undeclared
from .kernels import Kernels
from .local import hidden_paths, shown
from .memory import AT_ONCE, at_once
from .outputs import check_outputs
from .pages import executed_page
from .staleness import Run, combine

SLOWEST = 3


class Execution:
    """Executes chapters in the background: one at a time beside the survey, several at once after it.

    With little memory free, none runs beside the survey, and one at a time after it.

    A context manager; on exit, everything that still runs is stopped. Nothing starts before the survey exists, so that
    invalid input is found first.

    Parameters
    ----------
    project, out, survey : path
        The checkout, the folder of the build, and the survey.

    Examples
    --------
    >>> with Execution(project, out, survey) as execution:  # doctest: +SKIP
    ...     execution.add(runs_without_survey)
    ...     run_survey(survey, parameters)
    ...     execution.hurry()
    ...     execution.add(other_runs)
    ...     execution.wait()
    """

    def __init__(self, project: Path, out: Path, survey: Path) -> None:
        self._paths = project, out, survey
        self._survey = survey
        self._open = at_once() - 1  # a survey beside a chapter needs as much memory as two chapters
        self._slots = threading.Semaphore(self._open)
        self._stopped = threading.Event()
        self._futures: list[Future[None]] = []
        self._seconds: dict[str, float] = {}
        self._surveying = True
        self._cause: BaseException | None = None  # the first failure; others may follow from it

    def __enter__(self) -> "Execution":
        with ExitStack() as stack:
            stack.enter_context(_silent("papermill", "asyncio"))
            self._kernels = stack.enter_context(Kernels())
            self._pool = stack.enter_context(ThreadPoolExecutor(AT_ONCE))
            stack.callback(self._stop)
            self._resources = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._resources.close()

    def _stop(self):
        """Start no more chapters, and end those that run."""
        self._stopped.set()
        self._kernels.stop()
        self._slots.release(AT_ONCE)  # those that wait find out

    def add(self, runs: list[Run]) -> None:
        """Execute chapters, the longest first as far as an earlier build shows."""
        if runs:
            self._kernels.prepare()
        self._futures += [self._pool.submit(self._run, run) for run in sorted(runs, key=lambda run: -run.expected)]

    def hurry(self) -> None:
        """Use all cores, as far as memory allows: the survey is complete."""
        self._surveying = False
        if (more := at_once() - self._open) > 0:
            self._slots.release(more)

    def wait(self) -> None:
        """Wait for all chapters, and report the slowest.

        Raises
        ------
        BuildError
            If a cell fails or writes to stderr, or a chapter reads a file of the project that it does not declare.
        """
        if not self._futures:
            say("chapters: up to date")
            return
        with track("chapters", len(self._futures)) as advance:
            advance(len(self._seconds))
            for future in as_completed(self._futures):
                if error := future.exception():
                    raise self._cause or error
                advance(len(self._seconds))
        slowest = sorted(self._seconds, key=self._seconds.__getitem__, reverse=True)[:SLOWEST]
        say("  slowest: " + ", ".join(f"{name} {self._seconds[name]:.0f} s" for name in slowest))

    def _run(self, run):
        """Execute a chapter, unless another has failed."""
        with self._slots:
            while not self._survey.exists() and not self._stopped.wait(0.2):
                pass
            if self._stopped.is_set():
                return
            try:
                seconds = execute_chapter(run, self._kernels, *self._paths)
            except BaseException as error:
                self._cause = self._cause or error
                if self._surveying:
                    say(f"  {run.chapter.name} failed: the build will stop after the survey")
                self._stop()
                raise
            self._seconds[run.chapter.name] = seconds
            say(f"  {run.chapter.name} {seconds:.0f} s ({run.reason})")


def execute_chapter(run: Run, kernels: Kernels, project: Path, out: Path, survey: Path) -> float:
    """Run one chapter with papermill into a scratch file, and move it into place when it is complete.

    Parameters
    ----------
    run : Run
    kernels : Kernels
    project, out, survey : path
        The checkout, the folder of the build, and the survey.

    Returns
    -------
    float
        Seconds.

    Raises
    ------
    BuildError
        If a cell fails or writes to stderr, or the chapter reads a file of the project that it does not declare.
    """
    import nbformat

    chapter, scratch = run.chapter, out / ".scratch"
    for folder in (scratch, run.target.parent):
        folder.mkdir(parents=True, exist_ok=True)
    plain, ran, opened = (scratch / f"{chapter.name}.{suffix}" for suffix in ("in.ipynb", "ipynb", "opened"))
    started = time.perf_counter()
    try:
        nbformat.write(_executable(chapter), plain)
        opened.unlink(missing_ok=True)
        _papermill(run, plain, ran, opened, kernels)
    except OSError:  # a full disk: what was written of them is of no use
        for file in (plain, ran, opened):
            file.unlink(missing_ok=True)
        raise
    seconds = time.perf_counter() - started
    notebook = nbformat.read(ran, 4)
    check_outputs(notebook, chapter.path.name)
    if found := undeclared(
        opened.read_text(encoding="utf-8", errors="surrogateescape").splitlines(), chapter, project, out, survey
    ):
        raise BuildError(
            f"{chapter.path.name} reads {', '.join(found)} without declaring it: a file belongs into the list "
            "tokengeom: inputs: of its front matter, the survey is the parameter results"
        )
    page = executed_page(notebook, chapter, run.given, run.key, seconds)
    nbformat.write(shown(page, hidden_paths(run.given, project, out)), ran)
    os.replace(ran, run.target)
    plain.unlink()
    opened.unlink()
    return seconds


def _executable(chapter):
    """The notebook that papermill gets, with stable cell ids."""
    notebook = chapter.notebook
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook.metadata["language_info"] = {"name": "python"}
    for number, cell in enumerate(notebook.cells):
        cell["id"] = combine(chapter.name, str(number), cell.source)[:12]
    return notebook


def _papermill(run, plain, ran, opened, kernels):
    """Execute a notebook; an error of a cell becomes a BuildError that shows where it happened."""
    import papermill
    from nbclient.exceptions import DeadKernelError

    name = run.chapter.path.name
    try:
        papermill.execute_notebook(
            plain,
            ran,
            parameters=run.given,
            kernel_name="python3",
            engine_name="inline",
            progress_bar=False,
            kernel_manager_class=kernels.manager(),
            resources={"metadata": {"path": str(run.chapter.path.parent)}},
            # A log level at which ipykernel is silent about its transport and its end.
            extra_arguments=["--ChapterKernel.log_level=CRITICAL", f"--ChapterKernel.opened={opened}"],
        )
    except RuntimeError as error:
        if not isinstance(error, DeadKernelError) and "Kernel died" not in str(error):
            raise
        if kernels.stopped:
            raise BuildError("the build was stopped") from None
        raise BuildError(
            f"{name}: its kernel died, most likely because memory ran out: close other programs and rerun the same "
            "command; finished chapters are kept"
        ) from None
    except papermill.PapermillExecutionError as error:
        code = "\n".join(f"    {line}" for line in error.source.strip().splitlines()[:12])
        raise BuildError(
            f"{name}, cell {error.exec_count}: {error.ename}: {error.evalue}\n{code}\n"
            f"  the whole notebook, up to the error: {os.path.relpath(ran)}"
        ) from None


@contextmanager
def _silent(*names: str) -> Iterator[None]:
    """Keep libraries from logging how a kernel ended: the error that follows is reported."""
    levels = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
