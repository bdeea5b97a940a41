"""Names of GGUF files, and models that are split over several of them."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from ..errors import InputError

PART = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})(?P<suffix>\.gguf)", re.IGNORECASE)


def is_gguf(name: str) -> bool:
    """Return whether a file is named as GGUF, in small letters or capitals.

    Parameters
    ----------
    name : str

    Returns
    -------
    bool

    Examples
    --------
    >>> is_gguf("Model.Q4_0.GGUF")
    True
    """
    return name.casefold().endswith(".gguf")


def parts(name: str) -> list[str]:
    """Return the names of all the files of the model that a GGUF file belongs to.

    Parameters
    ----------
    name : str
        Any one of them.

    Returns
    -------
    list of str

    Examples
    --------
    >>> parts("big-00002-of-00002.gguf")
    ['big-00001-of-00002.gguf', 'big-00002-of-00002.gguf']
    >>> parts("small.gguf")
    ['small.gguf']
    """
    if not (found := PART.fullmatch(name)):
        return [name]
    count = int(found["count"])
    return [f"{found['stem']}-{i:05d}-of-{found['count']}{found['suffix']}" for i in range(1, count + 1)]


def models(names: Iterable[str]) -> list[list[str]]:
    """Return the files of each GGUF model among some files; parts that are missing are listed too.

    Parameters
    ----------
    names : iterable of str
        Projectors of images (``mmproj``), which lie beside a model, are left out.

    Returns
    -------
    list of list of str

    Examples
    --------
    >>> models(["a-00001-of-00002.gguf", "b.gguf", "config.json"])
    [['a-00001-of-00002.gguf', 'a-00002-of-00002.gguf'], ['b.gguf']]
    """
    ggufs = [name for name in names if is_gguf(name) and not name.casefold().startswith("mmproj")]
    return [list(group) for group in sorted({tuple(parts(name)) for name in ggufs})]


def all_parts(path: Path) -> list[Path]:
    """Return the files of the model that a GGUF file belongs to, and check that all of them are there.

    Parameters
    ----------
    path : pathlib.Path

    Returns
    -------
    list of pathlib.Path

    Raises
    ------
    InputError
        If a part is missing.
    """
    files = [path.with_name(name) for name in parts(path.name)]
    if missing := [file.name for file in files if not file.is_file()]:
        raise InputError(
            f"{path} is one of {len(files)} parts of a model, and {', '.join(missing[:3])} "
            f"{'is' if len(missing) == 1 else 'are'} missing: put all parts into one folder"
        )
    return files


def merge(files: Sequence[Path], target: Path) -> None:
    """Write the parts of a split model as one GGUF file; the tensors stay as they are.

    Parameters
    ----------
    files : sequence of pathlib.Path
        In order; the first holds the metadata.
    target : pathlib.Path
    """
    import gguf

    readers = [gguf.GGUFReader(file) for file in files]
    fields = readers[0].fields
    architecture = fields[gguf.Keys.General.ARCHITECTURE].contents()
    writer = gguf.GGUFWriter(target, architecture)
    for name, field in fields.items():
        if name == gguf.Keys.General.ARCHITECTURE or name.startswith(("GGUF.", "split.")):
            continue
        kind, item = field.types[0], field.types[-1]
        writer.add_key_value(name, field.contents(), kind, item if kind == gguf.GGUFValueType.ARRAY else None)
    tensors = [tensor for reader in readers for tensor in reader.tensors]
    for tensor in tensors:
        data = tensor.data
        writer.add_tensor_info(tensor.name, data.shape, data.dtype, data.nbytes, tensor.tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for tensor in tensors:
        writer.write_tensor_data(tensor.data)
    writer.close()
