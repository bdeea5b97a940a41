"""The texts of a report: files, tables of texts, folders, and standard input, each text with a name of its own."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO

from ..errors import InputError
from ..prompts.load import load_prompts
from ..prompts.prompt import Prompt
from ..prompts.raw import decode

STANDARD_INPUT = "standard input"


def read_sources(sources: Sequence[str | Path | Prompt], stdin: IO[bytes] | None = None) -> list[Prompt]:
    """Read the texts of a report.

    Parameters
    ----------
    sources : sequence of path or Prompt
        A plain text is named after its file, with the folder where two files have one name; ``-`` is standard input.
    stdin : binary file, optional
        Standard input.

    Returns
    -------
    list of Prompt

    Raises
    ------
    InputError
        If there are none, a file cannot be read, standard input is named twice, or two texts have one name.

    Examples
    --------
    >>> import io
    >>> [text.id for text in read_sources(["-"], io.BytesIO(b"To be"))]
    ['standard input']
    """
    files = [Path(one) for one in sources if not isinstance(one, Prompt) and str(one) != "-"]
    found: list[Prompt] = []
    for one in sources:
        if isinstance(one, Prompt):
            found.append(one)
        elif str(one) == "-" and stdin is not None:
            found.append(Prompt(STANDARD_INPUT, "text", decode(stdin.read(), STANDARD_INPUT).strip()))
        else:
            found += _named(Path(one), files)
    if not found:
        raise InputError("a report needs at least one text")
    names = [prompt.id for prompt in found]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"two texts are named {name}: rename one of them, or leave it out")
    return found


def _named(path: Path, files: Iterable[Path]) -> list[Prompt]:
    """The texts of a file; a plain text is named after the whole name of its file."""
    prompts = load_prompts(path, n_tokens=1)
    if len(prompts) != 1 or path.is_dir():
        return prompts
    alike = [other for other in files if other.name == path.name]
    name = path.name if len(alike) == 1 else str(path)
    return [Prompt(name, prompts[0].domain, prompts[0].text)]
