"""Clusters for surveys, by Dask: worker processes on this machine, a running scheduler, or jobs of a batch system.

>>> print(job_script({"scheduler": "slurm", "options": {"cores": 1, "memory": "16GB"}}).splitlines()[0])
#!/usr/bin/env bash
"""

import logging
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from .. import processor
from ..errors import InputError
from ..paths import local_path
from .interrupts import block_interrupt_in_children, postpone_interrupt

if TYPE_CHECKING:
    from dask_jobqueue.core import JobQueueCluster
    from distributed import Client, LocalCluster

SCHEDULERS = {"slurm": "SLURMCluster", "pbs": "PBSCluster", "lsf": "LSFCluster"}  #: classes of dask_jobqueue
SUBMIT = {"slurm": "sbatch", "pbs": "qsub", "lsf": "bsub"}  #: their commands
ANSWER = 10.0  #: seconds to wait for a scheduler's answer
_KEYS: dict[str, type] = {"scheduler": str, "jobs": int, "resources": dict, "options": dict}
_KINDS = {
    "scheduler": f"one of {', '.join(SCHEDULERS)}",
    "jobs": "a whole number of at least 1",
    "resources": "a list of  name: value  such as {GPU: 1}",
    "options": "a list of  name: value  such as {cores: 4, memory: 64GB}",
}


@contextmanager
def open_client(
    workers: int | None = None, scheduler: str | None = None, jobqueue: str | Path | None = None
) -> "Iterator[Client | None]":
    """Open a Dask client for at most one of three kinds of cluster.

    Parameters
    ----------
    workers : int, optional
        Number of processes on this machine, which share its cores.
    scheduler : str, optional
        Address of a running scheduler, such as ``tcp://host:8786``.
    jobqueue : path, optional
        A YAML file that describes jobs of a batch system: see :func:`job_cluster`.

    Yields
    ------
    dask.distributed.Client or None
        None if no cluster is requested.

    Raises
    ------
    InputError
        If more than one is given, the scheduler does not answer, or the file is invalid.

    Notes
    -----
    Introduced in the chapter *What a survey costs*.

    Examples
    --------
    >>> with open_client() as client:
    ...     print(client)
    None
    """
    given = [
        name
        for name, value in (("--workers", workers), ("--scheduler", scheduler), ("--jobqueue", jobqueue))
        if value is not None
    ]
    if len(given) > 1:
        raise InputError(f"{' and '.join(given)} exclude each other: choose one")
    if not given:
        yield None
        return
    distributed = _import("distributed")
    with ExitStack() as opened:
        with postpone_interrupt():
            if scheduler is not None:
                client = _connect(scheduler)
            else:
                cluster = job_cluster(_submittable(jobqueue)) if jobqueue is not None else local_cluster(workers or 0)
                client = distributed.Client(opened.enter_context(cluster))
            opened.enter_context(client)
        yield client


def _submittable(path):
    """The description of jobs in a file, for which this machine has the command that submits them."""
    jobs = read_jobs(path)
    name = jobs["scheduler"]
    if shutil.which(SUBMIT[name]) is None:
        raise InputError(
            f"--jobqueue {path} is for {name}, but this machine has no command {SUBMIT[name]}: run this on a login "
            "node of the cluster, or use --workers; --show-job prints the job script anywhere"
        )
    return jobs


def _connect(scheduler):
    """A client of a running scheduler."""
    try:
        return _import("distributed").Client(scheduler, timeout=ANSWER)
    except (OSError, ValueError, TypeError) as error:
        why = str(error).splitlines()[0]
        raise InputError(f"no Dask scheduler answers at {scheduler}: {why}") from None


def local_cluster(n_workers: int) -> "LocalCluster":
    """Start worker processes on this machine, each measuring one thing at a time with its share of the cores.

    Parameters
    ----------
    n_workers : int

    Returns
    -------
    dask.distributed.LocalCluster

    Raises
    ------
    InputError
        If ``n_workers`` is less than 1, or Dask is not installed.
    """
    distributed = _import("distributed")
    if n_workers < 1:
        raise InputError(f"{n_workers} workers requested: at least one is needed")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = str(max(1, cores // n_workers))
    environment = {
        **processor.settings(),
        "OMP_NUM_THREADS": threads,
        "MKL_NUM_THREADS": threads,
        "OPENBLAS_NUM_THREADS": threads,
        "TQDM_DISABLE": "1",
    }
    with block_interrupt_in_children():
        return distributed.LocalCluster(
            n_workers=n_workers,
            threads_per_worker=1,
            env=environment,
            memory_limit=0,
            silence_logs="ERROR",
            dashboard_address=None,
            scheduler_kwargs={"dashboard_address": ":0"},
        )  # two surveys need two ports


def read_jobs(path: str | Path) -> dict[str, Any]:
    """Read the description of jobs from a YAML file, and check it.

    Parameters
    ----------
    path : path

    Returns
    -------
    dict
        For :func:`job_cluster`.

    Raises
    ------
    InputError
        If the file cannot be read, or an entry is unknown or of the wrong kind.
    """
    import yaml

    try:
        path = local_path(path, "--jobqueue")
        jobs = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"--jobqueue {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InputError(f"--jobqueue {path} is not UTF-8 text: save it as UTF-8") from None
    except yaml.YAMLError as error:
        raise InputError(f"{path} is not valid YAML: {str(error).splitlines()[0]}") from None
    if not isinstance(jobs, dict):
        raise InputError(f"{path} must hold  name: value  for {', '.join(_KEYS)}")
    for name, value in jobs.items():
        if name not in _KEYS:
            raise InputError(f"{path} has an unknown entry {name}: known are {', '.join(_KEYS)}")
        if not isinstance(value, _KEYS[name]) or value is True or (name == "jobs" and jobs["jobs"] < 1):
            raise InputError(f"{path}: {name} must be {_KINDS[name]}, not {value!r}")
    if jobs.get("scheduler") not in SCHEDULERS:
        raise InputError(f"{path}: scheduler must be one of {', '.join(SCHEDULERS)}, not {jobs.get('scheduler')!r}")
    if not isinstance(walltime := jobs.get("options", {}).get("walltime", ""), str):
        raise InputError(f'{path}: walltime is read as the number {walltime}: put it in quotes, such as "04:00:00"')
    return jobs


def job_cluster(jobs: Mapping[str, Any]) -> "JobQueueCluster":
    """Run workers as jobs of a batch system; a job that ends, by its walltime or otherwise, is submitted again.

    Parameters
    ----------
    jobs : dict
        ``scheduler``: slurm, pbs or lsf; ``jobs``: how many (1); ``resources``: what each worker offers, such as
        ``{GPU: 1}``; ``options``: arguments of the cluster's class in dask_jobqueue (queue, account, cores, memory,
        walltime, job_extra_directives, ...).

    Returns
    -------
    dask_jobqueue.core.JobQueueCluster

    Raises
    ------
    InputError
        If dask_jobqueue rejects an option, or is not installed.

    See Also
    --------
    job_script : shows the script.
    """
    cluster = _job_cluster(jobs)
    cluster.new_spec["cls"] = _reporting(cluster)
    logging.getLogger("tornado.application").addFilter(_is_not_refusal)
    cluster.adapt(minimum_jobs=jobs.get("jobs", 1), maximum_jobs=jobs.get("jobs", 1))
    return cluster


def _reporting(cluster):
    """The class of a cluster's jobs, which notes in the cluster why the batch system refuses one."""
    distributed = _import("distributed")

    class Job(cluster.new_spec["cls"]):
        async def _submit_job(self, script_filename):
            try:
                return await super()._submit_job(script_filename)
            except (OSError, RuntimeError) as error:
                lines = [line for line in str(error).splitlines() if line.strip()]
                cluster.refusal = lines[-1] if lines else type(error).__name__
                self.status = distributed.Status.failed  # or the cluster cannot be closed
                raise

    return Job


def _is_not_refusal(record):
    """Leave out the tracebacks that Dask logs for every job that is refused; the survey reports it in one line."""
    return "_submit_job" not in (record.exc_text or "") and "Command exited with non-zero" not in record.getMessage()


def job_script(jobs: Mapping[str, Any]) -> str:
    """Return the script that :func:`job_cluster` would submit, without submitting it.

    Parameters
    ----------
    jobs : dict
        As for :func:`job_cluster`: ``scheduler``, ``jobs``, ``resources``, and ``options``.

    Returns
    -------
    str

    Raises
    ------
    InputError
        If dask_jobqueue rejects an option, or is not installed.

    See Also
    --------
    survey : measures on the workers of a Dask client.

    Notes
    -----
    Introduced in the chapter *What a survey costs*.

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> script = tg.job_script({"scheduler": "slurm", "options": {"cores": 4, "memory": "64GB", "queue": "gpu"}})
    >>> "#SBATCH -p gpu" in script.splitlines()
    True
    """
    with _job_cluster(jobs) as cluster:
        return cluster.job_script()


def _job_cluster(jobs):
    """The cluster of some jobs, of which none is submitted yet."""
    dask_jobqueue = _import("dask_jobqueue")
    options = {"processes": 1, "scheduler_options": {"dashboard_address": ":0"}, **jobs.get("options", {})}
    options["job_script_prologue"] = [
        f"export {name}='{value}'" for name, value in processor.settings().items() if name != "NPY_DISABLE_CPU_FEATURES"
    ] + options.get("job_script_prologue", [])
    if resources := jobs.get("resources"):
        wanted = " ".join(f"{name}={amount}" for name, amount in resources.items())
        options["worker_extra_args"] = [*options.get("worker_extra_args", []), "--resources", f"'{wanted}'"]
    try:
        return getattr(dask_jobqueue, SCHEDULERS[jobs["scheduler"]])(**options)
    except (TypeError, ValueError) as error:
        raise InputError(f"{jobs['scheduler']} jobs cannot be described by these options: {error}") from None


def _import(name: str) -> ModuleType:
    """An optional package, or how to install it."""
    from importlib import import_module

    try:
        return import_module(name)
    except ImportError:
        raise InputError(
            f"this needs the package {name.replace('_', '-')}: pip install 'tokengeom-utils[cluster]'"
        ) from None
