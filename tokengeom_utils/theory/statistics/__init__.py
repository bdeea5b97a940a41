"""Statistics over prompts: correlations with their uncertainty, and intervals for means.

Every function takes arrays whose *last* axis runs over prompts; leading axes are a batch.

>>> import numpy as np, tokengeom_utils as tg
>>> x = np.arange(10.0)
>>> round(float(tg.statistics.pearson(x, -2 * x)), 6)
-1.0
>>> noise = np.random.default_rng(0).normal(0, 3, 10)
>>> low, high = tg.statistics.correlation_interval(x, x + noise, n_bootstrap=500)
>>> bool(0 < low < high < 1)
True
"""

from .bootstrap import bootstrap_correlations, bootstrap_draws, bootstrap_interval, correlation_interval
from .correlation import partial_correlation, pearson, spearman
from .deals import Dealt, scores_elsewhere
from .intervals import fisher_interval, mean_interval
from .joint import joint_p_values, unit_covariances
from .loss import loss_correlation, mean_log_frequency
from .p_values import correlation_p_value, holm, p_text, sign_flip_p_value

__all__ = [
    "Dealt",
    "bootstrap_correlations",
    "bootstrap_draws",
    "bootstrap_interval",
    "correlation_interval",
    "correlation_p_value",
    "fisher_interval",
    "holm",
    "joint_p_values",
    "loss_correlation",
    "mean_interval",
    "mean_log_frequency",
    "p_text",
    "partial_correlation",
    "pearson",
    "scores_elsewhere",
    "sign_flip_p_value",
    "spearman",
    "unit_covariances",
]
