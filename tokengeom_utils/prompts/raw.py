"""From the bytes of a file to its text, or to the reason why it has none."""

import codecs
import gzip
import zlib
from pathlib import Path

from ..errors import InputError

GZIP = b"\x1f\x8b"
#: byte-order marks, the longer ones first, because the mark of UTF-32 begins with that of UTF-16
MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (codecs.BOM_UTF8, "utf-8-sig"),  # editors on Windows begin a file with it
)
#: formats that hold a text without being one, by their first bytes; two of them can be valid UTF-8
FORMATS = {
    b"%PDF-": "a PDF",
    b"{\\rtf": "rich text (RTF)",
    b"PK\x03\x04": "a ZIP archive, as .docx, .odt, and .epub files are",
    b"\xd0\xcf\x11\xe0": "an old Office document",
    b"PAR1": "Parquet",
}


class NotText(InputError):
    """A file that is not a text."""


def ending(path: Path) -> str:
    """Return the ending of a file in lower case, without that of its compression.

    Parameters
    ----------
    path : pathlib.Path

    Returns
    -------
    str

    Examples
    --------
    >>> ending(Path("ESSAY.TXT")), ending(Path("lines.jsonl.gz")), ending(Path("LICENSE"))
    ('.txt', '.jsonl', '')
    """
    return _bare(path).suffix.lower()


def stem(path: Path) -> str:
    """Return the name of a file without its endings.

    Parameters
    ----------
    path : pathlib.Path

    Returns
    -------
    str

    Examples
    --------
    >>> stem(Path("letters/lines.jsonl.gz"))
    'lines'
    """
    return _bare(path).stem


def _bare(path):
    """A path without the ending of its compression."""
    return path.with_suffix("") if path.suffix.lower() == ".gz" else path


def read_bytes(path: Path) -> bytes:
    """Read a file, decompressed if its name ends in .gz.

    Parameters
    ----------
    path : pathlib.Path

    Returns
    -------
    bytes

    Raises
    ------
    InputError
        If it cannot be read, or is not gzip despite its name.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from None
    if path.suffix.lower() != ".gz":
        return data
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise NotText(f"{path} is not whole gzip: {error}; compress it again, or rename it") from None


def read_text(path: Path) -> str:
    """Read a text file in UTF-8, or in UTF-16 or UTF-32 if a byte-order mark says so.

    Parameters
    ----------
    path : pathlib.Path
        Decompressed if its name ends in .gz.

    Returns
    -------
    str
        With newlines as on Unix.

    Raises
    ------
    InputError
        If the file cannot be read; :class:`NotText` if it is of another format or encoding, with the line.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "note.txt")
    >>> size = path.write_bytes("naïve\\r\\n".encode("utf-16"))
    >>> read_text(path)
    'naïve\\n'
    """
    data = read_bytes(path)
    if data.startswith(GZIP):
        raise NotText(f"{path} is compressed with gzip: add .gz to its name")
    return decode(data, str(path))


def decode(data: bytes, name: str) -> str:
    """Return the text that some bytes spell, in UTF-8, or in UTF-16 or UTF-32 if a byte-order mark says so.

    Parameters
    ----------
    data : bytes
    name : str
        What the error calls them.

    Returns
    -------
    str
        With newlines as on Unix.

    Raises
    ------
    NotText
        If they are of another format or encoding, with the line.

    Examples
    --------
    >>> decode(b"one\\r\\ntwo", "standard input")
    'one\\ntwo'
    """
    for start, kind in FORMATS.items():
        if data.startswith(start):
            raise NotText(f"{name} is {kind}: save its text as .txt")
    encoding = next((kind for mark, kind in MARKS if data.startswith(mark)), "utf-8")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        shown = encoding.removesuffix("-sig").upper()
        raise NotText(
            f"{name} is not {shown} text (line {line}): convert it to UTF-8, or choose another file"
        ) from None
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise NotText(
            f"{name} has a NUL character (line {line}), as UTF-16 without a byte-order mark has: save it as UTF-8"
        )
    return text
