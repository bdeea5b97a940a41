"""Places: ~, addresses, folders that cannot be written or synced, and file systems without locks."""

import errno
import os
import shutil
import signal
from pathlib import Path

import pytest
import tiny_survey

import tokengeom_utils as tg
from tokengeom_utils import paths
from tokengeom_utils.surveys import files, interrupts, lock
from tokengeom_utils.surveys.cluster import read_jobs
from tokengeom_utils.surveys.doctor import examine
from tokengeom_utils.surveys.profiles import load_profile
from tokengeom_utils.surveys.run import run_profile

REQUEST = {"shuffles": [0], "n_shuffled": 0, "n_tokens": 64, "seed": 0, "scale_max": 16, "k_max": 8}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_survey.save_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def tiny(folder):
    return tg.load_model(folder)


@pytest.fixture
def home(tmp_path, monkeypatch):
    for name in ("HOME", "USERPROFILE"):  # USERPROFILE: on Windows
        monkeypatch.setenv(name, str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def test_a_tilde_is_the_home_folder_wherever_a_path_is_accepted(home, folder, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(folder, home / "model")
    (home / "texts.txt").write_text("the cat sat on the mat, and the dog looked on. " * 3)
    (home / "slurm.yml").write_text("scheduler: slurm\n")
    (home / "mine.yml").write_text("n_tokens: 64\nscale_max: 16\nk_max: 8\nshuffles: [0]\n")
    monkeypatch.setenv("TOKENGEOM_CACHE", "~/cache")
    parameters = {**REQUEST, "profile": "", "model": "~/model", "prompts": "~/texts.txt", "n_prompts": None}
    results = run_profile(parameters, "~/survey.zarr", quiet=True)
    assert results.sizes["prompt"] == 1 and (home / "survey.zarr" / "zarr.json").is_file()
    assert (
        tg.survey(
            tg.load_model("~/model"),
            tg.load_prompts("~/texts.txt"),
            out="~/again.zarr",
            **{name: value for name, value in REQUEST.items() if name != "shuffles"},
        ).sizes["prompt"]
        == 1
    )
    assert tg.open_results("~/survey.zarr").sizes["prompt"] == 1 and examine("~/survey.zarr")[0].is_sound
    tg.export(results, "~/table.csv")
    assert (home / "table.csv").is_file() and read_jobs("~/slurm.yml")["scheduler"] == "slurm"
    assert load_profile("~/mine.yml")["n_tokens"] == 64
    assert paths.cache_path("models") == home / "cache" / "models"
    assert [path.name for path in tmp_path.iterdir()] == ["home"]  # no folder named ~


@pytest.mark.parametrize(
    "address", ["s3://bucket/x.zarr", "gs://bucket/x.zarr", "https://host/x.zarr", "file:///x.zarr"]
)
@pytest.mark.parametrize("of", [str, Path])
def test_an_address_is_refused_wherever_a_path_is_accepted(tiny, address, of, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    place = of(address)
    results = tg.open_results("untrained")
    for use in (
        lambda: tiny_survey.run(tiny, place),
        lambda: run_profile({"model": "tiny"}, place),
        lambda: tg.open_results(place),
        lambda: examine(place),
        lambda: tg.export(results, place),
        lambda: tg.load_prompts(place),
        lambda: tg.load_model(place),
        lambda: read_jobs(place),
    ):
        with pytest.raises(tg.InputError, match="is an address: use a file or folder on this machine") as error:
            use()
        assert address.split("/")[0] in str(error.value)
    assert not list(tmp_path.iterdir())


def test_an_address_as_a_path_of_windows_is_one():
    with pytest.raises(tg.InputError, match="--out s3://bucket.x is an address"):
        paths.local_path("s3:\\bucket\\x", "--out")


def test_the_page_of_a_model_names_its_id():
    with pytest.raises(tg.InputError, match="the address of a page: use its name on the Hub, owner/name$"):
        tg.load_model("https://huggingface.co/owner/name/tree/main")


def test_paths_of_windows_are_no_addresses(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for path in ("C:/Users/me/x.zarr", "C:\\Users\\me\\x.zarr", "a:b"):
        assert str(paths.local_path(path)) == str(Path(path))


def test_a_tilde_of_nobody_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(tg.InputError, match="begins with ~no-such-user, which is no home folder here"):
        paths.local_path("~no-such-user/x.zarr", "--out")
    (tmp_path / "~notes.txt").touch()
    assert paths.local_path("~notes.txt") == Path("~notes.txt")


def test_a_folder_that_cannot_be_written_is_found_before_the_work(tiny, tmp_path, monkeypatch):
    loaded = []
    monkeypatch.setattr("tokengeom_utils.surveys.run.fetch_model", lambda *a: loaded.append(a))
    (tmp_path / "file").touch()
    with pytest.raises(tg.InputError, match=r"file is a file, not a folder\): choose another --out"):
        run_profile({"model": "tiny"}, tmp_path / "file" / "x.zarr")
    monkeypatch.setattr(os, "access", lambda *a: False)  # of a folder of somebody else; root may write everywhere
    for use in (
        lambda: run_profile({"model": "tiny"}, tmp_path / "new" / "x.zarr"),
        lambda: tiny_survey.run(tiny, tmp_path / "new" / "x.zarr"),
    ):
        with pytest.raises(tg.InputError, match="no permission to write in the folder .*: choose another --out"):
            use()
    assert [path.name for path in tmp_path.iterdir()] == ["file"] and not loaded


def test_a_cache_that_cannot_be_written(tmp_path, monkeypatch):
    (tmp_path / "cache").touch()
    monkeypatch.setenv("TOKENGEOM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("tokengeom_utils.models.bundled._fetch", pytest.fail)
    with pytest.raises(tg.InputError, match="cache: is a file.*set TOKENGEOM_CACHE to a folder of your own"):
        tg.fetch_model(say=print)
    monkeypatch.setenv("TOKENGEOM_CACHE", str(tmp_path))
    monkeypatch.setattr(os, "access", lambda *a: False)
    with pytest.raises(tg.InputError, match="no permission.*set TOKENGEOM_CACHE to a folder of your own"):
        tg.fetch_model(say=print)


@pytest.fixture(params=["fsync", "open"])
def no_sync_of_folders(request, monkeypatch):
    """A network drive, whose folders cannot be synced; Windows, which cannot open them."""
    fsync, opened = os.fsync, os.open

    def fail_to_sync(descriptor):
        if os.path.isdir(f"/proc/self/fd/{descriptor}"):
            raise OSError(errno.EINVAL, "Invalid argument")
        fsync(descriptor)

    def fail_to_open(path, flags, *more, **options):
        if os.path.isdir(path) and not flags & getattr(os, "O_DIRECTORY", 0):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return opened(path, flags, *more, **options)

    if request.param == "fsync":
        monkeypatch.setattr(os, "fsync", fail_to_sync)
    else:
        monkeypatch.setattr(os, "open", fail_to_open)
        monkeypatch.setattr(shutil, "_use_fd_functions", False)  # as on Windows


@pytest.mark.usefixtures("no_sync_of_folders")
def test_a_survey_in_folders_that_cannot_be_synced(tiny, tmp_path):
    assert tiny_survey.run(tiny, tmp_path / "new" / "survey.zarr").sizes["prompt"] == tiny_survey.PROMPTS
    tiny_survey.run(tiny, tmp_path / "new" / "survey.zarr")
    assert examine(tmp_path / "new" / "survey.zarr")[0].is_sound


def test_a_failing_disk_is_never_ignored(tmp_path, monkeypatch):
    def fail(descriptor):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", *([] if os.name == "nt" else [tmp_path])):  # Windows opens no folder
        with pytest.raises(OSError, match="Input/output error"):
            files.sync(path)
    monkeypatch.setattr(os, "fsync", lambda descriptor: (_ for _ in ()).throw(OSError(errno.EINVAL, "Invalid")))
    files.sync(tmp_path)
    with pytest.raises(OSError, match="Invalid"):  # a file must be synced
        files.sync(tmp_path / "file")


def test_files_are_synced_through_descriptors_that_may_write(tmp_path, monkeypatch):
    """As Windows requires."""
    (tmp_path / "file").touch()
    flags = []
    opened = os.open
    monkeypatch.setattr(os, "open", lambda path, flag: flags.append(flag) or opened(path, flag))
    files.sync(tmp_path / "file")
    assert flags == [os.O_RDWR]


def test_a_rename_waits_for_a_reader(tmp_path, monkeypatch):
    """Windows renames no file that is open elsewhere."""
    replace, refusals = os.replace, [PermissionError(13, "open elsewhere")] * 3

    def fail_at_first(old, new):
        if refusals:
            raise refusals.pop()
        replace(old, new)

    monkeypatch.setattr(os, "replace", fail_at_first)
    files.write(tmp_path / "file", b"42")
    assert (tmp_path / "file").read_bytes() == b"42" and not refusals


def test_a_prepared_store_takes_the_place_of_an_empty_folder(tmp_path, monkeypatch):
    """Windows replaces no folder."""
    replace = os.replace

    def refuse_folders(old, new):
        assert not Path(new).is_dir()
        replace(old, new)

    monkeypatch.setattr(os, "replace", refuse_folders)
    (tmp_path / "survey.zarr").mkdir()
    fresh = files.scratch(tmp_path / "survey.zarr")
    fresh.mkdir()
    (fresh / "zarr.json").touch()
    files.put_in_place(fresh, tmp_path / "survey.zarr")
    assert (tmp_path / "survey.zarr" / "zarr.json").is_file()


def test_a_file_system_without_locks(tiny, tmp_path, monkeypatch):
    from filelock import FileLock

    def fail(self, *arguments, **options):
        Path(self.lock_file).touch()
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(FileLock, "acquire", fail)
    out = tmp_path / "survey.zarr"
    with pytest.warns(UserWarning, match=r"has no locks: .*\.survey\.zarr\.held keeps other runs out"):
        held = lock.StoreLock(out)
    with pytest.raises(tg.InputError, match=r"or was killed: .* if none is running, delete .*\.held"):
        tiny_survey.run(tiny, out)
    held.release(keep=False)
    assert not list(tmp_path.iterdir())
    with pytest.warns(UserWarning, match="has no locks"):
        assert tiny_survey.run(tiny, out).sizes["prompt"] == tiny_survey.PROMPTS
    assert [path.name for path in tmp_path.iterdir()] == ["survey.zarr"]


def test_a_lock_that_fails_leaves_nothing_behind(tiny, tmp_path, monkeypatch):
    from filelock import FileLock

    def fail(self, *arguments, **options):
        Path(self.lock_file).touch()
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(FileLock, "acquire", fail)
    with pytest.raises(tg.InputError, match=r"cannot be written \(Input/output error\): choose another --out"):
        tiny_survey.run(tiny, tmp_path / "new" / "survey.zarr")
    assert not list(tmp_path.iterdir())


def test_a_file_of_the_lock_that_is_open_is_removed_later(tmp_path, monkeypatch):
    """Windows removes no open file."""
    held, unlink, refused = lock.StoreLock(tmp_path / "new" / "x.zarr"), Path.unlink, []

    def fail_while_held(path, **options):
        if held._lock.is_locked:
            refused.append(path)
            raise PermissionError(13, "open")
        unlink(path, **options)

    monkeypatch.setattr(Path, "unlink", fail_while_held)
    held.release(keep=False)
    assert refused and not list(tmp_path.iterdir())


def test_without_posix_signals_workers_start_all_the_same(monkeypatch):
    monkeypatch.delattr(signal, "pthread_sigmask", raising=False)
    with interrupts.block_interrupt_in_children():
        pass


def test_compiled_loops_without_a_folder_to_keep_them(monkeypatch):
    from numba.core import caching

    from tokengeom_utils.clouds.kernels.cpu import compiled

    assert compiled.PLAIN["cache"]
    monkeypatch.setattr(caching.CacheImpl, "_locator_classes", [])  # as where nothing can be written
    with pytest.warns(UserWarning, match="set NUMBA_CACHE_DIR to a folder of your own"):
        assert not compiled.can_keep()
