"""Prompts from the user's own files: texts, tables of texts, and folders of both."""

import os
import warnings
from collections.abc import Callable
from pathlib import Path

from ..errors import InputError
from .prompt import Prompt
from .raw import NotText, ending, read_text, stem
from .tables import TABLES, read_table

TEXTS = (".txt", ".md")  #: a file of these is one prompt, and must be a text
SHOWN = 5  # names in a report


def load_path(path: Path, say: Callable[[str], object] | None = None) -> list[Prompt]:
    """Load prompts from a text, a table of texts, or a folder.

    Parameters
    ----------
    path : pathlib.Path
        A table is a file that ends in one of :data:`TABLES`; any other file is one text. Endings may be in capitals,
        and ``.gz`` may follow. A folder is searched with its subfolders: its tables are read, and every other file is
        one text. Hidden files, links to folders, and files that are not texts, such as pictures, are left out; a file
        that ends in one of :data:`TEXTS` or :data:`TABLES` is never left out but refused if it cannot be read.
    say : callable, optional
        Called with a line of text on what a folder holds. If not given, files that were left out are a warning.

    Returns
    -------
    list of Prompt
        A text is named after its file, and its domain is its folder or its suffix.

    Raises
    ------
    InputError
        If a file cannot be read, a row has no text, two prompts share an id, or a folder has no texts.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp(prefix="letters"))
    >>> size = (folder / "first.txt").write_text("Dear reader, ...")
    >>> load_path(folder)[0].id, load_path(folder / "first.txt")[0].domain
    ('first', 'txt')
    """
    if path.is_dir():
        found = _from_folder(path, say)
    elif ending(path) in TABLES:
        found = list(read_table(path, stem(path), stem(path)))
    else:
        found = [(str(path), Prompt(stem(path), ending(path)[1:] or "text", read_text(path).strip()))]
    places: dict[str, str] = {}
    for where, prompt in found:
        if prompt.id in places:
            raise InputError(f"{where}: its id {prompt.id!r} is also that of {places[prompt.id]}: change one of them")
        places[prompt.id] = where
    return [prompt for _, prompt in found]


def _from_folder(folder, say):
    """Prompts of a folder with their places."""
    files, left_out = _files(folder)
    found, plain = [], set()
    for file, name in zip(files, _names(files, folder), strict=True):
        domain = file.parent.resolve().name or "text"
        if ending(file) in TABLES:
            found += read_table(file, name, stem(file))
            continue
        try:
            found.append((str(file), Prompt(name, domain, read_text(file).strip())))
        except NotText:
            if ending(file) in TEXTS:
                raise
            left_out.setdefault("not text", []).append(file)
        else:
            plain |= {ending(file) or file.name} - set(TEXTS)
    if not found:
        raise InputError(f"no texts in {folder}: add some, or use another folder")
    _report(folder, plain, left_out, say)
    return found


def _files(folder):
    """The files of a folder in order, and those left out by reason."""

    def refuse(error):
        raise InputError(f"{error.filename} cannot be read: {error.strerror}") from None

    files, left_out = [], {}
    for base, folders, names in os.walk(folder, onerror=refuse):
        for path in (Path(base, name) for name in (*folders, *names)):
            if path.name.startswith("."):
                left_out.setdefault("hidden", []).append(path)
            elif path.is_file():
                files.append(path)
            elif path.is_symlink() or not path.is_dir():
                left_out.setdefault("links to folders or to nothing", []).append(path)
        folders[:] = [name for name in folders if not name.startswith(".")]
    return sorted(files), left_out


def _names(files, folder):
    """The name of each file, for its prompts: the path below the folder, with the ending only where two would agree."""
    short = [(file.relative_to(folder).parent / stem(file)).as_posix() for file in files]
    return [
        file.relative_to(folder).as_posix() if short.count(name) > 1 else name
        for file, name in zip(files, short, strict=True)
    ]


def _report(folder, plain, left_out, say):
    """Report the files of a folder that are read as plain texts despite their endings, and those left out."""
    reasons = [
        f"{len(files)} {reason} ({', '.join(sorted(file.relative_to(folder).as_posix() for file in files)[:SHOWN])}"
        f"{', ...' if len(files) > SHOWN else ''})"
        for reason, files in sorted(left_out.items())
        if say or reason != "hidden"
    ]
    if reasons:
        (say or warnings.warn)(f"left out of {folder}: {'; '.join(reasons)}")
    if plain and say:
        say(f"read as plain texts in {folder}: {', '.join(sorted(plain))}")
