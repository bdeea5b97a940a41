"""How the ledger fares on surveys whose truth is known: the table that ``make stress`` writes."""

import json
from typing import TYPE_CHECKING

from ..paths import data_path

if TYPE_CHECKING:
    import pandas as pd


def stress_table() -> "pd.DataFrame":
    """Open the table of the stress test: how often the ledger decides what is not there, and finds what is.

    Returns
    -------
    pandas.DataFrame
        One row for each kind of synthetic survey, indexed by its description. ``null``: whether every decision is an
        error. ``claims``: the numbers of those counted, all if empty; ``part``: of these, one part only. ``n``: number
        of surveys. Then shares of surveys: with any claim ``reproduced``, ``reproduced, uncorrected``, or
        ``not seen here``; with ``any part holds``, ``any part opposite``, and ``any part holds, by Holm``, if Holm's
        rule corrected the same p-values; and the three parts ``decided most often alone``, without a correction.
        ``attrs["twins"]`` has the shares with any part ``more`` or ``less`` than in a twin that follows the same law;
        ``attrs["choosing"]`` how often a test alone decides that a peak is higher than the last layer, by who chooses
        its layer, in ``noise`` and with a real ``peak``.

    See Also
    --------
    tokengeom_utils.evaluate : the ledger.

    Notes
    -----
    Introduced in the chapter *The reproduction report*.

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> nulls = tg.claims.stress_table().query("null")
    >>> bool((nulls[["reproduced", "not seen here"]] <= 0.05).all(axis=None))
    True
    """
    import pandas

    content = json.loads(data_path("stress.json").read_text(encoding="utf-8"))
    table = pandas.DataFrame(content["rows"]).set_index("survey")
    table.attrs |= {"twins": content["twins"], "choosing": content["choosing"]}
    return table
