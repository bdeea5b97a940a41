"""The paper's own numbers, for comparison with this project's measurements."""

from typing import TYPE_CHECKING

from ..errors import InputError
from ..paths import data_path
from .results import relative_depth

if TYPE_CHECKING:
    import pandas

PAPER_TABLES = ("profiles", "loss_correlation_50", "loss_correlation_2244", "structured_cosine_2244")
PAPER_LAYERS = 32  #: transformer blocks of each of the paper's models


def open_paper(table: str = "profiles") -> "pandas.DataFrame":
    """Open the paper's own numbers for Llama-3-8B, Mistral-7B and Pythia-6.9B.

    Parameters
    ----------
    table : str
        ``"profiles"``: mean and standard deviation over 50 prompts of intrinsic dimension, neighborhood overlap, cosine
        similarity and loss, by model, degree of shuffling and layer. ``"loss_correlation_50"`` and
        ``"loss_correlation_2244"``: Pearson r of intrinsic dimension and loss, over 50 prompts and, read off the
        published figure, over 2,244. ``"structured_cosine_2244"``: mean cosine similarity over 2,244 prompts in order,
        and its Pearson r with the loss. ``data/paper/README.md`` describes the columns.

    Returns
    -------
    pandas.DataFrame
        One row per number, with a column ``depth``, the layer divided by 32.

    Raises
    ------
    InputError
        If there is no such table.

    See Also
    --------
    open_results : the numbers measured by this project.

    Notes
    -----
    Introduced in the chapter *The paper in one page*.

    References
    ----------
    *The Geometry of Tokens in Internal Representations of Large Language Models*, arXiv:2501.10573; the arrays that its
    authors published.

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> paper = tg.open_paper("profiles").query("observable == 'intrinsic_dimension' and scale == 2 and shuffle == 0")
    >>> paper.groupby("model")["mean"].max().round(2).to_dict()
    {'Llama-3-8B': 9.55, 'Mistral-7B': 9.17, 'Pythia-6.9B': 8.25}
    """
    import pandas

    if table not in PAPER_TABLES:
        raise InputError(f"no table {table!r} of the paper: choose from {', '.join(PAPER_TABLES)}")
    frame = pandas.read_csv(data_path("paper", f"paper_{table}.csv"))
    return frame.assign(depth=relative_depth(frame.layer, PAPER_LAYERS))
