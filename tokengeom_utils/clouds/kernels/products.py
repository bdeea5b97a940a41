"""Gram matrices of token clouds, of which only one half is computed."""

import torch

from ..threads import each

# Up to this many entries (2 GiB, N = 16384) the Gram matrix is held whole and only half of it computed.
WHOLE = 2**28
# Columns of it that a core computes at once.
STRIP = 128
# With fewer features, mirroring one half of it would take longer than multiplying.
WIDE = 256
# On a GPU a single cloud of up to this many tokens is multiplied whole: in strips the device waits for their launches
# (11.7 ms for 33 clouds of 1024 x 4096 on an H200, instead of 5.4 ms).
FULL = 2048


def gram(x: torch.Tensor, out: torch.Tensor | None = None) -> torch.Tensor:
    """Return x x^T of clouds (cloud, token, feature), into ``out`` on a CPU: half of it computed and mirrored."""
    clouds, n, d = x.shape
    if d < WIDE or (x.is_cuda and clouds == 1 and n <= FULL):
        return torch.matmul(x, x.mT, out=out)
    products = torch.empty(clouds, n, n, dtype=x.dtype, device=x.device) if out is None else out
    if x.device.type != "cpu":
        for rows in blocks(n, max(256, n // 8)):
            torch.matmul(x[:, rows], x[:, rows.start :].mT, out=products[:, rows, rows.start :])
            products[:, rows.stop :, rows] = products[:, rows, rows.stop :].mT
        return products
    from .cpu.compiled import mirror  # numba, not needed on a GPU

    arrays = products.numpy()

    @torch.inference_mode()  # the mode belongs to a thread, and a tensor made in it may only be written in it
    def fill(strips):
        for columns in strips:
            for i in range(clouds):
                torch.mm(x[i, : columns.stop], x[i, columns].T, out=products[i, : columns.stop, columns])
                mirror(arrays[i], columns.start, columns.stop)

    # Longer strips take more work, so each thread gets some from both ends.
    strips, n_threads = blocks(n, STRIP), torch.get_num_threads()
    each(fill, [strips[i :: 2 * n_threads] + strips[2 * n_threads - 1 - i :: 2 * n_threads] for i in range(n_threads)])
    return products


def blocks(n: int, size: int) -> list[slice]:
    """Return slices of at most ``size`` that together cover ``range(n)``."""
    size = max(1, size)
    return [slice(start, min(start + size, n)) for start in range(0, n, size)]
