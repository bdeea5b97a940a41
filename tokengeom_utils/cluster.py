"""Surveys on many processes or machines, by Dask: a few workers here, a running scheduler, or a batch system.

The workers measure; only the process that asked writes, so that they need share no disk with it. A worker that is
lost costs what it was measuring, and Dask hands that to another.

>>> from tokengeom_utils.cluster import job_script
>>> print(job_script({"scheduler": "slurm", "options": {"cores": 1, "memory": "16GB"}}).splitlines()[0])
#!/usr/bin/env bash
"""

import os
from contextlib import contextmanager
from functools import lru_cache
from itertools import islice
from pathlib import Path
from threading import Lock

from . import processor
from .errors import InputError, PartialSurvey

SCHEDULERS = {"slurm": "SLURMCluster", "pbs": "PBSCluster", "lsf": "LSFCluster"}
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
    if scheduler is not None:
        try:
            client = distributed.Client(scheduler, timeout=10)
        except (OSError, ValueError, TypeError) as error:
            raise InputError(f"no Dask scheduler answers at {scheduler}: {str(error).splitlines()[0]}") from None
        with client:
            yield client
    elif workers is not None:
        with local_cluster(workers) as cluster, distributed.Client(cluster) as client:
            yield client
    else:
        with job_cluster(read_jobs(jobqueue)) as cluster, distributed.Client(cluster) as client:
            yield client


def local_cluster(n_workers):
    """Worker processes on this machine, one measurement at a time in each, with a fair part of the cores."""
    distributed = _import("distributed")
    if n_workers < 1:
        raise InputError(f"{n_workers} workers asked for: at least one is needed")
    threads = str(max(1, len(os.sched_getaffinity(0)) // n_workers))
    environment = {**processor.settings(), "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads,
                   "OPENBLAS_NUM_THREADS": threads, "TQDM_DISABLE": "1"}
    return distributed.LocalCluster(n_workers=n_workers, threads_per_worker=1, env=environment, dashboard_address=None,
                                    silence_logs="ERROR")


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
    return jobs


def job_cluster(jobs):
    """Workers as jobs of a batch system.

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
    cluster.scale(jobs=jobs.get("jobs", 1))
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

    ``model`` holds the arguments of :func:`tokengeom_utils.models.load_model`: each worker loads it once.
    Twice as many tasks as workers are under way, so that no worker waits and a million prompts need no more memory
    than a few.
    """
    from distributed import CancelledError, KilledWorker, as_completed

    from .surveys import parts

    on_gpus = _wait_for_worker(client)
    options = {"pure": False, "resources": {"GPU": 1} if on_gpus else None}
    batch = batch or (8 if on_gpus else 1)
    todo = [prompts[i] for i in plan]
    client.submit(_check_lengths, model, todo, request["n_tokens"], **options).result()
    advance(0)

    settings = {name: value for name, value in request.items() if name != "prompts"}
    waiting = iter(parts(list(plan), batch))
    places = {}

    def submit(group):
        future = client.submit(_measure, model, [prompts[i] for i in group], [plan[i] for i in group], settings,
                               profile, batch, **options)
        places[future.key] = group
        return future

    window = 2 * max(1, len(client.scheduler_info(n_workers=-1)["workers"]))
    under_way = as_completed([submit(group) for group in islice(waiting, window)])
    try:
        for future in under_way:
            group = places.pop(future.key)
            rows, made = future.result()
            for following in islice(waiting, 1):
                under_way.add(submit(following))
            yield group, rows, made
            advance(sum(len(plan[i]) for i in group))
    except KilledWorker as error:
        raise PartialSurvey(f"workers were lost again and again while measuring ({error.last_worker}): has each "
                            "enough memory for the model? What is measured is safe") from None
    except (CancelledError, OSError) as error:
        raise PartialSurvey(f"the cluster was lost ({type(error).__name__}); what is measured is safe, "
                            "and the same command goes on from there") from None
    finally:
        client.cancel(list(under_way.futures))


def _wait_for_worker(client, seconds=600):
    """Wait until there is a worker; whether there are some with GPUs."""
    try:
        client.wait_for_workers(1, timeout=seconds)
    except TimeoutError:
        raise InputError(f"the scheduler had no worker for {seconds} s") from None
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    return any("GPU" in worker["resources"] for worker in workers)


@lru_cache(1)
def _load(name, device, dtype):
    from .models import fetch_model, load_model

    fetch_model(name, lambda text: None)
    return load_model(name, device, dtype)


def _model(model):
    """The model of this worker, loaded once however many threads ask."""
    with _loading:
        return _load(*model)


def _check_lengths(model, prompts, n_tokens):
    from .surveys import check_lengths

    check_lengths(_model(model), prompts, n_tokens)


def _measure(model, prompts, degrees, request, profile, batch):
    from .surveys import measure_prompts, provenance

    model = _model(model)
    return measure_prompts(model, prompts, degrees, request, batch), provenance(model, profile)
