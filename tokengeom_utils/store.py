"""The store of a survey: a Zarr group that is written prompt by prompt and loses none.

Every array has one chunk for each prompt, and every chunk ends with its CRC-32C. A prompt is written in three steps:
its chunks, each put in place whole; their way to the disk (fsync); and last the array ``run``, which says by which run
the prompt was measured, and -1 where it has not been. Whatever stops the writer, a prompt is there or it is not.

Only one process writes a store; a lock beside it says so to the others.
"""

import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path

import google_crc32c
import numpy as np
from numcodecs import Zstd

from .errors import InputError
from .results import SCHEMA, VARIABLES

LEVEL = 9  #: of the compression
#: file of a chunk inside its array's folder: "c.PROMPT.0.0"
_CHUNK_KEYS = {"name": "default", "separator": "."}
_COORDINATES = {
    "shuffle": {"long_name": "shuffle degree", "units": "1"},
    "layer": {"long_name": "layer; 0 the embeddings, the last after the final norm", "units": "1"},
    "scale": {"long_name": "range scaling n2 = 2 n1", "units": "1"},
    "k": {"long_name": "number of neighbors of the overlap", "units": "1"},
}


class Store:
    """A survey on disk, open for writing by this process alone.

    Parameters
    ----------
    path : path
        Made at the first :meth:`write` if it is not there.
    request : dict
        What was asked for: JSON values by name. A store that was made for another request is refused.
    prompts : list of Prompt
        In the order of the store.

    Raises
    ------
    InputError
        If ``path`` holds something else, or another process writes to it.
    """

    def __init__(self, path, request, prompts):
        self.path, self.request, self.prompts = Path(path), request, prompts
        self._exit = ExitStack()
        check(self.path, request)
        self._lock()
        self._group = self._arrays = None
        if exists(self.path):
            self._open()
        self._threads = self._exit.enter_context(ThreadPoolExecutor(8))

    def _open(self):
        self._group = open_group(self.path, "r+")
        self._arrays = dict(self._group.arrays())

    def _lock(self):
        from filelock import FileLock, Timeout

        made = [folder for folder in self.path.parents if not folder.exists()]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.path.with_name(f".{self.path.name}.lock"))
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise InputError(f"another run is writing to {self.path}: wait until it has ended, or stop it") from None
        self._exit.callback(self._unlock, lock, made)
        leftovers = [*self.path.parent.glob(f".{self.path.name}.making-*"), *self.path.glob("*/*.partial")]
        for leftover in leftovers:  # of a writer that was killed
            shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()

    def _unlock(self, lock, made):
        if not exists(self.path):  # nothing was written: leave nothing behind
            Path(lock.lock_file).unlink(missing_ok=True)
            for folder in made:
                with suppress(OSError):
                    folder.rmdir()
        lock.release()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._exit.close()

    def done(self):
        """Which prompts are there, as an array of bool, shape (prompt,)."""
        return measured(self._group) if self._group is not None else np.zeros(len(self.prompts), bool)

    def forget(self, prompts):
        """Mark prompts as not measured."""
        for i in prompts:
            self._group["run"][i] = -1

    def write(self, i, row, provenance):
        """Put one prompt into the store; when this returns, it is on the disk.

        Parameters
        ----------
        i : int
            Place of the prompt.
        row : xarray.Dataset
            Its measurements, with dimensions shuffle, layer, scale and k.
        provenance : dict
            How they were made; ``model_fingerprint`` and ``dtype`` must be those of the whole store.
        """
        if self._group is None:
            _create(self.path, row, self.request, self.prompts, provenance)
            self._open()
        for name in ("model_fingerprint", "dtype"):
            if self._group.attrs[name] != provenance[name]:
                raise InputError(f"{self.path} was made with {name} {self._group.attrs[name]}, not {provenance[name]}")
        run = self._run(provenance)
        # In threads: the disk brings many home at once.
        list(self._threads.map(lambda name: self._put(name, i, row[name].values), VARIABLES))
        self._put("run", i, run)

    def _put(self, name, i, values):
        array = self._arrays[name]
        _put(self.path / name / _chunk(i, array), np.asarray(values, array.dtype))

    def _run(self, provenance):
        """Number of the run with this provenance, entered in the store if it is new."""
        runs = json.loads(self._group.attrs["runs"])
        if provenance not in runs:
            runs.append(provenance)
            self._group.attrs["runs"] = json.dumps(runs)
        return runs.index(provenance)


def exists(path):
    """Whether there is a Zarr group at ``path``."""
    return (Path(path) / "zarr.json").is_file()


def create_group(path):
    """A Zarr group that holds the surveys of several models, unless it is there."""
    import zarr

    path = Path(path)
    if not exists(path):
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise InputError(f"{path} exists and is not a survey store")
        path.parent.mkdir(parents=True, exist_ok=True)
        zarr.create_group(path, attributes={"title": "Token geometry surveys, one group for each model"})


def check(path, request):
    """Raise ``InputError`` if ``path`` holds anything but a survey made for this request."""
    path = Path(path)
    if not exists(path):
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise InputError(f"{path} exists and is not a survey store")
        return
    group = open_group(path)
    if "request" not in group.attrs:
        raise InputError(f"{path} exists and is not a survey store")
    made = json.loads(group.attrs["request"])
    for name, wanted in request.items():
        if (found := made.get(name)) != wanted:
            found, wanted = _difference(found, wanted)
            raise InputError(
                f"{path} holds another survey: its {name} is {found}, not {wanted}; delete it or choose another --out"
            )


def _difference(found, wanted):
    """Two values in words; of long lists, where they begin to differ."""
    if not isinstance(wanted, list) or not isinstance(found, list) or len(str(wanted)) < 80:
        return found, wanted
    if len(found) != len(wanted):
        return f"a list of {len(found)}", f"the {len(wanted)} asked for"
    place, (a, b) = next((i, pair) for i, pair in enumerate(zip(found, wanted)) if pair[0] != pair[1])
    return f"another list (number {place} is {a[0]} with hash {a[1][:8]})", f"the one asked for ({b[0]}, {b[1][:8]})"


def measured(group):
    """Which prompts are complete. A damaged mark counts as none."""
    done = np.zeros(group["run"].shape, bool)
    for chunk, prompts in _chunks(group["run"]):
        if fault(Path(group.store.root, group.path, "run", chunk)) is None:
            done[prompts] = group["run"][prompts] >= 0
    return done


def faults(path):
    """Every missing or damaged chunk of the measured prompts.

    Parameters
    ----------
    path : path

    Returns
    -------
    list of (str, slice or None, str)
        The chunk's file below ``path``, the prompts it belongs to (None: all of them), and what is wrong with it.
    """
    path = Path(path)
    group = open_group(path)
    done = measured(group)
    found = []
    for name, array in sorted(group.arrays()):
        for chunk, prompts in _chunks(array):
            if name not in (*VARIABLES, "run"):
                prompts = None
            elif not done[prompts].any() and not (name == "run" and (path / name / chunk).exists()):
                continue
            if what := fault(path / name / chunk):
                found.append((f"{name}/{chunk}", prompts, what))
    return found


def fault(file):
    """What is wrong with the file of a chunk: None, ``"missing"`` or ``"damaged"`` (its checksum differs)."""
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        return "missing"
    except OSError as error:
        return f"unreadable ({error.strerror})"
    is_whole = len(data) > 4 and google_crc32c.value(data[:-4]) == int.from_bytes(data[-4:], "little")
    return None if is_whole else "damaged"


def open_group(path, mode="r"):
    """The Zarr group at ``path``."""
    import zarr

    try:
        return zarr.open_group(path, mode=mode, use_consolidated=False)
    except (ValueError, KeyError, json.JSONDecodeError) as error:
        raise InputError(f"the metadata of {path} are damaged: {str(error).splitlines()[0]}") from None


def _chunks(array):
    """(file name, prompts) of every chunk, along the first axis; the other axes are never cut."""
    length, step = array.shape[0], array.chunks[0]
    for start in range(0, length, step):
        yield _chunk(start // step, array), slice(start, min(start + step, length))


def _chunk(number, array):
    return array.metadata.encode_chunk_key((number, *[0] * (array.ndim - 1)))


def _every_chunk():
    """Zarr leaves out chunks that hold nothing but the fill value; here a chunk that is not there is a fault."""
    import zarr

    return zarr.config.set({"array.write_empty_chunks": True})


def _put(file, values):
    """Write a chunk, and wait until it is on the disk.

    The bytes are those of Zarr's codecs, bytes (little endian), zstd and crc32c. Going through zarr would take ten times
    as long, and it does not wait for the disk.
    """
    data = bytes(Zstd(LEVEL).encode(np.ascontiguousarray(values, values.dtype.newbyteorder("<"))))
    partial = file.with_name(f"{file.name}.partial")
    with open(partial, "wb") as out:
        out.write(data + google_crc32c.value(data).to_bytes(4, "little"))
        out.flush()
        os.fsync(out.fileno())
    os.replace(partial, file)
    folder = os.open(file.parent, os.O_RDONLY)  # which holds the name
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def pack(results, path):
    """A survey as a store with one chunk for each array, which takes few files and little room.

    Parameters
    ----------
    results : xarray.Dataset
        From :func:`tokengeom_utils.results.open_results`.
    path : path
        Must not exist.
    """
    path = Path(path)
    if path.exists():
        raise InputError(f"{path} exists: delete it or choose another name")
    layout = {name: (results[name].dims[1:], results[name].shape[1:], results[name].attrs)
              for name in (*VARIABLES, "run")}
    fresh = path.with_name(f".{path.name}.making-{os.getpid()}")
    group = _lay_out(fresh, results.coords, results.attrs, layout, results.sizes["prompt"], results.sizes["prompt"])
    with _every_chunk():
        for name in layout:
            group[name][:] = results[name].values
    fresh.rename(path)


def _create(path, row, request, prompts, provenance):
    """An empty store of the full size, put in place at once."""
    import xarray as xr

    text = {name: ("prompt", np.array(values, np.dtypes.StringDType()), {"long_name": long_name})
            for name, values, long_name in (
                ("prompt", [p.id for p in prompts], "prompt"), ("domain", [p.domain for p in prompts], "domain"),
                ("sha256", [p.sha256 for p in prompts], "SHA-256 of the text"))}
    numbers = {name: (name, row[name].values, attrs) for name, attrs in _COORDINATES.items()}
    attributes = {
        "title": "Token geometry survey", "Conventions": "CF-1.11", "schema": SCHEMA,
        "references": "arXiv:2501.10573", "request": json.dumps(request),
        **{name: request[name] for name in ("model", "n_tokens", "seed")},
        **{name: provenance[name] for name in ("model_fingerprint", "dtype", "profile")}, "runs": "[]",
    }
    layout = {name: (row[name].dims, row[name].shape, row[name].attrs) for name in VARIABLES}
    layout["run"] = (), (), {"long_name": "which of the runs measured the prompt; -1: none", "units": "1"}
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.making-{os.getpid()}")
    _lay_out(fresh, xr.Dataset(coords={**numbers, **text}).coords, attributes, layout, len(prompts), 1)
    fresh.rename(path)


def _lay_out(path, coordinates, attributes, layout, n_prompts, prompts_in_chunk):
    """Coordinates, attributes and empty arrays; returns the Zarr group."""
    import xarray as xr
    import zarr
    from zarr.codecs import Crc32cCodec, ZstdCodec

    codecs = (ZstdCodec(level=LEVEL), Crc32cCodec())
    with _every_chunk():
        xr.Dataset(coords=coordinates, attrs=attributes).to_zarr(
            path, mode="w", consolidated=False, zarr_format=3,
            encoding={name: {"compressors": codecs} for name in coordinates})
    group = zarr.open_group(path, mode="r+")
    for name, (dims, shape, attrs) in layout.items():
        group.create_array(
            name, shape=(n_prompts, *shape), chunks=(prompts_in_chunk, *shape), dimension_names=("prompt", *dims),
            compressors=codecs, chunk_key_encoding=_CHUNK_KEYS, attributes=attrs,
            dtype="int16" if name == "run" else "float64", fill_value=-1 if name == "run" else np.nan,
        )
    return group
