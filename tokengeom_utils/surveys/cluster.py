"""Surveys on many processes or machines, by Dask: a few workers here, a running scheduler, or a batch system.

The workers measure; only the process that asked writes, so that they need share no disk with it. A worker that is
lost costs what it was measuring, and Dask hands that to another.

>>> from tokengeom_utils.surveys.cluster import job_script
>>> print(job_script({"scheduler": "slurm", "options": {"cores": 1, "memory": "16GB"}}).splitlines()[0])
#!/usr/bin/env bash
"""

import multiprocessing.resource_tracker
import os
import signal
import time
import warnings
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from pathlib import Path
from threading import Lock, current_thread, main_thread

from .. import processor
from ..errors import InputError, PartialSurvey

SCHEDULERS = {"slurm": "SLURMCluster", "pbs": "PBSCluster", "lsf": "LSFCluster"}
PATIENCE = 300.0  #: seconds without any worker until a survey stops; in a batch system only a line is said
ANSWER = 10.0  #: seconds that a scheduler has to answer
TASK_OF_TEXTS = 256  #: texts whose lengths one task checks
_POLL = 1.0  # seconds until it is seen that workers came or went while none ended a task
_KEYS = {"scheduler": str, "jobs": int, "resources": dict, "options": dict}
_loading = Lock()


@contextmanager
def open_client(workers=None, scheduler=None, jobqueue=None):
    """A Dask client for at most one of three kinds of cluster; None if none is asked for.

    Parameters
    ----------
    workers : int, optional
        That many processes on this machine, which share its cores.
    scheduler : str, optional
        Address of a running scheduler, such as ``tcp://host:8786``.
    jobqueue : path, optional
        A YAML file that describes jobs of a batch system: see :func:`job_cluster`.

    Raises
    ------
    InputError
        If more than one is given, the scheduler does not answer, or the file is no good.
    """
    given = [name for name, value in (("--workers", workers), ("--scheduler", scheduler), ("--jobqueue", jobqueue))
             if value is not None]
    if len(given) > 1:
        raise InputError(f"{' and '.join(given)} exclude each other: choose one")
    if not given:
        yield None
        return
    distributed = _import("distributed")
    with ExitStack() as opened:
        with interrupt_put_off():
            if scheduler is not None:
                try:
                    client = distributed.Client(scheduler, timeout=ANSWER)
                except (OSError, ValueError, TypeError) as error:
                    why = str(error).splitlines()[0]
                    raise InputError(f"no Dask scheduler answers at {scheduler}: {why}") from None
            else:
                cluster = local_cluster(workers) if workers is not None else job_cluster(read_jobs(jobqueue))
                client = distributed.Client(opened.enter_context(cluster))
            opened.enter_context(client)
        yield client


@contextmanager
def interrupt_put_off():
    """Ctrl-C waits for the end of this block; a second one does not.

    Dask's answer to it cancels the call that it came into, and fails, with a traceback, where that had not yet begun.
    """
    if current_thread() is not main_thread():  # only that one hears of it
        yield
        return
    came = []

    def note(number, frame):
        came.append(number)
        signal.signal(signal.SIGINT, before)

    before = signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if came:
        signal.raise_signal(signal.SIGINT)


def local_cluster(n_workers):
    """Worker processes on this machine, one measurement at a time in each, with a fair part of the cores."""
    distributed = _import("distributed")
    if n_workers < 1:
        raise InputError(f"{n_workers} workers asked for: at least one is needed")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = str(max(1, cores // n_workers))
    environment = {**processor.settings(), "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads,
                   "OPENBLAS_NUM_THREADS": threads, "TQDM_DISABLE": "1"}
    with _workers_without_interrupt():
        return distributed.LocalCluster(n_workers=n_workers, threads_per_worker=1, env=environment, memory_limit=0,
                                        dashboard_address=None, silence_logs="ERROR")


@contextmanager
def _workers_without_interrupt():
    """Ctrl-C reaches all processes of a terminal, but only the one that asked shall answer.

    The threads begun meanwhile, which start the workers now and later, block the signal, and so do their children. For
    this thread it is put off.
    """
    multiprocessing.resource_tracker.ensure_running()  # would let the signal through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def read_jobs(path):
    """The description of jobs in a YAML file, checked: a dict for :func:`job_cluster`."""
    import yaml

    try:
        jobs = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    except yaml.YAMLError as error:
        raise InputError(f"{path} is not valid YAML: {str(error).splitlines()[0]}") from None
    if not isinstance(jobs, dict):
        raise InputError(f"{path} must hold  name: value  for {', '.join(_KEYS)}")
    for name, value in jobs.items():
        if name not in _KEYS:
            raise InputError(f"{path} has an unknown entry {name}: known are {', '.join(_KEYS)}")
        if not isinstance(value, _KEYS[name]):
            raise InputError(f"{path}: {name} must be a {_KEYS[name].__name__}, not {value!r}")
    if jobs.get("scheduler") not in SCHEDULERS:
        raise InputError(f"{path}: scheduler must be one of {', '.join(SCHEDULERS)}, not {jobs.get('scheduler')!r}")
    if not isinstance(walltime := jobs.get("options", {}).get("walltime", ""), str):
        raise InputError(f'{path}: walltime is read as the number {walltime}: put it in quotes, such as "04:00:00"')
    return jobs


def job_cluster(jobs):
    """Workers as jobs of a batch system; one that ends, by its walltime or otherwise, is submitted again.

    Parameters
    ----------
    jobs : dict
        ``scheduler``: slurm, pbs or lsf; ``jobs``: how many (1); ``resources``: what each worker offers, such as
        ``{GPU: 1}``; ``options``: arguments of the cluster's class in dask_jobqueue (queue, account, cores, memory,
        walltime, job_extra_directives, ...).

    Returns
    -------
    dask_jobqueue.core.JobQueueCluster
    """
    cluster = _job_cluster(jobs)
    cluster.adapt(minimum_jobs=jobs.get("jobs", 1), maximum_jobs=jobs.get("jobs", 1))
    return cluster


def job_script(jobs):
    """The script that :func:`job_cluster` would submit, as text; nothing is submitted."""
    with _job_cluster(jobs) as cluster:
        return cluster.job_script()


def _job_cluster(jobs):
    dask_jobqueue = _import("dask_jobqueue")
    options = {"processes": 1, "scheduler_options": {"dashboard_address": ":0"}, **jobs.get("options", {})}
    options["job_script_prologue"] = [f"export {name}='{value}'" for name, value in processor.settings().items()
                                      if name != "NPY_DISABLE_CPU_FEATURES"] + options.get("job_script_prologue", [])
    if resources := jobs.get("resources"):
        wanted = " ".join(f"{name}={amount}" for name, amount in resources.items())
        options["worker_extra_args"] = [*options.get("worker_extra_args", []), "--resources", f"'{wanted}'"]
    try:
        return getattr(dask_jobqueue, SCHEDULERS[jobs["scheduler"]])(**options)
    except (TypeError, ValueError) as error:
        raise InputError(f"the jobs cannot be described to {jobs['scheduler']}: {error}") from None


def _import(name):
    from importlib import import_module

    try:
        return import_module(name)
    except ImportError:
        raise InputError(f"this needs the package {name.replace('_', '-')}: "
                         "pip install 'tokengeom-utils[cluster]'") from None


def measure_on_workers(client, model, prompts, plan, request, profile, batch, advance):
    """Measure on the workers of a client; yields (places of prompts, their rows, provenance) as they end.

    Parameters
    ----------
    client : dask.distributed.Client
    model : tuple
        The arguments of :func:`tokengeom_utils.models.load.load_model`; each worker loads it once.
    prompts, plan, request, profile, batch, advance
        As in :func:`tokengeom_utils.surveys.run.survey`.

    Raises
    ------
    PartialSurvey
        If the cluster is lost, or no worker is left for :data:`PATIENCE` seconds; jobs may wait in a queue for longer.
    """
    from ..models.load import absolute
    from .measure import GPU_BATCH, parts

    crowd = _Crowd(client)
    crowd.wait()
    model = (absolute(model[0]), *model[1:])
    batch = batch or (GPU_BATCH if crowd.has_gpus else 1)
    todo = [prompts[i] for i in plan]
    for _ in crowd.map(_check_lengths, ((model, some, request["n_tokens"]) for some in parts(todo, TASK_OF_TEXTS))):
        pass
    advance(0)
    settings = {name: value for name, value in request.items() if name != "prompts"}
    groups = parts(list(plan), batch)
    tasks = ((model, [prompts[i] for i in group], [plan[i] for i in group], settings, profile, batch)
             for group in groups)
    for number, (rows, made) in crowd.map(_measure, tasks):
        yield groups[number], rows, made
        advance(sum(len(plan[i]) for i in groups[number]))


class _Crowd:
    """The workers of a client, which come and go."""

    def __init__(self, client):
        self.client, self.has_gpus = client, False
        self.is_queue = hasattr(client.cluster, "job_script")
        self._seen = self._said = time.monotonic()

    @interrupt_put_off()
    def slots(self):
        """How many tasks can run at once."""
        workers = self.client.scheduler_info(n_workers=-1)["workers"].values()
        gpus = [int(worker["resources"].get("GPU", 0)) for worker in workers]
        slots = sum(min(gpu, worker["nthreads"]) if self.has_gpus else worker["nthreads"]
                    for gpu, worker in zip(gpus, workers))
        now = time.monotonic()
        if slots:
            self._seen = self._said = now
        elif now - self._said > PATIENCE:
            if not self.is_queue:
                raise PartialSurvey(f"there was no worker for {PATIENCE:.0f} s; what is measured is safe: start "
                                    "workers, and the same command goes on")
            self._said = now
            warnings.warn(f"no job has run for {(now - self._seen) / 60:.0f} minutes: waiting for the batch system")
        return slots

    def wait(self):
        """Wait for the first worker. If it has a GPU, all the work goes to workers that have."""
        with _cluster_lost():
            while not self.slots():
                time.sleep(_POLL / 4)
            workers = self.client.scheduler_info(n_workers=-1)["workers"].values()
            self.has_gpus = any("GPU" in worker["resources"] for worker in workers)

    def map(self, function, tasks):
        """Call a function with each tuple of arguments; yields (number of the task, result) as they end.

        Twice as many tasks as can run are under way, however many workers there are at the time: so none waits, and a
        million prompts need no more memory than a few.
        """
        from distributed import wait

        options = {"pure": False, "resources": {"GPU": 1} if self.has_gpus else None}
        tasks, under_way = enumerate(tasks), {}
        following = next(tasks, None)
        try:
            while following or under_way:
                with _cluster_lost(), interrupt_put_off():
                    slots = self.slots()
                    while following and len(under_way) < 2 * slots:
                        number, arguments = following
                        under_way[self.client.submit(function, *arguments, **options)] = number
                        following = next(tasks, None)
                    if not under_way:
                        time.sleep(_POLL)
                        continue
                    try:
                        ended = wait(list(under_way), timeout=_POLL, return_when="FIRST_COMPLETED").done
                    except TimeoutError:
                        continue
                for future in ended:
                    yield under_way.pop(future), _result(future)
        finally:
            self.client.cancel(list(under_way))


@contextmanager
def _cluster_lost():
    """Whatever tells that the scheduler is gone, in one line."""
    from distributed import CancelledError

    try:
        yield
    except (CancelledError, OSError) as error:
        raise PartialSurvey(f"the cluster was lost ({type(error).__name__}); what is measured is safe, "
                            "and the same command goes on from there") from None


@interrupt_put_off()
def _result(future):
    """The result of a task that has ended, or why there is none."""
    from distributed import KilledWorker

    try:
        return future.result()
    except KilledWorker as error:
        raise PartialSurvey(f"workers were lost again and again while measuring ({error.last_worker}): has each "
                            "enough memory for the model? What is measured is safe") from None
    except OSError as error:
        raise PartialSurvey(f"a worker could not go on ({type(error).__name__}: {error}); what is measured is safe, "
                            "and the same command goes on from there") from error


@lru_cache(1)
def _load(name, device, dtype):
    from ..models.load import fetch_model, load_model

    fetch_model(name, lambda text: None)
    return load_model(name, device, dtype)


def _model(model):
    """The model of this worker, loaded once however many threads ask."""
    with _loading:
        return _load(*model)


def _check_lengths(model, prompts, n_tokens):
    from .measure import check_lengths

    check_lengths(_model(model), prompts, n_tokens)


def _measure(model, prompts, degrees, request, profile, batch):
    from .measure import measure_prompts
    from .provenance import provenance

    model = _model(model)
    return measure_prompts(model, prompts, degrees, request, batch), provenance(model, profile, batch)
