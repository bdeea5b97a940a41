"""The paper's own numbers, beside which the book puts its measurements."""

from ..errors import InputError
from ..paths import data_path
from .results import relative_depth

PAPER_TABLES = ("profiles", "loss_correlation_50", "loss_correlation_2244", "structured_cosine_2244")
PAPER_LAYERS = 32


def open_paper(table="profiles"):
    """The paper's own numbers for Llama-3-8B, Mistral-7B and Pythia-6.9B.

    Parameters
    ----------
    table : str
        ``"profiles"``: mean and standard deviation over 50 prompts of every observable;
        ``"loss_correlation_50"`` and ``"loss_correlation_2244"``: Pearson r of intrinsic dimension
        and loss; ``"structured_cosine_2244"``. See ``data/paper/README.md``.

    Returns
    -------
    pandas.DataFrame
        With a column ``depth``, the layer over 32.
    """
    import pandas

    if table not in PAPER_TABLES:
        raise InputError(f"no table {table!r} of the paper: choose from {', '.join(PAPER_TABLES)}")
    frame = pandas.read_csv(data_path("paper", f"paper_{table}.csv"))
    return frame.assign(depth=relative_depth(frame.layer, PAPER_LAYERS))
