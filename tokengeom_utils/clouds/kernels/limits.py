"""Constants that all compute paths share, so that they agree on what counts as equal."""

import numpy as np

#: Pairs whose squared distance is below this fraction of their squared norms lose digits to cancellation in
#: |x|^2 + |y|^2 - 2 x.y, so their distance is computed from the difference instead.
CANCELLATION = 1e-4
#: A distance below this fraction of the cloud's size belongs to two duplicates. The size is the root-mean-square radius
#: of the cloud, or the median first distance where only a table of distances is known.
DUPLICATE = 1e-8
#: The ratio of two equal distances in the likelihood of GRIDE.
TIED = 1 + 10 * np.finfo(np.float64).eps
