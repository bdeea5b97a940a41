"""A report on texts of one's own: measured, placed among the prompts of a survey, and written as one page."""

import os
from collections.abc import Callable, Iterable, Sequence
from html import escape
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError
from ..models.advice import advice
from ..models.language_model import LanguageModel
from ..models.load import load_model
from ..paths import local_path
from ..prompts.prompt import Prompt
from ..surveys.files import write
from ..surveys.lock import check_writable
from .findings import Findings, examine
from .measuring import measure_text
from .page import Page, render
from .reference import Reference, as_reference, bundled, check_model, common_sizes, halfway, open_reference
from .sources import read_sources

if TYPE_CHECKING:
    import xarray as xr

HEIGHT = "44rem"  #: of a report inside another page


class Report:
    """Texts of one's own among the prompts of a survey; made by :func:`report`.

    In a notebook it shows its page.

    Attributes
    ----------
    findings : tuple of Findings
        The numbers, one for each text: ``.text`` as measured, ``.placed`` among the prompts, ``.curves`` over the
        layers.
    reference : Reference or None
        The prompts that the texts are compared with.
    html : str
        The page.

    See Also
    --------
    report : makes it.
    """

    def __init__(self, page: Page):
        self.findings: tuple[Findings, ...] = tuple(page.findings)
        self.reference: Reference | None = page.reference
        self.html = render(page)

    def save(self, path: str | Path) -> Path:
        """Write the page to a file, replacing one that is there once the new one is whole.

        Parameters
        ----------
        path : path
            Must end in ``.html`` or ``.htm``. Missing folders above it are made.

        Returns
        -------
        pathlib.Path
            With ``~`` expanded.

        Raises
        ------
        InputError
            If it ends otherwise, is a folder, or cannot be written.
        """
        path = check_page(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write(path, self.html.encode())
        except OSError as error:
            path.with_name(f"{path.name}.partial").unlink(missing_ok=True)
            raise InputError(f"{path} cannot be written ({error.strerror or error}): choose another file") from error
        return path

    def _repr_html_(self) -> str:
        """The page inside another one, closed off from its styles and scripts."""
        names = escape(", ".join(one.name for one in self.findings))
        return (
            f'<iframe class="report" title="Report on {names}" srcdoc="{escape(self.html)}" '
            f'style="width: 100%; height: {HEIGHT}; border: 1px solid #8888; border-radius: 6px"></iframe>'
        )


def report(
    texts: "str | Path | Prompt | Iterable[str | Path | Prompt]",
    model: LanguageModel | str | Path = "smollm2-135m",
    results: "xr.Dataset | str | Path | None" = None,
    seed: int = 42,
    bos: str = "never",
    say: Callable[[str], object] | None = None,
) -> Report:
    """Measure texts of one's own and compare them with the prompts of a survey.

    All texts are measured at one length, since clouds of different sizes cannot be compared: that of the survey, if
    one is given; otherwise 1,024 tokens, or 256 where a text or the model has no more. For the bundled model there are
    bundled surveys of both lengths. Without a survey of the same model at that length, the report has no band and no
    percentiles, and says so.

    Parameters
    ----------
    texts : path, Prompt, or several of them
        A path is a file that :func:`load_prompts` reads; of a table or a folder, every text.
    model : LanguageModel, str, or path
        A model, or the name of one for :func:`load_model`.
    results : xarray.Dataset, path, or name, optional
        A survey made with this model, from :func:`open_results` or :func:`comparable`, or its path.
    seed : int
        Of the shuffle and of the intervals.
    bos : {"never", "auto", "always"}
        For a model that is given by its name: whether a beginning-of-sequence token precedes each text, as for
        :func:`load_model`.
    say : callable, optional
        Called with a line of text before each longer step.

    Returns
    -------
    Report
        ``.save("report.html")`` writes the page; ``.findings`` holds its numbers.

    Raises
    ------
    InputError
        If a text is too short (the shortest is named), two share a name, or the survey was made with another model.

    See Also
    --------
    measure : every observable of one text.
    comparable : measures a survey's prompts again at another length.
    local_dimension : the dimension at each token.

    Notes
    -----
    Introduced in the chapter *Your own text*.

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> note = tg.Prompt("note", "letters", "To be, or not to be, that is the question. " * 7)
    >>> found = tg.report(note, tg.tiny_model())  # a model without a survey
    >>> found.reference is None, found.findings[0].text.n_tokens
    (True, 256)
    >>> round(found.findings[0].placed["loss"].value, 1)
    5.6
    """
    say = say or (lambda line: None)
    prompts = read_sources([texts] if isinstance(texts, (str, Path, Prompt)) else list(texts))
    survey, name = open_reference(results) if isinstance(results, (str, Path)) else (results, "the survey")
    if isinstance(model, (str, Path)):
        say(f"loading {model} ...")
        model = load_model(model, bos=bos)
    if survey is not None:
        check_model(model, survey, name)
    names = [prompt.id for prompt in prompts]
    positions = getattr(model.network.config.get_text_config(), "max_position_embeddings", None) or inf
    lengths = model.lengths([prompt.text for prompt in prompts])
    sizes = common_sizes(lengths, names, survey, positions - len(model.prefix))
    n = sizes["n_tokens"]
    reference = bundled(model, n) if survey is None else as_reference(survey, name)
    layer = reference.peak if reference else halfway(model.n_layers)
    vocabulary = int(model.network.config.get_text_config().vocab_size)
    findings = []
    for prompt in prompts:
        say(f"measuring {n:,} tokens of {prompt.id} ...")
        text = measure_text(model, prompt, sizes, layer, seed)
        findings.append(examine(text, layer, vocabulary, reference, seed))
    first = prompts[0]
    line = advice(model, model.tokenize(first.text, n), first.id)
    absent = "" if reference else f"no survey of {shown(model.name)} with {n:,} tokens is at hand"
    dtype = str(model.network.dtype).removeprefix("torch.")
    about = (absent, shown(model.name), model.fingerprint, dtype, model.bos, [line] if line else [])
    return Report(Page(findings, reference, *about))


def check_page(path: str | Path, texts: Sequence[str | Path] = ()) -> Path:
    """Check, before any work, that a page can be written to a file.

    Parameters
    ----------
    path : path
    texts : sequence of path
        Files that must not be overwritten.

    Returns
    -------
    pathlib.Path
        With ``~`` expanded.

    Raises
    ------
    InputError

    Examples
    --------
    >>> check_page("report.html").name
    'report.html'
    """
    path = local_path(path, "--out")
    if path.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"--out {path}: its name must end in .html")
    if path.is_dir():
        raise InputError(f"--out {path} is a folder: add the name of a file")
    if any(Path(text).exists() and path.exists() and path.samefile(text) for text in texts):
        raise InputError(f"--out {path} is one of the texts: choose another name")
    check_writable(path, "choose another --out", path.parent)
    return path


def shown(name: str) -> str:
    """Return a model's name as a page shows it: of a path on this machine, only the last part.

    Examples
    --------
    >>> shown("smollm2-135m"), shown("EleutherAI/pythia-160m")
    ('smollm2-135m', 'EleutherAI/pythia-160m')
    """
    prefix, colon, rest = name.rpartition(":") if name.startswith("untrained:") else ("", "", name)
    return f"{prefix}{colon}{Path(rest).name if os.path.exists(rest) else rest}"
