"""Surveys that are killed, interrupted, out of disk space, damaged, or run twice lose nothing."""

import errno
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import warnings
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import tiny_survey
import xarray as xr
import yaml
import zarr
from conftest import PATIENCE, PROJECT, TINY, UNMEASURED

import tokengeom_utils as tg
from tokengeom_utils.errors import PartialSurvey
from tokengeom_utils.models.bundled import FILE
from tokengeom_utils.surveys import journal, store
from tokengeom_utils.surveys.complete import complete
from tokengeom_utils.surveys.doctor import examine
from tokengeom_utils.surveys.layout import create_group
from tokengeom_utils.surveys.metadata import COORDINATES, open_group, set_attribute
from tokengeom_utils.surveys.plan import Plan

HERE = PROJECT / "tests"


@pytest.fixture(scope="module", params=[1, 3])
def group(request):
    """Prompts in a chunk of a new store; stores of one were made until version 0.2, and are resumed as they are."""
    return request.param


@pytest.fixture(scope="module")
def whole(tiny, group, tmp_path_factory):
    out = tmp_path_factory.mktemp("whole") / "survey.zarr"
    tiny_survey.run(tiny, out, group)
    return out


@pytest.fixture
def copy(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "survey.zarr")


def lines(path):
    return "\n".join(line for report in examine(path) for line in report.lines())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked processes")
@pytest.mark.parametrize("kills", [6, pytest.param(20, marks=pytest.mark.long)])
def test_killed_at_random_moments(kills, tmp_path):
    done = subprocess.run(
        [sys.executable, HERE / "tiny_survey.py", tmp_path, str(kills)],
        capture_output=True,
        text=True,
        env={**UNMEASURED, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(PROJECT)},
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    left = report["left"]
    assert len(left) == kills and all(entry["is_sound"] for entry in left)
    for before, after in pairwise(left):  # what was there stays there
        assert after["done"] >= before["done"] or after["store"] != before["store"]
        assert after["killed"] or after["done"] == tiny_survey.PROMPTS
    assert any(0 < entry["done"] < tiny_survey.PROMPTS for entry in left)
    assert all(entry["is_whole"] for entry in left if entry["is_complete"])
    assert tiny_survey.files(Path(report["last"])) == tiny_survey.files(Path(report["whole"]))


def test_at_most_the_prompt_in_flight_is_measured_again(tiny, whole, group, tmp_path):
    out, steps = tmp_path / "survey.zarr", []

    def interrupt(done, total, seconds):
        if done == 5:  # the first prompt has three degrees, the second two of its three
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tiny_survey.run(tiny, out, group, progress=interrupt)
    tiny_survey.run(tiny, out, progress=lambda *step: steps.append(step[:2]))
    assert steps[0] == (0, 13) and steps[-1] == (13, 13)  # 16 in all
    assert tiny_survey.files(out) == tiny_survey.files(whole)


def test_interrupted_on_the_command_line(tmp_path):
    profile, out = tmp_path / "small.yml", tmp_path / "survey.zarr"
    small = {"n_prompts": 100, "n_shuffled": 0, "shuffles": [0], "n_tokens": 64, "scale_max": 16}
    profile.write_text(yaml.safe_dump(yaml.safe_load(TINY.read_text()) | small))
    command = [sys.executable, "-m", "tokengeom_utils.cli", "survey", "--profile", profile, "--out", out]
    with subprocess.Popen(
        command,
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        deadline = time.monotonic() + PATIENCE
        while store.count(out) < 4:
            assert process.poll() is None and time.monotonic() < deadline
            if store.exists(out):  # a reader sees only whole prompts while the store is written
                assert tg.open_results(out).loss.notnull().all()
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 3
    assert "interrupted" in said and "rerun the same command to resume" in said and said.count("\n") == 1
    assert examine(out)[0].is_sound and examine(out)[0].missing


@pytest.mark.parametrize("blocks", [1, 2, 30])  # full amid the prompts, and before or amid the chunks
def test_a_full_disk_stops_the_survey_and_it_resumes_when_there_is_space(tiny, whole, group, blocks, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()

    def mount(*options):
        return subprocess.run(["mount", *options, "tmpfs", str(disk)], capture_output=True).returncode == 0

    used = {name: -(-len(data) // 4096) * 4096 for name, data in tiny_survey.files(whole).items()}
    empty = sum(size for name, size in used.items() if not Path(name).name.startswith("c."))
    if sys.platform != "linux" or not mount("-t", "tmpfs", "-o", f"size={empty + 4096 * blocks}"):
        pytest.skip("only the superuser of a Linux machine can make a small disk")
    try:
        out = disk / "survey.zarr"
        with pytest.raises(OSError, match="No space left"):
            tiny_survey.run(tiny, out, group)
        report = examine(out)[0]
        stored = tiny_survey.PROMPTS - len(report.missing)
        assert report.is_sound and store.count(out) == tg.open_results(out).sizes["prompt"] == stored
        assert 0 < stored < tiny_survey.PROMPTS if blocks == 1 else stored == tiny_survey.PROMPTS
        assert mount("-o", f"remount,size={4 * sum(used.values())}")
        tiny_survey.run(tiny, out)
        assert tiny_survey.files(out) == tiny_survey.files(whole)
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def flip(file):
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


@pytest.mark.parametrize("harm, what", [
    (flip, "damaged"), (Path.unlink, "missing"), (lambda file: file.write_bytes(b""), "damaged"),
    (lambda file: file.write_bytes(file.read_bytes()[:-7]), "damaged"),
])  # fmt: skip
@pytest.mark.parametrize("name", ["intrinsic_dimension", "loss"])
def test_a_damaged_chunk_is_found_named_and_measured_again(tiny, whole, group, copy, name, harm, what):
    number, prompts, measurements = chunk_of_text_3(group)
    file = next((copy / name).glob(f"c.{number}.*"))
    harm(file)
    assert f"{what}: {name}/{file.name} of prompt {prompts}" in lines(copy)
    steps = []
    with pytest.warns(UserWarning, match=f"{name}/{file.name} is {what}; prompt {prompts} is measured again"):
        tiny_survey.run(tiny, copy, progress=lambda *step: steps.append(step[:2]))
    assert steps[-1] == (measurements, measurements)
    assert tiny_survey.files(copy) == tiny_survey.files(whole)


def chunk_of_text_3(group):
    """The number of its chunk, the prompts in that, and how many measurements they take."""
    return (3, "text-3", 3) if group == 1 else (1, "text-3, text-4, text-5", 5)


def test_a_damaged_mark_costs_its_chunk_alone(tiny, whole, group, copy):
    number, prompts, _ = chunk_of_text_3(group)
    flip(copy / "run" / f"c.{number}")
    assert f"damaged: run/c.{number} of prompt {prompts}" in lines(copy)
    with pytest.warns(UserWarning, match=f"run/c.{number} is damaged"):
        tiny_survey.run(tiny, copy)
    assert tiny_survey.files(copy) == tiny_survey.files(whole)


def test_a_survey_that_version_0_2_began_is_resumed_in_its_chunks(tiny, whole, group, copy):
    if group > 1:
        pytest.skip("version 0.2 made chunks of one prompt")
    tiny_survey.begun_before(copy, [3, 6, 7])
    held = tg.open_results(copy)
    assert held.sizes["prompt"] == store.count(copy) == 5 and examine(copy)[0].is_sound

    def interrupt(done, total, seconds):
        if done == 4:  # text-3 with its shuffles, and text-6
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tiny_survey.run(tiny, copy, progress=interrupt)
    (report,) = examine(copy)
    assert report.is_sound and report.missing == ("text-7",) and store.count(copy) == 7
    assert tg.open_results(copy).identical(tg.open_results(whole).isel(prompt=slice(7)))
    tiny_survey.run(tiny, copy)
    assert tiny_survey.files(copy) == tiny_survey.files(whole)


@pytest.fixture
def begun(tiny, group, tmp_path):
    """A survey that stopped after five prompts."""
    out = tmp_path / "begun.zarr"

    def interrupt(done, total, seconds):
        if done == 13:  # four prompts with shuffles, and one without
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tiny_survey.run(tiny, out, group, progress=interrupt)
    assert store.count(out) == 5
    return out


def test_a_survey_that_has_begun_opens_with_its_finished_prompts(whole, begun):
    assert tg.open_results(begun).identical(tg.open_results(whole).isel(prompt=slice(5)))
    assert sorted(path.name for path in begun.rglob("*") if path.is_file() and path.name != "zarr.json") == [
        *7 * ["0"], "journal"
    ]  # the coordinates, and all else in one file  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # other programs see a store without prompts, and nothing odd
        assert (xr.open_zarr(begun, consolidated=False).run.values == -1).all()


def test_a_survey_that_has_begun_opens_where_nothing_can_be_written(whole, begun):
    paths = [begun, *begun.rglob("*")]
    modes = {path: path.stat().st_mode for path in paths}
    before = {path: path.stat().st_mtime_ns for path in paths}
    for path in paths:
        path.chmod(modes[path] & ~0o222)
    try:
        assert tg.open_results(begun).sizes["prompt"] == store.count(begun) == 5 and examine(begun)[0].is_sound
        assert before == {
            path: path.stat().st_mtime_ns for path in [begun, *begun.rglob("*")]
        }  # the superuser may write
    finally:
        for path, mode in modes.items():
            path.chmod(mode)


def records(out):
    """The places of the prompts in the journal of a store, and how many parts of it are damaged."""
    with journal.Journal(open_group(out)) as found:
        return np.flatnonzero(found.runs >= 0).tolist(), found.damaged


def starts(data):
    """Where the records of a journal begin."""
    return [place for place in range(len(data)) if data.startswith(journal.MARK, place)]


@pytest.mark.parametrize("number, at", [(0, 0), (4, 0), (2, 9), (4, 17), (0, 20), (0, 30), (2, -6), (4, -1)])
def test_a_damaged_record_costs_its_prompt_alone(tiny, whole, begun, number, at):
    """A flipped bit anywhere, also where the prompt is named."""
    file = begun / "run" / "journal"
    data = bytearray(file.read_bytes())
    first, end = [*starts(data), len(data)][number : number + 2]
    data[first + at if at >= 0 else end + at] ^= 4
    file.write_bytes(data)
    assert records(begun) == ([place for place in range(5) if place != number], 1)
    assert "  damaged: run/journal\n" in lines(begun)
    assert f"text-{number}" not in tg.open_results(begun).prompt
    with pytest.warns(UserWarning, match="run/journal is damaged; what is lost with it is measured again") as said:
        tiny_survey.run(tiny, begun)
    assert len([warning for warning in said if "journal" in str(warning.message)]) == 1
    assert tiny_survey.files(begun) == tiny_survey.files(whole)


def test_damaged_records_are_left_out_once_their_prompts_are_measured_again(tiny, whole, begun):
    """Also where some prompt can never be measured, and the journal stays."""
    file = begun / "run" / "journal"
    data = bytearray(file.read_bytes())
    data[starts(data)[1] + 100] ^= 1
    data[starts(data)[3] + 2] ^= 1
    file.write_bytes(data)
    assert examine(begun)[0].faults == (("run/journal", (), "damaged"),) and records(begun) == ([0, 2, 4], 2)

    def interrupt(done, total, seconds):
        if done == 3:  # text-1 again
            raise KeyboardInterrupt

    with pytest.warns(UserWarning, match="run/journal is damaged"), pytest.raises(KeyboardInterrupt):
        tiny_survey.run(tiny, begun, progress=interrupt)
    (report,) = examine(begun)
    assert report.is_sound and records(begun) == ([0, 1, 2, 4], 0)
    assert report.missing == tuple(f"text-{i}" for i in (3, 5, 6, 7))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tiny_survey.run(tiny, begun)
    assert tiny_survey.files(begun) == tiny_survey.files(whole)


def test_records_of_another_store_are_damage(tiny, whole, begun, tmp_path):
    """Their numbers would be those of another request, or fill other variables."""
    other = shutil.copytree(begun, tmp_path / "other.zarr")
    for name, value in (("variables", list(tg.schema.OBSERVABLES)[1:]), ("model_fingerprint", "others")):
        set_attribute(other, name, value)
        assert records(other) == ([], 1) and tg.open_results(other).sizes["prompt"] == 0
        assert "damaged: run/journal" in lines(other)
    small = tmp_path / "small.zarr"

    def interrupt(done, total, seconds):
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tiny_survey.run(tiny, small, k_max=4, progress=interrupt)
    with open(begun / "run" / "journal", "ab") as file:
        file.write((small / "run" / "journal").read_bytes())
    assert records(begun) == ([0, 1, 2, 3, 4], 1)
    with pytest.warns(UserWarning, match="run/journal is damaged"):
        tiny_survey.run(tiny, begun)
    assert tiny_survey.files(begun) == tiny_survey.files(whole)


@pytest.mark.parametrize("stop", [1, 4, 5])  # none, one, or all of the prompts of a chunk of three
def test_a_repair_that_was_interrupted(tiny, whole, group, copy, stop):
    """The damaged chunk is still there, and nobody needs it."""
    number, _, measurements = chunk_of_text_3(group)
    flip(next((copy / "loss").glob(f"c.{number}.*")))

    def interrupt(done, total, seconds):
        if done == min(stop, measurements):
            raise KeyboardInterrupt

    with pytest.warns(UserWarning, match="is damaged"), pytest.raises(KeyboardInterrupt):
        tiny_survey.run(tiny, copy, progress=interrupt)
    (report,), results = examine(copy), tg.open_results(copy)
    assert report.is_sound and report.n_prompts - len(report.missing) == results.sizes["prompt"] == store.count(copy)
    expected = tg.open_results(whole).sel(prompt=results.prompt.values)
    assert results.identical(expected)
    tiny_survey.run(tiny, copy)
    assert tiny_survey.files(copy) == tiny_survey.files(whole)


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege")
def test_a_link_to_a_chunk_that_is_not_there_is_a_missing_chunk(copy):
    """As git-annex leaves files whose contents were not fetched; zarr would read NaN."""
    file = next((copy / "loss").glob("c.1.*"))
    file.unlink()
    file.symlink_to("not-fetched")
    assert f"missing: loss/{file.name}" in lines(copy)
    with pytest.raises(tg.InputError, match=rf"loss/{file.name} is missing"):
        tg.open_results(copy)


def test_a_survey_at_a_relative_path_ends_there_after_a_change_of_folder(tiny, whole, group, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "below").mkdir()
    results = tiny_survey.run(tiny, "survey.zarr", group, progress=lambda *step: os.chdir(tmp_path / "below"))
    assert results.identical(tg.open_results(whole))
    assert tiny_survey.files(tmp_path / "survey.zarr") == tiny_survey.files(whole)


def test_what_is_appended_while_the_journal_is_read_is_left_out(begun, monkeypatch):
    """A record that comes between two looks is no damage."""
    file = begun / "run" / "journal"
    data = file.read_bytes()
    head = journal.Journal._head

    def head_and_append(self, start):
        found = head(self, start)
        if start >= len(data) and file.stat().st_size < 2 * len(data):
            with open(file, "ab") as out:
                out.write(data)
        return found

    monkeypatch.setattr(journal.Journal, "_head", head_and_append)
    assert records(begun) == ([0, 1, 2, 3, 4], 0) and file.stat().st_size == 2 * len(data)


def test_a_journal_that_is_lost_while_it_is_read_is_one_line(begun):
    group = open_group(begun)
    with journal.Journal(group) as found:
        os.truncate(begun / "run" / "journal", 100)
        with pytest.raises(tg.InputError, match="run/journal cannot be read any more: run  tokengeom doctor"):
            found.fill(4, [])


def test_a_record_that_is_cut_off_was_never_written(tiny, whole, begun):
    file = begun / "run" / "journal"
    data = file.read_bytes()
    first, last = starts(data)[0], starts(data)[-1]
    for end in range(last, len(data), 1 if len(data) - last < 100 else 7):
        file.write_bytes(data[:end])
        assert records(begun) == ([0, 1, 2, 3], 0)
        file.write_bytes(data[:end] + data[first : starts(data)[1]])  # the next writer goes on behind it
        assert records(begun) == ([0, 1, 2, 3], 0)
        for again in (last + 15, last + 40):  # which is stopped as well, as where a disk stays full
            file.write_bytes(data[:end] + data[last:again] + data[first : starts(data)[1]])
            assert records(begun) == ([0, 1, 2, 3], 0), (end - last, again - last)
    file.write_bytes(data[:last] + bytes(5000))  # a power cut may leave zeros
    assert records(begun) == ([0, 1, 2, 3], 0) and examine(begun)[0].is_sound and store.count(begun) == 4
    tiny_survey.run(tiny, begun)
    assert tiny_survey.files(begun) == tiny_survey.files(whole)


def test_a_record_is_found_wherever_a_block_of_the_search_ends(tiny, begun, monkeypatch):
    file = begun / "run" / "journal"
    data = bytearray(file.read_bytes())
    data[starts(data)[1]] ^= 1
    file.write_bytes(data)
    for block in (*range(9, 40), starts(data)[2] - starts(data)[0] - 3):
        monkeypatch.setattr(journal, "BLOCK", block)
        assert records(begun) == ([0, 2, 3, 4], 1)


def test_a_journal_that_cannot_be_read_here_and_there_costs_what_lies_there(tiny, whole, begun, monkeypatch):
    """A bad sector is damage: it keeps nobody from the rest."""
    second = starts((begun / "run" / "journal").read_bytes())[1]

    class Disk(io.FileIO):
        def read(self, size=-1):
            start, data = self.tell(), super().read(size)
            if start <= second + 60 < start + len(data):
                raise OSError(errno.EIO, "Input/output error")
            return data

    monkeypatch.setattr(journal, "BLOCK", 64)
    with monkeypatch.context() as patch:
        patch.setattr(journal, "open", Disk, raising=False)
        assert records(begun) == ([0, 2, 3, 4], 1) and "damaged: run/journal" in lines(begun)
        assert tg.open_results(begun).prompt.values.tolist() == [f"text-{i}" for i in (0, 2, 3, 4)]
    monkeypatch.setattr(journal, "open", lambda *_: os.stat(os.devnull + "/x"), raising=False)
    with pytest.raises(tg.InputError, match="run/journal cannot be read: Not a directory"):
        tg.open_results(begun)


def test_a_lost_journal_costs_its_prompts(tiny, whole, begun):
    (begun / "run" / "journal").unlink()
    assert store.count(begun) == 0 and examine(begun)[0].is_sound
    tiny_survey.run(tiny, begun)
    assert tiny_survey.files(begun) == tiny_survey.files(whole)


@pytest.mark.parametrize("stop", [1, 20, 30])
def test_a_survey_that_is_stopped_while_its_prompts_are_moved_into_chunks(tiny, whole, begun, monkeypatch, stop):
    """At any chunk, and before the journal is removed; a reader sees all prompts throughout."""
    results, done, write_chunk = tg.open_results(whole), [], store.write_chunk

    def fail(*arguments):
        if len(done) == stop:
            raise KeyboardInterrupt
        done.append(arguments)
        write_chunk(*arguments)
        if len(done) % 13 == 0:
            assert tg.open_results(begun).identical(results.assign_attrs(runs=tg.open_results(begun).runs))

    for target, replacement in (("write_chunk", fail), ("remove", lambda file: os.kill(os.getpid(), signal.SIGINT))):
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(store, target, replacement)
            tiny_survey.run(tiny, begun)
        assert (begun / "run" / "journal").exists() and store.count(begun) == 8 and examine(begun)[0].is_sound
        assert tg.open_results(begun).identical(results)
    tiny_survey.run(tiny, begun)
    assert tiny_survey.files(begun) == tiny_survey.files(whole)


@pytest.mark.parametrize("name", ["loss", "run"])
def test_a_chunk_that_is_damaged_while_the_journal_has_its_prompts_costs_nothing(tiny, whole, begun, monkeypatch, name):
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(store, "remove", lambda file: os.kill(os.getpid(), signal.SIGINT))
        tiny_survey.run(tiny, begun)
    flip(next((begun / name).glob("c.1*")))
    tiny_survey.run(tiny, begun, progress=lambda *step: pytest.fail("nothing is left to measure"))
    assert tiny_survey.files(begun) == tiny_survey.files(whole)


def test_a_record_that_is_damaged_before_it_is_moved(tiny, begun, whole, monkeypatch):
    append = journal.append

    def harm(path, place, *arguments):
        append(path, place, *arguments)
        if place == 6:
            flip(path / "run" / "journal")

    with monkeypatch.context() as patch, pytest.raises(PartialSurvey, match="1 of 8 prompts .*rerun"):
        patch.setattr(store, "append", harm)
        tiny_survey.run(tiny, begun)
    with pytest.warns(UserWarning, match="run/journal is damaged"):
        tiny_survey.run(tiny, begun)
    assert tiny_survey.files(begun) == tiny_survey.files(whole)


@pytest.mark.parametrize("harm, what", [(flip, "damaged"), (Path.unlink, "missing")])
def test_damaged_coordinates_are_written_again(tiny, whole, copy, harm, what):
    for name in COORDINATES:
        harm(copy / name / "c" / "0")
    with pytest.raises(tg.InputError, match="damaged"):  # rather than prompts without names
        tg.open_results(copy)
    assert all(f"{what}: {name}/c/0" in lines(copy) for name in COORDINATES)
    with pytest.warns(UserWarning, match="sha256/c/0 is .* written again"):
        tiny_survey.run(tiny, copy)
    assert tiny_survey.files(copy) == tiny_survey.files(whole)


@pytest.mark.parametrize("name", ["", "run", "loss", "prompt"])
def test_damaged_metadata_are_reported(tiny, copy, name):
    file = copy / name / "zarr.json"
    for text in (file.read_text()[:-20], None):
        file.unlink() if text is None else file.write_text(text)
        if not name and text is None:
            continue  # then it is not a store
        for use in (examine, lambda path: tiny_survey.run(tiny, path), tg.open_results):
            with pytest.raises(tg.InputError, match="the metadata of .* are damaged"):
                use(copy)


def test_a_mark_of_a_run_that_is_not_listed(tiny, whole, copy):
    """A power cut can leave it, if the first prompt of a run reached the disk and the list of runs did not."""
    open_group(copy, "r+")["run"][2] = 1
    assert "prompt text-2 was measured by run 1, but the number of runs is 1" in lines(copy)
    assert "text-2" not in tg.open_results(copy).prompt
    tiny_survey.run(tiny, copy)
    assert tiny_survey.files(copy) == tiny_survey.files(whole)


def test_the_order_in_which_things_reach_the_disk(tiny, group, tmp_path, monkeypatch):
    """In place of a power cut: files are synced before the names and marks that refer to them."""
    if not Path("/proc/self/fd").exists():
        pytest.skip("only Linux reports the file of a descriptor")
    out, events, fsync, replace, unlink = tmp_path / "new" / "survey.zarr", [], os.fsync, os.replace, Path.unlink

    def record_fsync(descriptor):
        fsync(descriptor)
        events.append(("sync", Path(os.readlink(f"/proc/self/fd/{descriptor}"))))

    def record_replace(source, target):
        is_laid_out = ".making-" not in str(target)  # before that nobody reads it
        for path in [Path(source), *Path(source).rglob("*")] if is_laid_out else []:  # renamed once it is on the disk
            assert ("sync", path) in events, path
        replace(source, target)
        if is_laid_out:
            events.append(("replace", Path(target)))

    def record_unlink(path, missing_ok=False):
        unlink(path, missing_ok=missing_ok)
        events.append(("unlink", path))

    monkeypatch.setattr(os, "fsync", record_fsync)
    monkeypatch.setattr(os, "replace", record_replace)
    monkeypatch.setattr(Path, "unlink", record_unlink)
    tiny_survey.run(tiny, out, group)
    assert ("sync", tmp_path) in events  # which holds the name of the new folder
    for place, (what, path) in enumerate(events):
        if what == "replace":  # and then the name is synced as well
            assert ("sync", path.parent) in events[place:], path
    names = list(tg.schema.OBSERVABLES)
    for number in range(-(-tiny_survey.PROMPTS // group)):
        mark = events.index(("replace", out / "run" / f"c.{number}"))
        for folder in [out / name for name in names]:
            file = next(folder.glob(f"c.{number}.*"))
            last = max(k for k, event in enumerate(events[:mark]) if event == ("replace", file))
            assert ("sync", folder) in events[last:mark], file
    journaled = out / "run" / "journal"
    records = [k for k, event in enumerate(events) if event == ("sync", journaled)]
    assert len(records) == tiny_survey.PROMPTS  # one sync for each, and one for the name of the file
    assert events[records[0] + 1] == ("sync", journaled.parent)
    listed = events.index(("replace", out / "zarr.json"))  # zarr.json, which lists the run
    assert ("sync", out) in events[listed : records[0]]
    removed = events.index(("unlink", journaled))
    assert removed > max(k for k, (what, _) in enumerate(events) if what == "replace")
    assert ("sync", journaled.parent) in events[removed:]


def test_open_results_refuses_damaged_and_missing_values(copy):
    file = next((copy / "loss").glob("c.1.*"))
    flip(file)
    with pytest.raises(tg.InputError, match="damaged.*tokengeom doctor"):
        tg.open_results(copy)
    file.unlink()  # zarr would read NaN
    with pytest.raises(tg.InputError, match=rf"loss/{file.name} is missing.*tokengeom doctor"):
        tg.open_results(copy)


def test_the_doctor_finds_impossible_values(copy):
    group = open_group(copy, "r+")
    group["cosine_similarity"][2, 1, 0] = 1.5
    with zarr.config.set({"array.write_empty_chunks": True}):
        group["loss"][0] = np.nan
    text = lines(copy)
    assert "cosine_similarity of prompt text-2 at degree 1 is outside -1 to 1" in text
    assert "loss of prompt text-0 at degree 0 is missing" in text and "text-5" not in text


def test_two_processes_on_one_store(tiny, whole, copy, tmp_path):
    (tmp_path / "link.zarr").symlink_to(copy)
    request = json.loads(open_group(copy).attrs["request"])
    hold = (
        "import json, sys, tiny_survey; from tokengeom_utils.surveys import store\n"
        "with store.Store(sys.argv[1], json.loads(sys.argv[2]), tiny_survey.prompts()):\n"
        "    print('held', flush=True); input()"
    )
    command = [sys.executable, "-c", hold, str(copy), json.dumps(request)]
    with subprocess.Popen(
        command,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": f"{PROJECT}{os.pathsep}{HERE}"},
    ) as other:
        assert other.stdout.readline() == "held\n"
        for path in (copy, tmp_path / "link.zarr"):
            with pytest.raises(tg.InputError, match="another run is writing"):
                tiny_survey.run(tiny, path)
        other.communicate("\n")
    assert other.returncode == 0
    tiny_survey.run(tiny, tmp_path / "link.zarr")
    assert tiny_survey.files(copy) == tiny_survey.files(whole)


def test_a_store_that_cannot_be_opened_is_not_left_locked(tiny, copy):
    file = copy / "loss" / "zarr.json"
    kept = file.read_text()
    file.unlink()
    with pytest.raises(tg.InputError, match="loss/zarr.json is missing") as error:
        tiny_survey.run(tiny, copy)
    file.write_text(kept)
    (copy / "prompt" / "c" / "0.partial").touch()  # of a writer that was killed
    tiny_survey.run(tiny, copy)
    assert not list(copy.rglob("*.partial")) and error  # whose traceback held on to the lock's frames


def test_the_current_folder_is_refused_as_a_store(tiny, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(tg.InputError, match="is the current folder or contains it"):
        tiny_survey.run(tiny, ".")
    assert not list(tmp_path.iterdir())
    (tmp_path / "file").touch()
    with pytest.raises(tg.InputError, match="file.survey.zarr cannot be written"):
        tiny_survey.run(tiny, "file/survey.zarr")
    with pytest.raises(tg.InputError, match="file.survey.nc cannot be written"):
        tg.export(tg.open_results("untrained"), "file/survey.nc")


def test_a_store_of_other_prompts_or_of_another_model_is_refused(tiny, copy):
    others = tiny_survey.prompts()
    others[3] = tg.Prompt("text-3", "letters", others[3].text[::-1])
    with pytest.raises(tg.InputError, match=r"its prompts are others \(number 4 is text-3"):
        tg.survey(tiny_survey.named(tiny), others, tiny_survey.DEGREES, copy, **tiny_survey.REQUEST)
    twin = tiny.__class__(tiny.name, tiny.network, tiny.tokenizer, "other weights")
    with pytest.raises(tg.InputError, match="made with model_fingerprint sha256.*not other weights"):
        tiny_survey.run(twin, copy)


def test_a_complete_store_of_other_weights_under_the_same_name_is_refused(tiny, copy, tmp_path):
    """A model given by its name is not loaded for this."""
    folder = shutil.copytree(tiny.name, tmp_path / "model")
    assert tiny_survey.run(folder, copy).sizes["prompt"] == tiny_survey.PROMPTS
    weights = folder / "model.safetensors"
    flip(weights)
    with pytest.raises(tg.InputError, match="made with model_fingerprint sha256"):
        tiny_survey.run(folder, copy)
    with pytest.raises(tg.InputError, match="made with dtype torch.float32, not torch.bfloat16"):
        tiny_survey.run(tiny_survey.named(tiny.name, dtype="bfloat16"), copy)


def test_an_interrupted_survey_of_several_prompts_a_pass_ends_the_same_bit_for_bit(tiny, group, tmp_path, request):
    """16 measurements in passes of three: every pass has three, and another size is refused."""
    whole, out, sizes = tmp_path / "whole.zarr", tmp_path / "survey.zarr", set()
    embeddings = tiny.network.get_input_embeddings()
    hook = embeddings.register_forward_hook(lambda module, ids, vectors: sizes.add(len(vectors)))
    request.addfinalizer(hook.remove)
    tiny_survey.run(tiny, whole, group, batch=3)

    def interrupt(done, total, seconds):
        if done > 9:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tiny_survey.run(tiny, out, group, batch=3, progress=interrupt)
    assert 0 < store.count(out) < tiny_survey.PROMPTS
    with pytest.raises(tg.InputError, match="made with batch 3, not 2"):
        tiny_survey.run(tiny, out, batch=2)
    tiny_survey.run(tiny, out)  # takes the batch of the store
    assert tiny_survey.files(out) == tiny_survey.files(whole)
    flip(next((out / "loss").glob("c.1.*")))  # measured in another place of a pass
    with pytest.warns(UserWarning, match="text-[15] is measured again"):
        tiny_survey.run(tiny, out)
    assert tiny_survey.files(out) == tiny_survey.files(whole)
    assert sizes - {2} == {3}  # a new model is examined with two prompts


def test_a_packed_store_is_a_store_of_the_prompts_it_holds(tiny, begun, tmp_path):
    out = tmp_path / "packed.zarr"
    results = tg.open_results(begun)
    tg.export(results, out)
    (report,) = examine(out)
    assert report.is_sound and not report.missing and report.n_prompts == results.sizes["prompt"] < tiny_survey.PROMPTS
    xr.testing.assert_identical(tg.open_results(out).drop_attrs(), results.drop_attrs())
    with pytest.raises(tg.InputError, match="another survey: its prompts are 5, not the 8"):
        tiny_survey.run(tiny, out)
    held, before = tiny_survey.prompts()[: report.n_prompts], tiny_survey.files(out)

    def again():
        tg.survey(tiny_survey.named(tiny), held, tiny_survey.DEGREES, out, **{**tiny_survey.REQUEST, "n_shuffled": 4})

    again()  # nothing to measure
    assert tiny_survey.files(out) == before
    flip(out / "loss" / "c.0.0")
    assert "damaged: loss/c.0.0 of prompt text-0" in lines(out) and "starts anew once the store is deleted" in lines(
        out
    )
    with pytest.warns(UserWarning, match="text-3.* is measured again"):
        again()
    assert tiny_survey.files(out).keys() == before.keys()
    xr.testing.assert_identical(tg.open_results(out).drop_attrs(), results.drop_attrs())


def test_a_packed_store_of_a_part_that_claims_the_whole(tiny, whole, tmp_path):
    """Made by an earlier version: the request lists all prompts, the arrays hold some."""
    results = tg.open_results(whole)
    tg.export(results.isel(prompt=slice(3)), tmp_path / "packed.zarr")
    set_attribute(tmp_path / "packed.zarr", "request", results.attrs["request"])
    assert "shape (3,), not (8,)" in lines(tmp_path / "packed.zarr")
    assert not examine(tmp_path / "packed.zarr")[0].is_sound
    with pytest.raises(tg.InputError, match=r"metadata of .* are damaged: prompt has shape \(3,\), not \(8,\)"):
        tiny_survey.run(tiny, tmp_path / "packed.zarr")


def test_a_group_of_several_models_records_which_are_missing(tiny, whole, tmp_path):
    group = tmp_path / "group.zarr"
    create_group(group, ["lab/one", "lab/two"])
    shutil.copytree(whole, group / "one")
    (group / ".two.making-1").mkdir()
    (group / ".two.making-1" / "zarr.json").write_text("{")
    one, two = examine(group)
    assert one.is_sound and not one.missing and two.missing and "lab/two, of which nothing" in "".join(two.lines())
    with pytest.raises(tg.InputError, match="one of .*group.zarr/one$"):
        tg.open_results(group)
    create_group(group, ["lab/two", "lab/three"])
    assert open_group(group).attrs["models"] == ["lab/one", "lab/two", "lab/three"]
    with pytest.raises(tg.InputError, match="the survey of one model, but several are requested"):
        create_group(whole, ["lab/one", "lab/two"])


def test_a_prompt_that_cannot_be_measured_does_not_stop_the_others(tiny, tmp_path):
    import torch

    embeddings = tiny.network.get_input_embeddings().weight
    letter, kept = tiny.tokenizer.convert_tokens_to_ids(";"), None
    prompts = tiny_survey.prompts()
    prompts[2] = tg.Prompt("text-2", "letters", ";" + prompts[2].text)  # the only one with this letter
    with torch.no_grad():
        kept = embeddings[letter].clone()
        embeddings[letter] = torch.nan
    try:
        for batch in (1, 3):
            out = tmp_path / f"{batch}.zarr"
            with pytest.raises(PartialSurvey, match="1 of 8 prompts could not be measured.*text-2: layer 0"):
                tg.survey(tiny, prompts, (0,), out, batch=batch, **tiny_survey.REQUEST)
            assert examine(out)[0].missing == ("text-2",)
    finally:
        with torch.no_grad():
            embeddings[letter] = kept


def test_provenance_of_every_run(tiny, tmp_path):
    out = tmp_path / "survey.zarr"

    def interrupt(done, total, seconds):
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tiny_survey.run(tiny, out, progress=interrupt)
    named = tiny_survey.named(tiny)
    request = json.loads(open_group(out).attrs["request"])
    results = complete(Plan(named, tiny_survey.prompts(), request, profile="another"), out)
    runs = json.loads(results.attrs["runs"])
    assert [run["profile"] for run in runs] == ["", "another"] and results.run.values.tolist() == [0] + 7 * [1]
    assert {"torch", "numpy", "numba", "transformers"} <= set(runs[0]["versions"])
    assert runs[0]["model_fingerprint"] == tiny.fingerprint and runs[0]["dtype"] == "torch.float32"
    for name, variable in results.variables.items():
        assert variable.attrs["long_name"], name
        assert "units" in variable.attrs or name in ("prompt", "domain", "sha256"), name


def test_exports_hold_the_same_numbers(whole, tmp_path):
    import pandas

    results = tg.open_results(whole)
    tg.export(results, tmp_path / "survey.zarr")
    xr.testing.assert_identical(tg.open_results(tmp_path / "survey.zarr"), results)
    assert len(list((tmp_path / "survey.zarr").rglob("*"))) < 100 and examine(tmp_path / "survey.zarr")[0].is_sound
    made = tg.results.provenance(tg.open_results(tmp_path / "survey.zarr"))
    assert made["model"] == "tiny" and "weights" not in made

    tg.export(results, tmp_path / "survey.nc")
    with xr.open_dataset(tmp_path / "survey.nc", engine="h5netcdf") as read:
        for name in results.data_vars:
            np.testing.assert_array_equal(read[name], results[name])
            assert read[name].attrs["units"] == results[name].attrs["units"]
        assert read.prompt.values.tolist() == results.prompt.values.tolist() and read.attrs["Conventions"] == "CF-1.11"

    tg.export(results, tmp_path / "survey.parquet")
    table = pandas.read_parquet(tmp_path / "survey.parquet")
    row = table.query("variable == 'intrinsic_dimension' and prompt == 'text-1' and shuffle == 2 and layer == 1")
    np.testing.assert_array_equal(
        row.set_index("scale").value, results.intrinsic_dimension.sel(prompt="text-1", shuffle=2, layer=1)
    )
    assert len(table.query("variable == 'loss'")) == 16
    tg.export(results, tmp_path / "survey.CSV")
    as_text = pandas.read_csv(tmp_path / "survey.CSV", dtype=dict.fromkeys(("layer", "scale", "k"), "Int32"))
    pandas.testing.assert_frame_equal(as_text, table, check_dtype=False, check_categorical=False)
    with pytest.raises(tg.InputError, match="must end in"):
        tg.export(results, tmp_path / "survey.xls")


def test_the_bundled_surveys_name_the_weights_and_their_rounding():
    made = tg.results.provenance(tg.open_results("standard"))
    assert (made["model"], made["dtype"]) == ("smollm2-135m", "torch.float32")
    assert made["weights"] in FILE and made["weights_rounded_to"].split("(")[1].rstrip(")") in FILE
    assert "weights" not in tg.results.provenance(tg.open_results("untrained"))  # its weights are random
