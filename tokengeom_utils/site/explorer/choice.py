"""Which clouds of a survey the explorer shows: a file for each must not make the site too heavy."""

from collections.abc import Sequence

MOST, FEWEST = 15, 6  #: prompts: one of each kind of text, or so many
SHUFFLED = 3  #: prompts that are shown at every degree of shuffling


def chosen_clouds(kinds: Sequence[str], degrees: Sequence[Sequence[int]]) -> list[tuple[int, int]]:
    """Choose the clouds that the explorer shows.

    Parameters
    ----------
    kinds : sequence of str
        The kind of text of each prompt of a survey.
    degrees : sequence of sequences of int
        The degrees of shuffling at which each is measured.

    Returns
    -------
    list of (int, int)
        Places of the prompts in the survey, and degrees: the first prompt of each kind, further ones if there are few
        kinds, and for some of them all degrees.

    Examples
    --------
    >>> chosen_clouds(["speech", "code", "speech"], [[0, 1], [0], [0]])
    [(0, 0), (0, 1), (1, 0), (2, 0)]
    """
    first = [list(kinds).index(kind) for kind in dict.fromkeys(kinds)][:MOST]
    others = [place for place in range(len(kinds)) if place not in first]
    prompts = sorted(first + others[: max(0, FEWEST - len(first))])
    shuffled = [place for place in prompts if len(degrees[place]) > 1][:SHUFFLED]
    return [(place, degree) for place in prompts for degree in degrees[place] if degree == 0 or place in shuffled]
