"""Ways to store a survey, each as short as it can be: what `stores.py` compares.

A candidate is opened on a folder and told the arrays of one prompt. When :meth:`write` returns, the prompt is to
survive whatever stops the process or the machine. :meth:`read` returns the finished prompts whose values are intact.
"""

import os
import sqlite3
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import google_crc32c
import numpy as np
import zarr
from numcodecs import Zstd
from zarr.codecs import BytesCodec, Crc32cCodec, ShardingCodec, ZstdCodec

ZSTD = Zstd(3)
SHARD = 64  #: prompts in a shard


def seal(data):
    """The bytes compressed, with their checksum."""
    data = bytes(ZSTD.encode(data))
    return data + google_crc32c.value(data).to_bytes(4, "little")


def unseal(data):
    """The bytes that were sealed; None if they are damaged."""
    whole = len(data) > 4 and google_crc32c.value(data[:-4]) == int.from_bytes(data[-4:], "little")
    return ZSTD.decode(data[:-4]) if whole else None


def write_file(file, data):
    """Write a file under another name, sync it, rename it, and sync the name."""
    partial = file.with_name(f"{file.name}.partial")
    with open(partial, "wb") as out:
        out.write(data)
        out.flush()
        os.fsync(out.fileno())
    os.replace(partial, file)
    sync_folder(file.parent)


def sync_folder(folder):
    """Wait until the names in a folder are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    with suppress(OSError):  # a file system that cannot
        os.fsync(descriptor)
    os.close(descriptor)


class Candidate:
    """A store of prompts that all have the same arrays."""

    def __init__(self, folder: Path, n: int, example: dict[str, np.ndarray]):
        self.folder, self.n = folder, n
        self.shapes = {name: values.shape for name, values in example.items()}
        folder.mkdir(parents=True, exist_ok=True)
        self.open()

    def open(self):
        """Make the store, or open it again."""

    def finish(self):
        """Put a complete store into its final form."""

    def close(self):
        """End writing."""

    def joined(self, row):
        """All arrays of a prompt as one vector."""
        return np.concatenate([np.asarray(row[name], "<f8").ravel() for name in self.shapes])

    def parted(self, data):
        """The arrays of a prompt, from the bytes of its vector."""
        sizes = [int(np.prod(shape)) for shape in self.shapes.values()]
        parts = np.split(np.frombuffer(data, "<f8"), np.cumsum(sizes)[:-1])
        return {name: part.reshape(self.shapes[name]) for name, part in zip(self.shapes, parts, strict=True)}


class ChunkFiles(Candidate):
    """One Zarr chunk per array and prompt, and last a mark: the store until version 0.2."""

    about = "a chunk file per array and prompt"

    def open(self):
        for name in (*self.shapes, "run"):
            (self.folder / name).mkdir(exist_ok=True)
        self.threads = ThreadPoolExecutor(8)

    def write(self, i, row):
        def put(name):
            write_file(self.folder / name / f"c.{i}", seal(np.asarray(row[name], "<f8")))

        list(self.threads.map(put, self.shapes))
        write_file(self.folder / "run" / f"c.{i}", seal(np.int16(0)))

    def read(self):
        found = {}
        for i in range(self.n):
            with suppress(FileNotFoundError):
                unsealed = {
                    name: unseal((self.folder / name / f"c.{i}").read_bytes()) for name in ("run", *self.shapes)
                }
                if None not in unsealed.values():
                    found[i] = {
                        name: np.frombuffer(unsealed[name], "<f8").reshape(shape) for name, shape in self.shapes.items()
                    }
        return found

    def close(self):
        self.threads.shutdown()


class PromptFiles(Candidate):
    """One Zarr chunk per prompt, which holds all arrays; the file is its own mark."""

    about = "a chunk file per prompt"

    def write(self, i, row):
        write_file(self.folder / f"c.{i}", seal(self.joined(row)))

    def read(self):
        found = {}
        for file in self.folder.glob("c.*"):
            if file.suffix != ".partial" and (data := unseal(file.read_bytes())) is not None:
                found[int(file.name[2:])] = self.parted(data)
        return found


class Shards(Candidate):
    """Zarr's own shards, of one chunk per prompt; Zarr rewrites a shard for each prompt, and we sync it."""

    about = f"Zarr shards of {SHARD} prompts"

    def open(self):
        if (self.folder / "zarr.json").exists():
            group = zarr.open_group(self.folder, mode="r+")
            self.arrays = {name: group[name] for name in (*self.shapes, "run")}
            return
        group = zarr.create_group(self.folder)
        self.arrays = {}
        for name, shape in {**self.shapes, "run": ()}.items():
            whole = -(-self.n // SHARD) * SHARD
            inner = (ZstdCodec(level=3), Crc32cCodec())
            self.arrays[name] = group.create_array(
                name,
                shape=(whole, *shape),
                chunks=(SHARD, *shape),
                serializer=ShardingCodec(
                    chunk_shape=(1, *shape),
                    codecs=(BytesCodec(), *inner),
                    index_codecs=(BytesCodec(), Crc32cCodec()),
                ),
                compressors=(),
                dtype="float64",
                fill_value=np.nan,
            )
        for path in [*self.folder.rglob("zarr.json")]:
            sync_folder(path)

    def write(self, i, row):
        for name in self.shapes:
            self.put(name, i, row[name])
        self.put("run", i, 0.0)

    def put(self, name, i, values):
        self.arrays[name][i] = values
        file = self.folder / name / self.arrays[name].metadata.encode_chunk_key((i // SHARD, *[0] * (np.ndim(values))))
        sync_folder(file)
        sync_folder(file.parent)

    def read(self):
        found = {}
        for i in range(self.n):
            with suppress(Exception):  # zarr raises whatever its codecs raise
                if not np.isnan(self.arrays["run"][i]):
                    row = {name: np.asarray(self.arrays[name][i]) for name in self.shapes}
                    if not any(np.isnan(values).all() for values in row.values()):
                        found[i] = row
        return found


class Sqlite(Candidate):
    """A table of SQLite: one row, and one transaction, per prompt."""

    about, journal = "SQLite, rollback journal", "TRUNCATE"

    def open(self):
        self.base = sqlite3.connect(self.folder / "journal.sqlite", isolation_level=None)
        self.base.execute(f"pragma journal_mode={self.journal}")
        self.base.execute("pragma synchronous=FULL")
        self.base.execute("create table if not exists prompt (place integer primary key, run integer, data blob)")

    def write(self, i, row):
        self.base.execute("insert or replace into prompt values (?, 0, ?)", (i, seal(self.joined(row))))

    def read(self):
        found = {}
        for i in range(self.n):  # each by its key, so that a damaged page costs the prompts on it alone
            with suppress(sqlite3.DatabaseError):
                for (data,) in self.base.execute("select data from prompt where place = ?", (i,)):
                    if (data := unseal(data)) is not None:
                        found[i] = self.parted(data)
        return found

    def close(self):
        self.base.close()


class SqliteAhead(Sqlite):
    """The same with a write-ahead log."""

    about, journal = "SQLite, write-ahead log", "WAL"


class Surveys(Candidate):
    """The store of this package: an append-only journal, which becomes chunks of many prompts when all are there."""

    about = "this store: a journal, then Zarr chunks"

    def open(self):
        from tokengeom_utils.prompts.load import Prompt
        from tokengeom_utils.schema import SCHEMA
        from tokengeom_utils.surveys.store import Store

        prompts = [Prompt(f"{i:07d}", "copy", str(i)) for i in range(self.n)]
        n_scales, k_max = (self.shapes[name][-1] for name in ("intrinsic_dimension", "neighborhood_overlap"))
        self.request = {
            "schema": SCHEMA,
            "model": "none",
            "prompts": [[prompt.id, prompt.sha256] for prompt in prompts],
            "shuffles": list(range(self.shapes["loss"][0])),
            "n_shuffled": self.n,
            "n_tokens": 1024,
            "seed": 42,
            "scale_max": 2**n_scales,
            "k_max": k_max,
            "bos": "never",
        }
        self.made = {"model_fingerprint": "", "dtype": "", "batch": 1, "profile": "", "versions": {}}
        self.made["versions"]["tokengeom-utils"] = "0"
        self.store = Store(self.folder / "survey.zarr", self.request, prompts)

    def write(self, i, row):
        self.store.write(i, row, self.made)

    def read(self):
        if not (self.folder / "survey.zarr").exists():
            return {}
        mend(self.store)
        from tokengeom_utils.surveys.results import open_results

        results = open_results(self.store.path)
        arrays = {name: results[name].values for name in self.shapes}
        return {
            int(i): {name: arrays[name][rank] for name in self.shapes} for rank, i in enumerate(results.prompt.values)
        }

    def finish(self):
        self.store.fold()

    def close(self):
        self.store.__exit__()


def mend(store):
    """Repair a store as a survey does that resumes it."""
    from tokengeom_utils.surveys.complete import _mend

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _mend(store)


class Icechunk(Candidate):
    """Icechunk on this disk: one commit per prompt."""

    about = "Icechunk, local"

    def open(self):
        import icechunk

        self.repository = icechunk.Repository.open_or_create(icechunk.local_filesystem_storage(str(self.folder)))
        session = self.repository.writable_session("main")
        group = zarr.open_group(session.store, mode="a")
        if "run" not in group:
            for name, shape in {**self.shapes, "run": ()}.items():
                group.create_array(
                    name,
                    shape=(self.n, *shape),
                    chunks=(1, *shape),
                    dtype="float64",
                    fill_value=np.nan,
                    compressors=(ZstdCodec(level=3), Crc32cCodec()),
                )
            session.commit("new")

    def write(self, i, row):
        session = self.repository.writable_session("main")
        group = zarr.open_group(session.store, mode="r+")
        for name in self.shapes:
            group[name][i] = row[name]
        group["run"][i] = 0.0
        session.commit(str(i))

    def read(self):
        group = zarr.open_group(self.repository.readonly_session("main").store, mode="r")
        found = {}
        for i in range(self.n):
            with suppress(Exception):
                if not np.isnan(group["run"][i]):
                    found[i] = {name: np.asarray(group[name][i]) for name in self.shapes}
        return found


KINDS = (ChunkFiles, PromptFiles, Shards, Sqlite, SqliteAhead, Surveys, Icechunk)
CANDIDATES = {kind.__name__: kind for kind in KINDS}
