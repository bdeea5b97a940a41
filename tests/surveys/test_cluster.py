"""Surveys on a real scheduler with real workers, some of them killed, and the scripts for batch systems."""

import gc
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress

import dask
import distributed
import pytest
import tiny_survey
import xarray as xr
import yaml
from conftest import PATIENCE

import tokengeom_utils as tg
from tokengeom_utils.errors import PartialSurvey
from tokengeom_utils.surveys.batch import GPU_BATCH
from tokengeom_utils.surveys.cluster import job_script, open_client, read_jobs
from tokengeom_utils.surveys.crowd import _LOST, Crowd, _result
from tokengeom_utils.surveys.doctor import examine

pytestmark = pytest.mark.skipif(os.name == "nt", reason="stops and kills processes by signals of POSIX")

ONE_THREAD = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "MKL", "OPENBLAS")}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_survey.save_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def whole(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("whole") / "survey.zarr"
    tiny_survey.run(tg.load_model(folder), out)
    return out


@pytest.fixture
def programs(tmp_path):
    """A function that starts Dask programs, which end with the test."""
    processes = []

    def start(*words):
        command = [sys.executable, "-m", *words, "--scheduler-file", str(tmp_path / "scheduler.json"), "--no-dashboard"]
        with open(tmp_path / f"log-{len(processes)}", "w") as log:
            processes.append(subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **ONE_THREAD}))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.wait()


@pytest.fixture
def scheduler(programs, tmp_path):
    """A scheduler on this machine: (address, process)."""
    process = programs("distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0")
    deadline, path = time.monotonic() + PATIENCE, tmp_path / "scheduler.json"
    while not path.exists() or not path.read_text().endswith("}"):  # it is there before it is written
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.1)
    return json.loads(path.read_text())["address"], process


@pytest.fixture
def cluster(scheduler, programs):
    """A scheduler's address and a function that starts workers."""
    worker = ("distributed.cli.dask_worker", "--nthreads", "1", "--no-nanny")
    return scheduler[0], lambda *options: programs(*worker, *options)


def loads(client):
    """Return how often each worker has loaded a model, by the name of the worker."""
    counts = client.run(lambda: __import__("tokengeom_utils.surveys.workers").surveys.workers._load.cache_info().misses)
    workers = Crowd(client).workers()
    return {workers[address]["name"]: count for address, count in counts.items()}


def test_a_worker_is_killed_in_the_middle(cluster, folder, whole, tmp_path):
    address, start = cluster
    workers = [start(), start()]
    with open_client(scheduler=address) as client:
        client.wait_for_workers(2, timeout=PATIENCE)
        steps = []

        def kill_one(done, total, seconds):
            steps.append(done)
            if len(steps) == 4:
                workers[0].send_signal(signal.SIGKILL)

        survived = tiny_survey.run(folder, tmp_path / "survived.zarr", client=client, progress=kill_one)
        assert workers[0].wait(10) == -signal.SIGKILL and workers[1].poll() is None
        assert steps[-1] == 16 and steps == sorted(steps)
        undisturbed = tiny_survey.run(folder, tmp_path / "undisturbed.zarr", client=client)
    numbers = list(tg.schema.OBSERVABLES)
    xr.testing.assert_identical(survived[numbers].drop_attrs(), undisturbed[numbers].drop_attrs())
    xr.testing.assert_allclose(survived[numbers].drop_attrs(), tg.open_results(whole)[numbers].drop_attrs(), rtol=1e-4)


def test_a_worker_that_starts_late_gets_work(cluster, folder, tmp_path):
    address, start = cluster
    start("--name", "first")
    under_way = {1: set(), 2: set()}
    with open_client(scheduler=address) as client:

        def watch(done, total, seconds):
            gc.collect()  # tracebacks of Dask's timeouts hold futures that are not under way
            under_way[len(Crowd(client).workers())].add(len(client.futures))
            if len(under_way[1]) and not under_way[2]:
                start("--name", "late")
                client.wait_for_workers(2, timeout=PATIENCE)

        tiny_survey.run(folder, tmp_path / "survey.zarr", client=client, progress=watch)
        assert loads(client) == {"first": 1, "late": 1}
    assert max(under_way[1]) <= 2 < max(under_way[2]) <= 4  # twice as many as threads


def test_the_last_worker_is_lost(cluster, folder, tmp_path, monkeypatch):
    monkeypatch.setattr("tokengeom_utils.surveys.crowd.PATIENCE", 1.0)
    address, start = cluster
    out = tmp_path / "survey.zarr"
    with open_client(scheduler=address) as client:
        with pytest.raises(PartialSurvey, match="no worker for 1 s"):
            tiny_survey.run(folder, out, client=client)
        worker = start()
        client.wait_for_workers(1, timeout=PATIENCE)

        def kill(done, total, seconds):
            if done > 4:
                worker.kill()

        with pytest.raises(PartialSurvey, match="no worker for 1 s; everything measured is safe"):
            tiny_survey.run(folder, out, client=client, progress=kill)
    (report,) = examine(out)
    assert report.is_sound and 0 < len(report.missing) < tiny_survey.PROMPTS


def test_workers_are_never_overlooked(cluster):
    """The client's timer asks for the scheduler alone, and its answer lists no worker."""
    address, start = cluster
    often = {"distributed.client.scheduler-info-interval": "1ms"}
    with dask.config.set(often), open_client(scheduler=address) as client:
        start()
        client.wait_for_workers(1, timeout=PATIENCE)
        crowd = Crowd(client)
        assert all(crowd.slots() == 1 for _ in range(500))


def test_a_worker_is_lost_before_its_result_is_fetched(cluster, monkeypatch):
    """Dask runs the task again; nothing waits for its result meanwhile, since there may be no worker at all."""
    monkeypatch.setattr("tokengeom_utils.surveys.crowd.PATIENCE", 60.0)
    address, start = cluster
    doomed, ended = [start()], distributed.wait
    with open_client(scheduler=address) as client:
        client.wait_for_workers(1, timeout=PATIENCE)

        def wait_and_kill(*futures, **options):
            done = ended(*futures, **options)
            while doomed:
                worker = doomed.pop()
                worker.kill()
                worker.wait()
                while Crowd(client).workers():
                    time.sleep(0.05)
            return done

        monkeypatch.setattr(distributed, "wait", wait_and_kill)
        threading.Timer(5.0, start).start()
        assert sorted(Crowd(client).map(abs, [(-number,) for number in range(3)])) == [(0, 0), (1, 1), (2, 2)]
        assert not doomed


def test_without_workers_a_lost_result_is_not_waited_for(cluster, monkeypatch):
    monkeypatch.setattr("tokengeom_utils.surveys.crowd.PATIENCE", 1.0)
    address, start = cluster
    worker = start()
    with open_client(scheduler=address) as client:
        client.wait_for_workers(1, timeout=PATIENCE)
        crowd = Crowd(client)
        future = client.submit(abs, -1, pure=False)
        distributed.wait(future)
        worker.kill()
        worker.wait()
        started = time.monotonic()
        assert _result(future) is _LOST and time.monotonic() - started < PATIENCE
        with pytest.raises(PartialSurvey, match="no worker for 1 s"):
            list(crowd.map(abs, [(-1,)]))


def test_the_scheduler_is_lost(scheduler, cluster, folder, tmp_path):
    address, start = cluster
    start()
    with dask.config.set({"distributed.comm.timeouts.connect": "1s"}), open_client(scheduler=address) as client:

        def kill(done, total, seconds):
            if done > 4:
                scheduler[1].kill()

        with pytest.raises(PartialSurvey, match="the cluster was lost"):
            tiny_survey.run(folder, tmp_path / "survey.zarr", client=client, progress=kill)
    assert examine(tmp_path / "survey.zarr")[0].is_sound


def test_bad_input_is_found_before_anything_is_measured(cluster, folder, tmp_path, monkeypatch):
    address, start = cluster
    start()
    out = tmp_path / "new" / "survey.zarr"
    monkeypatch.setattr("tokengeom_utils.surveys.workers.TASK_OF_TEXTS", 3)
    prompts = tiny_survey.prompts()
    prompts[7] = tg.Prompt("text-7", "letters", "too short")
    with open_client(scheduler=address) as client:
        with pytest.raises(tg.InputError, match="prompt text-7 has 9 tokens"):  # in the third of the tasks
            tg.survey(folder, prompts, (0,), out, n_tokens=64, scale_max=16, k_max=8, client=client)
        with pytest.raises(tg.InputError, match="unknown model 'nonsense'"):
            tiny_survey.run("nonsense", out, client=client)
        with pytest.raises(PartialSurvey, match="a worker could not continue .FileNotFoundError.*no-such-file"):
            list(Crowd(client).map(os.stat, [("no-such-file",)]))
    assert not out.parent.exists()


def test_an_interrupt_before_a_call_has_started(cluster, caplog):
    """Without the delay Dask fails here, with a traceback on the terminal."""
    address, start = cluster
    start()
    with open_client(scheduler=address) as client:
        crowd = Crowd(client)
        crowd.wait()
        client.loop.add_callback(time.sleep, 2.0)  # calls made meanwhile start later
        threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
        with pytest.raises(KeyboardInterrupt):
            list(crowd.map(abs, [(-1,)] * 3))
        assert sorted(crowd.map(abs, [(-1,)] * 3)) == [(0, 1), (1, 1), (2, 1)]
    assert "Exception in callback" not in caplog.text


def test_gpu_workers_are_selected_by_resource(cluster, folder, tmp_path):
    """The worker that offers GPU=1 gets all the work."""
    address, start = cluster
    start("--name", "plain")
    start("--resources", "GPU=1", "--name", "with-gpu")
    with open_client(scheduler=address) as client:
        client.wait_for_workers(2, timeout=PATIENCE)
        found = tiny_survey.run(folder, tmp_path / "survey.zarr", client=client)
        assert loads(client) == {"plain": 0, "with-gpu": 1}
    assert json.loads(found.attrs["runs"])[0]["batch"] == GPU_BATCH
    assert examine(tmp_path / "survey.zarr")[0].is_sound


def test_a_job_that_ends_is_submitted_again(folder, tmp_path, monkeypatch):
    """Two scripts stand in for SLURM's commands and run the job here; it is killed midway, as by its walltime."""
    sbatch = 'cp "$1" "$LOG.$$"; setsid bash "$LOG.$$" >/dev/null 2>&1 &\necho "Submitted batch job $!" | tee -a "$LOG"'
    for name, text in {"sbatch": sbatch, "scancel": 'kill -9 -- "-$1"'}.items():
        (tmp_path / name).write_text(f"#!/bin/bash\n{text}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("LOG", str(tmp_path / "jobs"))
    for name, value in ONE_THREAD.items():
        monkeypatch.setenv(name, value)
    path = tmp_path / "jobs.yml"
    path.write_text(yaml.safe_dump({"scheduler": "slurm", "jobs": 1, "options": {"cores": 1, "memory": "2GB"}}))

    def submitted():
        return [int(line.split()[-1]) for line in (tmp_path / "jobs").read_text().splitlines()]

    def end_the_job(done, total, seconds):
        if done > 4 and len(submitted()) == 1:
            os.killpg(submitted()[0], signal.SIGKILL)

    with dask.config.set({"distributed.deploy.lost-worker-timeout": "1s"}), open_client(jobqueue=path) as client:
        tiny_survey.run(folder, tmp_path / "survey.zarr", client=client, progress=end_the_job)
    assert len(submitted()) > 1
    (report,) = examine(tmp_path / "survey.zarr")
    assert report.is_sound and not report.missing


@pytest.mark.parametrize("name, command", [("slurm", "sbatch"), ("pbs", "qsub"), ("lsf", "bsub")])
def test_a_machine_without_the_batch_system(tmp_path, name, command, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    path = tmp_path / "jobs.yml"
    path.write_text(yaml.safe_dump({"scheduler": name, "options": {"cores": 1, "memory": "2GB"}}))
    why = f"--jobqueue {path} is for {name}, but this machine has no command {command}"
    with pytest.raises(tg.InputError, match=why), open_client(jobqueue=path):
        pass
    assert "dask" in job_script(read_jobs(path))  # which needs no batch system


def test_a_batch_system_that_refuses_the_jobs(folder, tmp_path, monkeypatch, caplog):
    for name, text in {"sbatch": "echo sbatch: error: invalid partition gpu >&2; exit 1", "scancel": "exit 0"}.items():
        (tmp_path / name).write_text(f"#!/bin/bash\n{text}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    path = tmp_path / "jobs.yml"
    path.write_text(yaml.safe_dump({"scheduler": "slurm", "options": {"cores": 1, "memory": "2GB"}}))
    why = r"refuses the jobs \(sbatch: error: invalid partition gpu\): correct the --jobqueue file"
    with pytest.raises(PartialSurvey, match=why), open_client(jobqueue=path) as client:
        tiny_survey.run(folder, tmp_path / "survey.zarr", client=client)
    assert "Traceback" not in caplog.text


def test_no_scheduler_and_too_many_clusters(monkeypatch):
    monkeypatch.setattr("tokengeom_utils.surveys.cluster.ANSWER", 1.0)
    with (
        pytest.raises(tg.InputError, match="no Dask scheduler answers at tcp://127.0.0.1:9"),
        open_client(scheduler="tcp://127.0.0.1:9"),
    ):
        pass
    with (
        pytest.raises(tg.InputError, match="--workers and --jobqueue exclude each other"),
        open_client(workers=2, jobqueue="jobs.yml"),
    ):
        pass


def test_a_local_cluster_beside_another_one(recwarn):
    """The usual port of Dask's scheduler is taken, as by another survey."""
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with suppress(OSError):  # taken indeed
            taken.bind(("", 8787))
            taken.listen()
        with open_client(workers=1) as client:
            assert client.submit(abs, -1).result() == 1
    assert not [warning for warning in recwarn if "already in use" in str(warning.message)]


JOBS = """
scheduler: {scheduler}
jobs: 8
resources: {{GPU: 1}}
options:
  queue: gpu
  cores: 4
  memory: 64GB
  walltime: "04:00"
  job_script_prologue: ["module load cuda"]
  job_extra_directives: ["{extra}"]
"""


@pytest.mark.parametrize("scheduler, extra, expected", [
    ("slurm", "--gres=gpu:1", ["#SBATCH -p gpu", "#SBATCH -t 04:00", "#SBATCH --gres=gpu:1",
                               "#SBATCH --cpus-per-task=4", "#SBATCH --mem=60G"]),
    ("pbs", "-l ngpus=1", ["#PBS -q gpu", "#PBS -l walltime=04:00", "#PBS -l ngpus=1"]),
    ("lsf", "-gpu num=1", ["#BSUB -q gpu", "#BSUB -W 04:00", "#BSUB -gpu num=1"]),
])  # fmt: skip
def test_the_script_that_would_be_submitted(tmp_path, scheduler, extra, expected):
    path = tmp_path / "jobs.yml"
    path.write_text(JOBS.format(scheduler=scheduler, extra=extra))
    lines = job_script(read_jobs(path)).splitlines()
    for line in expected:
        assert line in lines, lines
    start = next(i for i, line in enumerate(lines) if "dask_worker" in line or "dask worker" in line)
    assert "export OMP_WAIT_POLICY='PASSIVE'" in lines[:start] and "module load cuda" in lines[:start]
    assert "--resources 'GPU=1'" in lines[start] and "--nthreads 4" in lines[start]


@pytest.mark.parametrize("text, words", [
    ("scheduler: cron", "must be one of slurm, pbs, lsf"), ("scheduler: slurm\ncolor: blue", "unknown entry color"),
    ("scheduler: slurm\njobs: many", "jobs must be a whole number of at least 1, not 'many'"),
    ("- 1", "must hold"), (":", "must hold|not valid YAML"),
    ("scheduler: slurm\noptions: {nonsense: 1, cores: 1, memory: 1GB}", "cannot be described"),
    ("scheduler: slurm\njobs: 0", "jobs must be a whole number of at least 1, not 0"),
    ("scheduler: slurm\noptions: 4", "options must be a list of  name: value"),
    ("scheduler: slurm\noptions: {walltime: 4:00:00}", "number 14400: put it in quotes"),
])  # fmt: skip
def test_an_invalid_description_of_jobs(tmp_path, text, words):
    path = tmp_path / "jobs.yml"
    path.write_text(text)
    with pytest.raises(tg.InputError, match=words):
        job_script(read_jobs(path))
    with pytest.raises(tg.InputError, match="cannot be read"):
        read_jobs(tmp_path / "nothing.yml")
