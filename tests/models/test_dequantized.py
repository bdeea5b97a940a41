"""GGUF weights: dequantized once into the cache, whatever happens there; split files; endings in capitals."""

import errno
import json
import os
import shutil
import threading
from types import SimpleNamespace

import gguf
import pytest
import torch
import transformers as hf
from filelock import FileLock
from tiny_gguf import write_gguf

import tokengeom_utils as tg
from tokengeom_utils.models import dequantized
from tokengeom_utils.models.load import load_tokenizer
from tokengeom_utils.models.locate import known_fingerprint


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TOKENGEOM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "models"


@pytest.fixture
def file(tmp_path, cache):
    write_gguf(tmp_path / "tiny.gguf")
    return tmp_path / "tiny.gguf"


def load(path, **options):
    """The model, and what was said."""
    said = []
    return tg.load_model(path, device="cpu", say=said.append, **options), said


def visible(cache):
    return [path.name for path in cache.glob("*") if not path.name.startswith(".")] if cache.is_dir() else []


def leftovers(cache):
    return list(cache.glob("*.making-*")) if cache.is_dir() else []


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_copy_has_the_weights_to_the_last_bit_and_is_made_once(file, cache, dtype, monkeypatch):
    direct = hf.AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, dtype=getattr(torch, dtype))
    tokenizer = hf.AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
    first, said = load(file, dtype=dtype)
    assert len(said) == 1 and "dequantizing tiny.gguf, once; the weights are kept in" in said[0]

    def refuse(*arguments, **options):
        raise AssertionError("the GGUF file is read again")

    monkeypatch.setattr(gguf, "GGUFReader", refuse)
    again, said = load(file, dtype=dtype)
    assert not said and first.fingerprint == again.fingerprint == known_fingerprint(file)
    for model in (first, again):
        torch.testing.assert_close(model.network.state_dict(), direct.state_dict(), rtol=0, atol=0)
        assert model.tokenizer.encode("the cat there") == tokenizer.encode("the cat there")
    assert load_tokenizer(file).lengths(["the cat there"]) == [len(tokenizer.encode("the cat there"))]
    assert tg.load_model(f"untrained:{file}").n_layers == 2
    assert len(visible(cache)) == 1 and not leftovers(cache)


def test_fetching_makes_the_copy(file, cache):
    said = []
    folder = tg.fetch_model(file, said.append)
    assert folder.parent == cache and len(said) == 1 and not load(file)[1]


def test_a_changed_file_and_other_versions_get_a_copy_of_their_own(file, cache, monkeypatch):
    before = dequantized.copy_of([file])
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    changed = dequantized.copy_of([file])
    monkeypatch.setattr(dequantized.metadata, "version", lambda name: "99")
    assert len({before, changed, dequantized.copy_of([file])}) == 3


def test_a_damaged_copy_is_replaced(file, cache):
    (folder := dequantized.copy_of([file])).mkdir(parents=True)  # without a record: a disk that lost its files
    model, said = load(file)
    assert "is damaged; replacing it" in said[0]
    weights = folder / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.unlink()  # the loaded model still reads the old file
    weights.write_bytes(content)
    again, said = load(file)
    assert "is damaged; replacing it" in said[0]
    torch.testing.assert_close(again.network.state_dict(), model.network.state_dict(), rtol=0, atol=0)


def test_a_second_process_waits_for_the_first(file, cache, tmp_path):
    load(file)
    folder = dequantized.copy_of([file])
    shutil.move(folder, tmp_path / "made")
    held, waited, said = threading.Event(), threading.Event(), []

    def first():
        with FileLock(folder.with_name(f".{folder.name}.lock")):
            held.set()
            assert waited.wait(30)
            shutil.move(tmp_path / "made", folder)

    other = threading.Thread(target=first)  # to the file system like another process
    other.start()
    assert held.wait(30)

    def say(text):
        said.append(text)
        waited.set()

    assert dequantized.dequantize([file], say) == folder
    other.join()
    assert len(said) == 1 and "waiting for another process" in said[0]


def test_what_a_killed_process_left_is_removed(file, cache):
    (cache / f".{dequantized.copy_of([file]).name}.making-x").mkdir(parents=True)
    load(file)
    assert not leftovers(cache)


def full(*arguments, **options):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("trouble", ["space", "disk", "file", "difference", "safetensors"])
def test_without_a_copy_the_model_loads_all_the_same(file, cache, trouble, monkeypatch):
    reason = {"difference": "reads them back differently", "space": "GB are free", "file": "is a file"}
    if trouble == "space":
        monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
    elif trouble == "disk":
        monkeypatch.setattr(hf.PreTrainedModel, "save_pretrained", full)
    elif trouble == "safetensors":

        def fail(*arguments, **options):
            raise RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)")

        monkeypatch.setattr(hf.PreTrainedModel, "save_pretrained", fail)
    elif trouble == "file":
        cache.parent.write_text("")
    else:
        kept = dequantized._identity
        calls = []
        monkeypatch.setattr(dequantized, "_identity", lambda *a: calls.append(a) or {**kept(*a), "x": len(calls)})
    with pytest.warns(UserWarning, match=reason.get(trouble, "No space left")) as caught:
        model, _ = load(file)
    (warning,) = [str(w.message) for w in caught if "every process dequantizes them again" in str(w.message)]
    assert "set TOKENGEOM_CACHE" in warning and "\n" not in warning
    assert model.n_features == 32 and not visible(cache) and not leftovers(cache)


@pytest.fixture
def split(tmp_path, cache):
    (tmp_path / "big").mkdir()
    files = [tmp_path / "big" / f"tiny-{i:05d}-of-00003.gguf" for i in (1, 2, 3)]
    write_gguf(*files)
    return files


def test_the_parts_of_a_split_model_are_one_model(file, split, cache):
    whole, _ = load(file)
    for name in (split[0].parent, *split):
        model, _ = load(name)
        torch.testing.assert_close(model.network.state_dict(), whole.network.state_dict(), rtol=0, atol=0)
        assert model.tokenizer.encode("the cat") == whole.tokenizer.encode("the cat")
    assert len(visible(cache)) == 2 and not leftovers(cache)
    record = json.loads((dequantized.copy_of(split) / dequantized.RECORD).read_text())
    assert list(record["gguf"]) == [part.name for part in split]


def test_a_missing_part_is_named(split):
    split[1].unlink()
    with pytest.raises(tg.InputError, match="3 parts of a model, and tiny-00002-of-00003.gguf is missing: put all"):
        tg.load_model(split[0])
    with pytest.raises(tg.InputError, match="only some of the 3 parts of its GGUF model: get tiny-00002-of-00003.gguf"):
        tg.load_model(split[0].parent)


def test_a_renamed_part_is_not_taken_for_a_model(split):
    part = split[0].rename(split[0].with_name("one.gguf"))
    why = "weights of one.gguf do not fit its architecture: .* are missing .*; the parts of a split model must keep"
    with pytest.raises(tg.InputError, match=why):
        load(part)


def test_a_split_model_needs_the_cache(split, cache):
    cache.parent.write_text("")
    with (
        pytest.warns(UserWarning, match="is a file"),
        pytest.raises(tg.InputError, match="joined in the cache, which cannot be written: set TOKENGEOM_CACHE"),
    ):
        load(split[0])


def test_endings_in_capitals_and_projectors(file, cache):
    folder = file.parent / "capitals"
    folder.mkdir()
    shutil.copy(file, folder / "TINY.GGUF")
    shutil.copy(file, folder / "mmproj-tiny.gguf")  # of images; not the language model
    assert load(folder)[0].n_features == load(folder / "TINY.GGUF")[0].n_features == 32
