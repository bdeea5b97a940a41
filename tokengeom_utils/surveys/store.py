"""The store of a survey: a Zarr group that is written prompt by prompt and loses none.

Every array has one chunk for each prompt, and every chunk ends with its CRC-32C. A prompt is written in three steps:
its chunks, each put in place whole; their way to the disk (fsync); and last the array ``run``, which says by which run
the prompt was measured, and -1 where it has not been. Whatever stops the writer, a prompt is there or it is not.

Only one process writes a store; a lock beside it says so to the others. A packed store, one chunk for each array, is
for reading.
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

from ..errors import InputError
from ..schema import OBSERVABLES, SCHEMA, UNRECORDED
from .request import coordinates, misfits

LEVEL = 9  #: of the compression
UNIFORM = ("model_fingerprint", "dtype", "batch")  #: of a run's provenance, what all runs of a store share
#: file of a chunk inside its array's folder: "c.PROMPT.0.0"
_CHUNK_KEYS = {"name": "default", "separator": "."}
COORDINATES = {
    "shuffle": {"long_name": "shuffle degree", "units": "1"},
    "layer": {"long_name": "layer; 0 the embeddings, the last after the final norm", "units": "1"},
    "scale": {"long_name": "range scaling n2 = 2 n1", "units": "1"},
    "k": {"long_name": "number of neighbors of the overlap", "units": "1"},
    "prompt": {"long_name": "prompt"},
    "domain": {"long_name": "domain"},
    "sha256": {"long_name": "SHA-256 of the text"},
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
        self.path, self.request, self.prompts = Path(os.path.realpath(path)), request, prompts  # one lock, by any link
        self._group, self._runs = None, []
        check(self.path, request)
        with ExitStack() as exits:
            self._lock(exits)
            check(self.path, request)  # another run may have made it in between
            if exists(self.path):
                self._open()
            self._threads = exits.enter_context(ThreadPoolExecutor(8))
            self._exit = exits.pop_all()

    def _open(self):
        self._group, self._arrays = open_arrays(self.path, "r+")
        self._runs = json.loads(self._group.attrs["runs"])
        for name, found, wanted in misfits(self._arrays, self.request):
            if found[1:] != wanted[1:]:
                raise InputError(f"the metadata of {self.path} are damaged: {name} has shape {found}, not {wanted}; "
                                 "delete the store or choose another --out")
        if any(self._arrays[name].shape[0] != len(self.prompts) or self._arrays[name].chunks[0] != 1
               for name in (*self.variables, "run")):
            raise InputError(f"{self.path} is a packed store, which is for reading: go on with the one it was exported "
                             "from, or choose another --out")

    def _lock(self, exits):
        from filelock import FileLock, Timeout

        made = [folder for folder in self.path.parents if not folder.exists()]
        lock = FileLock(self.path.with_name(f".{self.path.name}.lock"))
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            for folder in made:
                _sync(folder.parent)
            lock.acquire(timeout=0)
        except Timeout:
            raise InputError(f"another run is writing to {self.path}: wait until it has ended, or stop it") from None
        except OSError as error:
            raise InputError(f"{self.path} cannot be written ({error.strerror}): choose another --out") from None
        exits.callback(self._unlock, lock, made)
        for leftover in [*self.path.parent.glob(f".{self.path.name}.making-*"), *self.path.rglob("*.partial")]:
            shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()  # of a writer that was killed

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

    @property
    def variables(self):
        """The observables that the store holds."""
        return variables(self._group)

    def done(self):
        """Which prompts are there, as an array of bool, shape (prompt,)."""
        return measured(self._group) if self._group is not None else np.zeros(len(self.prompts), bool)

    def forget(self, prompts):
        """Mark prompts as not measured."""
        folder = self.path / "run"
        for i in prompts:
            (folder / _chunk(i, self._arrays["run"])).unlink(missing_ok=True)
        _sync(folder)

    def mend(self, name):
        """Write a coordinate again; all of them follow from the request and the prompts."""
        values = coordinates(self.request, [p.domain for p in self.prompts], self._arrays["layer"].shape[0])[name][1]
        with _every_chunk():
            self._arrays[name][:] = values
        _sync_tree(self.path / name)

    def match(self, provenance):
        """Raise ``InputError`` if a run would not be made as the whole store is."""
        for name in UNIFORM:
            kept = self._group.attrs.get(name) if self._group is not None else None  # older stores lack the batch
            if provenance.get(name) is not None and kept not in (None, provenance[name]):
                raise InputError(f"{self.path} was made with {name} {kept}, not {provenance[name]}: delete it or "
                                 "choose another --out")

    @property
    def batch(self):
        """Measurements per forward pass of the runs so far; None if that is not known."""
        return self._group.attrs.get("batch") if self._group is not None else None

    def write(self, i, row, provenance):
        """Put one prompt into the store; when this returns, it is on the disk.

        Parameters
        ----------
        i : int
            Place of the prompt.
        row : xarray.Dataset
            Its measurements, with dimensions shuffle, layer, scale and k.
        provenance : dict
            How they were made; what :data:`UNIFORM` names must be that of the whole store.
        """
        if self._group is None:
            _create(self.path, row, self.request, self.prompts, provenance)
            self._open()
        self.match(provenance)
        run = self._run(provenance)
        # In threads: the disk brings many home at once.
        list(self._threads.map(lambda name: self._put(name, i, row[name].values), self.variables))
        self._put("run", i, run)

    def _put(self, name, i, values):
        array = self._arrays[name]
        _put(self.path / name / _chunk(i, array), np.asarray(values, array.dtype))

    def _run(self, provenance):
        """Number of the run with this provenance, entered in the store if it is new."""
        if provenance not in self._runs:
            runs = [*self._runs, provenance]
            _enter(self.path, "runs", json.dumps(runs))
            self._runs = runs
        return self._runs.index(provenance)


def exists(path):
    """Whether there is a Zarr group at ``path``."""
    return (Path(path) / "zarr.json").is_file()


def create_group(path, models):
    """A Zarr group that holds the surveys of several models, unless it is there; its attributes name them."""
    import zarr

    path = Path(os.path.realpath(path))
    _check_free(path)
    if not exists(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(f".{path.name}.making-{os.getpid()}")
        title = "Token geometry surveys, one group for each model"
        zarr.create_group(fresh, attributes={"title": title, "models": models})
        _put_in_place(fresh, path)
        return
    attributes = open_group(path).attrs
    if "request" in attributes:
        raise InputError(f"{path} is the survey of one model, several are asked for: choose another --out")
    known = attributes.get("models", [])
    if more := [model for model in models if model not in known]:
        _enter(path, "models", known + more)


def _check_free(path):
    """Raise ``InputError`` if a store can be neither found at ``path`` nor made there."""
    if exists(path):
        return
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise InputError(f"{path} exists and is not a survey store")
    here = Path.cwd()
    if path.resolve() in (here, *here.parents):
        raise InputError(f"{path} is the folder you are in, or around it: name a store in it, such as survey.zarr")


def check(path, request):
    """Raise ``InputError`` if ``path`` holds anything but a survey made for this request."""
    path = Path(path)
    _check_free(path)
    if not exists(path):
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
    """Which prompts are complete. A damaged mark counts as none, and so does one of a run that is not in the list."""
    run, values = group["run"], np.full(group["run"].shape, -1)
    folder = Path(group.store.root, group.path, "run")
    sound = [prompts for chunk, prompts in _chunks(run) if fault(folder / chunk) in (None, "missing")]
    for prompts in [slice(None)] if len(sound) == run.nchunks else sound:  # all at once where all are sound
        values[prompts] = run[prompts]
    return (values >= 0) & (values < len(json.loads(group.attrs["runs"])))


def count(path):
    """How many prompts are in a store that is being written, by the names of their marks alone."""
    return sum(name.startswith("c.") for name in os.listdir(Path(path, "run"))) if exists(path) else 0


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
    group, arrays = open_arrays(path)
    done = measured(group)
    found = []
    for name, array in sorted(arrays.items()):
        for chunk, prompts in _chunks(array):
            if name in COORDINATES:
                prompts = None
            elif not done[prompts].any() and not (name == "run" and (path / name / chunk).exists()):
                continue
            if what := fault(path / name / chunk):
                found.append((f"{name}/{chunk}", prompts, what))
    return found


def absent(path, arrays, done):
    """The file of a chunk that is not there though its prompts are measured, or None: a look at the folders alone."""
    for name, array in arrays.items():
        folder = Path(path, name)
        chunks = [chunk for chunk, prompts in _chunks(array) if name in COORDINATES or done[prompts].any()]
        there = set(os.listdir(folder))  # quick where there are thousands
        for chunk in chunks:
            if chunk not in there and not (folder / chunk).is_file():
                return f"{name}/{chunk}"


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


def variables(group):
    """The observables that a store holds: those it records, or those of the first version."""
    return tuple(group.attrs.get("variables", UNRECORDED))


def open_arrays(path, mode="r"):
    """The Zarr group at ``path``, and a dict of all its arrays."""
    group, arrays = open_group(path, mode), {}
    for name in (*COORDINATES, *variables(group), "run"):
        try:
            arrays[name] = group[name]
        except Exception as error:  # zarr raises what its parsers raise
            what = "missing" if isinstance(error, KeyError) else "damaged"
            raise InputError(f"the metadata of {path} are damaged: {name}/zarr.json is {what}; take that file from a "
                             "copy of the store, or delete the store") from None
    return group, arrays


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

    The bytes are those of Zarr's codecs, bytes (little endian), zstd and crc32c. Going through zarr would take ten
    times as long, and it does not wait for the disk.
    """
    data = bytes(Zstd(LEVEL).encode(np.ascontiguousarray(values, values.dtype.newbyteorder("<"))))
    _write(file, data + google_crc32c.value(data).to_bytes(4, "little"))


def _write(file, data):
    """Put a file in place whole, and wait until it is on the disk."""
    partial = file.with_name(f"{file.name}.partial")
    with open(partial, "wb") as out:
        out.write(data)
        out.flush()
        os.fsync(out.fileno())
    os.replace(partial, file)
    _sync(file.parent)  # which holds the name


def _sync(path):
    """Wait until a file, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_tree(folder):
    for path in (*folder.rglob("*"), folder):
        _sync(path)


def _put_in_place(fresh, path):
    """Give a new store its name, once all of it is on the disk."""
    _sync_tree(fresh)
    os.replace(fresh, path)
    _sync(path.parent)


def _enter(path, name, value):
    """Set an attribute of the group at ``path``, on the disk when this returns. Zarr would not wait for the disk."""
    file = path / "zarr.json"
    document = json.loads(file.read_text())
    document["attributes"][name] = value
    _write(file, json.dumps(document, indent=2).encode())


def pack(results, path):
    """A survey as a store with one chunk for each array, which takes few files and little room.

    Parameters
    ----------
    results : xarray.Dataset
        From :func:`tokengeom_utils.surveys.results.open_results`.
    path : path
        Must not exist; :func:`tokengeom_utils.surveys.results.export` sees to that.
    """
    path = Path(path)
    request, n = json.loads(results.attrs["request"]), results.sizes["prompt"]
    wanted = {name: i for i, (name, _) in enumerate(request["prompts"])}
    places = [wanted[name] for name in results.prompt.values]
    request |= {"prompts": [request["prompts"][i] for i in places],  # what is there, not what was wished for
                "n_shuffled": sum(i < request["n_shuffled"] for i in places)}
    held = [name for name in OBSERVABLES if name in results]
    layout = {name: (results[name].dims[1:], results[name].shape[1:], results[name].attrs)
              for name in (*held, "run")}
    attributes = {**results.attrs, "request": json.dumps(request), "variables": held}
    group = _lay_out(path, results.coords, attributes, layout, n, n)
    with _every_chunk():
        for name in layout:
            group[name][:] = results[name].values
    _sync_tree(path)


def _create(path, row, request, prompts, provenance):
    """An empty store of the full size, put in place at once."""
    import xarray as xr

    values = coordinates(request, [p.domain for p in prompts], row.sizes["layer"])
    attributes = {
        "title": "Token geometry survey", "Conventions": "CF-1.11", "schema": SCHEMA,
        "references": "arXiv:2501.10573", "request": json.dumps(request),
        **{name: request[name] for name in ("model", "n_tokens", "seed")},
        **{name: provenance[name] for name in (*UNIFORM, "profile")}, "runs": "[]",
        "variables": [name for name in OBSERVABLES if name in row],
    }
    layout = {name: (row[name].dims, row[name].shape, row[name].attrs) for name in attributes["variables"]}
    layout["run"] = (), (), {"long_name": "which of the runs measured the prompt; -1: none", "units": "1"}
    fresh = path.with_name(f".{path.name}.making-{os.getpid()}")
    coords = xr.Dataset(coords={name: (*pair, COORDINATES[name]) for name, pair in values.items()}).coords
    _lay_out(fresh, coords, attributes, layout, len(prompts), 1)
    _put_in_place(fresh, path)


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
