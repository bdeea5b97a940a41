"""Surveys on a real scheduler with real workers, one of them killed; and what a batch system would be given."""

import os
import signal
import subprocess
import sys
import time

import pytest
import tiny_survey
import tokengeom_utils as tg
import xarray as xr
from tokengeom_utils.cluster import job_script, open_client, read_jobs
from tokengeom_utils.doctor import examine

ONE_THREAD = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "MKL", "OPENBLAS")}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_survey.save_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A scheduler and a function that starts workers, all as programs of their own on this machine."""
    where = tmp_path_factory.mktemp("cluster")
    processes = []

    def start(*words):
        log = open(where / f"log-{len(processes)}", "w")
        command = [sys.executable, "-m", *words, "--scheduler-file", str(where / "scheduler.json")]
        processes.append(subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **ONE_THREAD}))
        return processes[-1]

    start("distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard")
    deadline = time.monotonic() + 60
    while not (where / "scheduler.json").exists():
        assert time.monotonic() < deadline and processes[0].poll() is None
        time.sleep(0.1)
    import json

    address = json.loads((where / "scheduler.json").read_text())["address"]
    yield address, lambda *options: start("distributed.cli.dask_worker", "--nthreads", "1", "--no-nanny",
                                          "--no-dashboard", *options)
    for process in processes:
        process.kill()
        process.wait()


def test_a_worker_is_killed_in_the_middle(cluster, folder, tmp_path):
    address, start = cluster
    workers = [start(), start()]
    with open_client(scheduler=address) as client:
        client.wait_for_workers(2, timeout=60)
        whole = tiny_survey.run(folder, tmp_path / "whole.zarr", client=client)
        steps = []

        def kill_one(done, total, seconds):
            steps.append(done)
            if len(steps) == 4:
                workers[0].send_signal(signal.SIGKILL)

        survived = tiny_survey.run(folder, tmp_path / "survived.zarr", client=client, progress=kill_one)
        assert workers[0].wait(10) == -signal.SIGKILL and workers[1].poll() is None
    assert steps[-1] == 16 and steps == sorted(steps)
    xr.testing.assert_identical(survived, whole)
    assert tiny_survey.files(tmp_path / "survived.zarr") == tiny_survey.files(tmp_path / "whole.zarr")
    here = tiny_survey.run(tg.load_model(folder), tmp_path / "here.zarr")
    xr.testing.assert_allclose(whole.drop_attrs(), here.drop_attrs(), rtol=1e-4)


def test_bad_input_is_found_before_anything_is_measured(cluster, folder, tmp_path):
    address, start = cluster
    start()
    out = tmp_path / "survey.zarr"
    with open_client(scheduler=address) as client:
        with pytest.raises(tg.InputError, match="prompt text-0 has 100 tokens"):
            tg.survey(folder, tiny_survey.prompts(), (0,), out, n_tokens=128, scale_max=16, k_max=8, client=client,
                      model_name="tiny")
        with pytest.raises(tg.InputError, match="unknown model 'nonsense'"):
            tiny_survey.run("nonsense", out, client=client)
    assert not list(tmp_path.iterdir())


def test_gpu_workers_are_asked_for_by_resource(cluster, folder, tmp_path):
    """A worker that offers GPU=1 gets the work, and the one that offers nothing gets none."""
    address, start = cluster
    gpu = start("--resources", "GPU=1", "--name", "with-gpu")
    with open_client(scheduler=address) as client:
        deadline = time.monotonic() + 60
        while "with-gpu" not in [worker["name"] for worker in client.scheduler_info(n_workers=-1)["workers"].values()]:
            assert time.monotonic() < deadline and gpu.poll() is None
            time.sleep(0.1)
        tiny_survey.run(folder, tmp_path / "survey.zarr", client=client)
        names = {worker["name"]: address for address, worker in client.scheduler_info(n_workers=-1)["workers"].items()}
        did = client.run(lambda: __import__("tokengeom_utils.cluster").cluster._load.cache_info().misses)
    assert did[names["with-gpu"]] == 1  # the model was loaded there, once
    assert examine(tmp_path / "survey.zarr")[0].is_sound


def test_no_scheduler_and_too_many_clusters():
    with pytest.raises(tg.InputError, match="no Dask scheduler answers at tcp://127.0.0.1:9"):
        with open_client(scheduler="tcp://127.0.0.1:9"):
            pass
    with pytest.raises(tg.InputError, match="--workers and --jobqueue exclude each other"):
        with open_client(workers=2, jobqueue="jobs.yml"):
            pass


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
    ("slurm", "--gres=gpu:1", ["#SBATCH -p gpu", "#SBATCH -t 04:00", "#SBATCH --gres=gpu:1", "#SBATCH --cpus-per-task=4",
                               "#SBATCH --mem=60G"]),
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
    ("scheduler: slurm\njobs: many", "jobs must be a int"), ("- 1", "must hold"), (":", "must hold|not valid YAML"),
    ("scheduler: slurm\noptions: {nonsense: 1, cores: 1, memory: 1GB}", "cannot be described"),
])  # fmt: skip
def test_a_description_of_jobs_that_is_no_good(tmp_path, text, words):
    path = tmp_path / "jobs.yml"
    path.write_text(text)
    with pytest.raises(tg.InputError, match=words):
        job_script(read_jobs(path))
    with pytest.raises(tg.InputError, match="cannot be read"):
        read_jobs(tmp_path / "nothing.yml")
