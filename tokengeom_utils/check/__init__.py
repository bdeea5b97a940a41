"""Checkers for the exercises, in the order of the book: each tries your function and returns a verdict or a hint.

A checker takes the function that an exercise asks for and calls it where the answer is known. Its docstring states the
arguments and the result. In a graded cell it is asked for points, and raises an error if there are none. Each chapter's
checkers are in the module named after the chapter's file; ``answer``, ``attempt``, and ``limit`` hold what they share.

>>> import tokengeom_utils as tg
>>> tg.check.chance_overlap(lambda k, n: k / n)
not yet: a token is never its own neighbor, so its k neighbors are drawn from n - 1 others, not from n
>>> tg.check.chance_overlap(lambda k, n: k / (n - 1))
correct
>>> tg.check.chance_overlap(lambda k, n: k / (n - 1), points=3)
correct
3.0
"""

from difflib import get_close_matches

# isort: off
# The imports and __all__ follow the book, not the alphabet.
from .answer import Answer, NotYet, checker, close, expect, reached, value
from .the_paper_in_one_page import relative_peak, align
from .empirical_measures import w2_line, same_measure, w2_gaussians
from .mean_field import sa_velocity, hemisphere, cosine_speed
from .lasting_groups import fastest_wave
from .mean_field_in_a_real_model import effective_groups, energy_change
from .extraction import next_token_loss, loss_in_chunks, block_inputs
from .cosine_similarity import mean_cosine, leave_one_out, neighbor_angle
from .intrinsic_dimension import volume_fraction, two_nn, gride_error, gride_one_scale
from .estimators_compared import correlation_dimension, participation_ratio, three_averages
from .neighborhood_overlap import chance_overlap, overlap, reciprocity
from .shuffle_control import shuffle_blocks, ngram_precision, sign_flip
from .loss_correlation import fisher_interval, partial_correlation, resampled_correlations, mean_log_frequency
from .from_geometry_to_loss import logit_factor, dirichlet_entropy_of, box_entropy
from .untrained_twin import untrained_loss, causal_mean, twin_held_fixed
from .your_own_text import percentile_rank, unusual
from .what_a_survey_costs import count_measurements, enough_workers, is_whole
from .reproduction_report import kinds_needed, joint_p_values, holm
# isort: on

__all__ = [  # noqa: RUF022
    "Answer",
    "NotYet",
    "checker",
    "close",
    "expect",
    "reached",
    "value",
    "relative_peak",
    "align",
    "w2_line",
    "same_measure",
    "w2_gaussians",
    "sa_velocity",
    "hemisphere",
    "cosine_speed",
    "fastest_wave",
    "effective_groups",
    "energy_change",
    "next_token_loss",
    "loss_in_chunks",
    "block_inputs",
    "mean_cosine",
    "leave_one_out",
    "neighbor_angle",
    "volume_fraction",
    "two_nn",
    "gride_error",
    "gride_one_scale",
    "correlation_dimension",
    "participation_ratio",
    "three_averages",
    "chance_overlap",
    "overlap",
    "reciprocity",
    "shuffle_blocks",
    "ngram_precision",
    "sign_flip",
    "fisher_interval",
    "partial_correlation",
    "resampled_correlations",
    "mean_log_frequency",
    "logit_factor",
    "dirichlet_entropy_of",
    "box_entropy",
    "untrained_loss",
    "causal_mean",
    "twin_held_fixed",
    "percentile_rank",
    "unusual",
    "count_measurements",
    "enough_workers",
    "is_whole",
    "kinds_needed",
    "joint_p_values",
    "holm",
]


def __getattr__(name: str) -> object:
    """Name the checker that was probably meant, also in Jupyter, whose errors lack Python's suggestions."""
    similar = get_close_matches(name, __all__, n=1)
    raise AttributeError(f"there is no checker {name}" + (f": did you mean {similar[0]}?" if similar else ""))
