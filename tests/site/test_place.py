"""The folder of a build: two builds at once, a full or failing disk, folders that cannot be written, Ctrl-C."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import namedtuple
from pathlib import Path

import filelock
import nbformat
import pytest
from chapters import execute, write_chapter
from conftest import PATIENCE, PROJECT, TINY

from tokengeom_utils.errors import BuildError, InputError
from tokengeom_utils.site.build import build_book, website
from tokengeom_utils.site.build import kernels as kernels_module
from tokengeom_utils.site.build.place import building

Usage = namedtuple("Usage", "total used free")


def is_one_line(error):
    return "\n" not in str(error.value)


def test_a_second_build_is_refused_and_changes_nothing(tmp_path):
    out = tmp_path / "out"
    with building(out):
        before = sorted(out.rglob("*"))
        with pytest.raises(InputError, match=f"^another run is writing to {out}/html: wait") as error:
            build_book(TINY, PROJECT, out)
        assert is_one_line(error) and sorted(out.rglob("*")) == before
    with building(out):
        pass  # free again


def test_a_build_that_puts_nothing_into_a_new_folder_leaves_none(tmp_path):
    out = tmp_path / "some" / "where"
    with pytest.raises(InputError, match="no such model"), building(out):
        raise InputError("no such model")
    assert not list(tmp_path.iterdir())
    with building(out):
        (out / "page").touch()
    assert (out / "page").is_file()


def test_a_folder_that_cannot_be_written_is_refused_before_the_work(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("mine")
    for out in (tmp_path / "file", tmp_path / "file" / "deeper"):
        with pytest.raises(InputError, match=f"^{out}/html cannot be written .*: choose another --out") as error:
            build_book(TINY, PROJECT, out)
        assert is_one_line(error)

    def read_only(*_, **__):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(filelock.FileLock, "acquire", read_only)
    out = tmp_path / "new" / "out"
    with pytest.raises(InputError, match=r"html cannot be written \(Read-only file system\): choose another --out"):
        build_book(TINY, PROJECT, out)
    assert [path.name for path in tmp_path.iterdir()] == ["file"] and (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize(
    "number, message",
    [
        (errno.ENOSPC, "no space is left on the disk of {out}: free some and rerun the same command; finished"),
        (errno.EIO, "{out} cannot be written (Input/output error): repair this and rerun the same command; finished"),
    ],
)
def test_a_disk_that_fails_under_a_chapter_is_one_line_and_leaves_nothing(tmp_path, monkeypatch, number, message):
    monkeypatch.setattr(kernels_module, "FORKS", False)
    write, out = nbformat.write, tmp_path / "out"

    def fails_later(notebook, path):
        write(notebook, path)
        if ".scratch" in str(path):
            raise OSError(number, os.strerror(number))

    monkeypatch.setattr(nbformat, "write", fails_later)
    with pytest.raises(BuildError) as error, building(out):
        execute(write_chapter(tmp_path), out)
    assert str(error.value).startswith(message.format(out=out)) and is_one_line(error)
    assert not list((out / ".scratch").iterdir()) and not list((out / "chapters").iterdir())


def test_an_error_that_is_not_the_disks_is_not_called_so(tmp_path):
    with pytest.raises(FileNotFoundError), building(tmp_path / "out"):
        (tmp_path / "none").read_text()


def test_a_disk_that_fills_up_under_the_site_is_one_line_and_leaves_the_old_site(tmp_path, monkeypatch):
    project, out = write_chapter(tmp_path), tmp_path / "out"
    (out / "html").mkdir(parents=True)
    (out / "html" / "index.html").write_text("old")

    def fills_up(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(out / "source" / "_toc.yml"))

    monkeypatch.setattr(Path, "write_bytes", fills_up)
    message = f"^no space is left on the disk of {out}/source: free some"
    with pytest.raises(BuildError, match=message) as error, building(out):
        website.build_site(project, out)
    assert is_one_line(error) and (out / "html" / "index.html").read_text() == "old"


def test_jupyter_book_on_a_full_disk_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], 1))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(100, 100, 0))
    with pytest.raises(BuildError, match=f"^no space is left on the disk of {tmp_path}: free some"):
        website._jupyter_book(tmp_path / "source", tmp_path / "site.log")


@pytest.mark.skipif(os.name == "nt", reason="no signal can be sent to one process")
def test_ctrl_c_is_one_line_and_keeps_finished_chapters(tmp_path):
    """The real command, interrupted while a chapter runs."""
    sleep = "import time\nfrom pathlib import Path\nPath('started').touch()\ntime.sleep(600)"
    project = write_chapter(write_chapter(tmp_path), sleep, name="long")
    (project / "_toc.yml").write_text("root: x\nchapters: [{file: notebooks/short}, {file: notebooks/long}]\n")
    shutil.copytree(PROJECT / "notebooks" / "profiles", project / "notebooks" / "profiles", dirs_exist_ok=True)
    command = [sys.executable, "-m", "tokengeom_utils.cli", "book", "--profile", "standard", "--results", "standard"]
    process = subprocess.Popen(
        [*command, "--out", "built"],
        cwd=project,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    done = project / "built" / "chapters" / "short.ipynb"
    deadline = time.monotonic() + 240
    while not (done.is_file() and (project / "notebooks" / "started").is_file()):
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, messages = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert messages == "tokengeom: stopped; finished chapters are kept: rerun the same command to resume\n"
    assert [path.name for path in done.parent.iterdir()] == ["short.ipynb"] and not (project / "built/html").exists()
