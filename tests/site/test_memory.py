"""Chapters run at once only where memory allows."""

import os
import threading

import pytest
from chapters import execute, write_chapter
from conftest import PATIENCE

from tokengeom_utils.site.build import execute as execute_module
from tokengeom_utils.site.build import memory
from tokengeom_utils.site.build.execute import Execution

GB = 2**30


def system(tmp_path, monkeypatch, available=None, membership="", limits=None):
    """A system that reports this much memory, in kB, and these files of control groups."""
    line = f"MemAvailable: {available} kB\n" if available else ""
    (tmp_path / "meminfo").write_text(f"MemTotal: 1 kB\n{line}")
    (tmp_path / "membership").write_text(membership)
    for name, text in (limits or {}).items():
        (tmp_path / "cgroup" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "cgroup" / name).write_text(text)
    monkeypatch.setattr(memory, "MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(memory, "MEMBERSHIP", tmp_path / "membership")
    monkeypatch.setattr(memory, "CGROUP", tmp_path / "cgroup")


@pytest.mark.parametrize("free, cores, expected", [(16, 8, 2), (4, 8, 1), (16, 1, 1), (None, 8, 1)])
def test_two_chapters_run_at_once_where_memory_and_cores_allow(free, cores, expected, monkeypatch):
    monkeypatch.setattr(memory, "free_memory", lambda: free and free * GB)
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    assert memory.at_once() == expected


def test_linux_reports_what_is_available(tmp_path, monkeypatch):
    system(tmp_path, monkeypatch, available=8 * 2**20)
    assert memory.free_memory() == 8 * GB


@pytest.mark.parametrize(
    "membership, limits",
    [
        (
            "0::/job/step\n",
            {
                "job/memory.max": str(4 * GB),
                "job/memory.current": str(3 * GB),
                "job/memory.stat": f"anon 7\ninactive_file {GB}\n",
                "job/step/memory.max": "max",
                "job/step/memory.current": str(GB),
                "job/step/memory.stat": "anon 7\n",
            },
        ),
        (
            "9:cpu,cpuacct:/\n4:memory:/job\n0::/\n",
            {
                "memory/job/memory.limit_in_bytes": str(4 * GB),
                "memory/job/memory.usage_in_bytes": str(3 * GB),
                "memory/job/memory.stat": f"total_inactive_file {GB}\n",
            },
        ),
    ],
)
def test_the_limit_of_a_container_or_a_job_counts(membership, limits, tmp_path, monkeypatch):
    system(tmp_path, monkeypatch, available=64 * 2**20, membership=membership, limits=limits)
    assert memory.free_memory() == 2 * GB


def test_elsewhere_half_of_the_memory_counts_as_free_and_without_any_report_none(tmp_path, monkeypatch):
    system(tmp_path, monkeypatch)
    sizes = {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 4 * 2**20}
    monkeypatch.setattr(os, "sysconf", sizes.__getitem__, raising=False)
    assert memory.free_memory() == 8 * GB
    monkeypatch.delattr(os, "sysconf")  # as on Windows
    assert memory.free_memory() is None


@pytest.mark.parametrize("allowed", [1, 2])
def test_with_little_memory_chapters_wait_for_the_survey_and_for_each_other(allowed, tmp_path, monkeypatch):
    project, meeting, met = tmp_path, threading.Barrier(2), []

    def run(one, *_):
        try:
            meeting.wait(timeout=PATIENCE if allowed == 2 else 0.5)
            met.append(one.chapter.name)
        except threading.BrokenBarrierError:
            pass  # alone
        one.target.parent.mkdir(parents=True, exist_ok=True)
        one.target.write_text('{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}')
        return 1.0

    monkeypatch.setattr(execute_module, "execute_chapter", run)
    monkeypatch.setattr(execute_module, "at_once", lambda: allowed)
    monkeypatch.setattr(execute_module.Kernels, "prepare", lambda _: None)
    write_chapter(write_chapter(project), name="second")
    (project / "_toc.yml").write_text("root: x\nchapters: [{file: notebooks/short}, {file: notebooks/second}]\n")
    execute(project, tmp_path / "out")
    assert sorted(met) == (["second", "short"] if allowed == 2 else [])


def test_stopping_frees_chapters_that_wait_for_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(execute_module, "at_once", lambda: 1)
    monkeypatch.setattr(execute_module, "execute_chapter", lambda *_: pytest.fail("nothing may start"))
    monkeypatch.setattr(execute_module.Kernels, "prepare", lambda _: None)
    survey = tmp_path / "survey.zarr"
    survey.mkdir()
    run = type("Run", (), {"expected": 1.0, "chapter": None})()
    with pytest.raises(KeyboardInterrupt), Execution(tmp_path, tmp_path, survey) as execution:
        execution.add([run, run])
        raise KeyboardInterrupt
