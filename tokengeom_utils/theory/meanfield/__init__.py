r"""Self-attention as interacting particles on the sphere: the mean-field picture of a transformer.

Tokens are unit vectors and depth is time. In the simplest model (queries, keys and values all the identity, no
feed-forward layers, no mask) a token moves, along the sphere, toward an average of the tokens, weighted by attention
at inverse temperature :math:`\beta`:

.. math:: \dot x_i = P_{x_i} \frac1{Z_i} \sum_j e^{\beta \langle x_i, x_j \rangle} x_j ,
          \qquad P_x y = y - \langle x, y \rangle x .

``"SA"`` is softmax attention, :math:`Z_i = \sum_j e^{\beta \langle x_i, x_j \rangle}`; ``"USA"`` is the unnormalized
variant, :math:`Z_i = n`, which is a gradient flow. All functions compute in float64, and the leading dimensions of a
cloud are a batch.

>>> import torch, tokengeom_utils as tg
>>> start = torch.eye(8)  # eight orthogonal tokens
>>> path = tg.meanfield.simulate(start, beta=1.0, times=[0, 2, 8])
>>> path.shape  # (time, token, feature)
torch.Size([3, 8, 8])
>>> tg.meanfield.count_clusters(path)
tensor([8, 8, 1])

References
----------
Geshkovski, Letrouit, Polyanskiy, Rigollet, *A mathematical perspective on Transformers*, Bulletin of the AMS 62,
427-479 (2025), arXiv:2312.10794; called GLPR below.
"""

from .clusters import count_clusters, wave_rate
from .cosine import clustering_time, cosine_ode, cosine_speed
from .dynamics import KINDS, simulate, velocity
from .energy import effective_groups, interaction_energy
from .hemisphere import hemisphere_margin, hemisphere_probability
from .limit import part_error, stability_rate
from .moves import common_push, dealt_moves, random_moves, theory_moves
from .sphere import to_sphere, uniform_tokens

__all__ = [
    "KINDS",
    "clustering_time",
    "common_push",
    "cosine_ode",
    "cosine_speed",
    "count_clusters",
    "dealt_moves",
    "effective_groups",
    "hemisphere_margin",
    "hemisphere_probability",
    "interaction_energy",
    "part_error",
    "random_moves",
    "simulate",
    "stability_rate",
    "theory_moves",
    "to_sphere",
    "uniform_tokens",
    "velocity",
    "wave_rate",
]
