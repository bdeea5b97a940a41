"""Environment variables that tune numpy and torch to the processor.

Both libraries read their environment when they are imported, so the command line, the kernels of the chapters, the
tests, and the benchmarks set these variables first. They affect speed only, not results.
"""

import os
from importlib import metadata
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")


def settings() -> dict[str, str]:
    """Return the environment variables that suit this processor.

    Returns
    -------
    dict of str to str

    Notes
    -----
    - Threads that spin while they wait slow a busy machine down about eightfold; threads that sleep cost a few
      percent on an idle one.
    - On AMD Zen 4, numpy's partial sort for AVX-512 uses compressed stores, which that processor runs in microcode.
      The AVX2 version is faster there; ``benchmarks/`` measures by how much.

    Examples
    --------
    >>> settings()["OMP_WAIT_POLICY"]
    'PASSIVE'
    """
    chosen = {"OMP_WAIT_POLICY": "PASSIVE"}
    if _is_zen4() and tuple(map(int, metadata.version("numpy").split(".")[:2])) >= (2, 4):
        chosen["NPY_DISABLE_CPU_FEATURES"] = "X86_V4 AVX512_ICL"
    return chosen


def apply() -> None:
    """Set the variables of :func:`settings` in this process, except those the user has set already."""
    for name, value in settings().items():
        os.environ.setdefault(name, value)


def facts(cpuinfo: Path = CPUINFO) -> dict[str, str]:
    """Read Linux's description of the first core.

    Parameters
    ----------
    cpuinfo : pathlib.Path

    Returns
    -------
    dict of str to str
        Empty on systems without this file.
    """
    try:
        lines = cpuinfo.read_text().split("\n\n")[0].splitlines()
    except OSError:
        return {}
    return {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}


def _is_zen4(cpuinfo=CPUINFO):
    """Whether the processor is an AMD Zen 4."""
    found = facts(cpuinfo)
    is_family = (found.get("vendor_id"), found.get("cpu family")) == ("AuthenticAMD", "25")
    return is_family and "avx512_vbmi2" in found.get("flags", "").split()
