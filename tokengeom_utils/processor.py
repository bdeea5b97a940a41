"""What the process should know about the processor before numpy and torch are imported.

Both read their environment at import, so the command line, the kernels of the chapters, the tests and the
benchmarks set these first. Results do not depend on them, only the time they take.
"""

import os
from importlib import metadata
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")


def settings():
    """Environment variables that suit this processor, as a dict.

    - Threads that spin while they wait for each other slow a busy machine down about eightfold; those that
      sleep cost a few percent on an idle one.
    - numpy's selection for AVX-512 stores compressed vectors, which Zen 4 does in microcode: its version for
      AVX2 is faster there (``benchmarks/`` says what that is worth to the observables).
    """
    chosen = {"OMP_WAIT_POLICY": "PASSIVE"}
    if _is_zen4() and tuple(map(int, metadata.version("numpy").split(".")[:2])) >= (2, 4):
        chosen["NPY_DISABLE_CPU_FEATURES"] = "X86_V4 AVX512_ICL"
    return chosen


def apply():
    """Put :func:`settings` into the environment, where it does not say otherwise."""
    for name, value in settings().items():
        os.environ.setdefault(name, value)


def facts(cpuinfo=CPUINFO):
    """What Linux says of the first core, as a dict of strings; empty where there is no such file."""
    try:
        lines = cpuinfo.read_text().split("\n\n")[0].splitlines()
    except OSError:
        return {}
    return {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}


def _is_zen4(cpuinfo=CPUINFO):
    found = facts(cpuinfo)
    is_family = (found.get("vendor_id"), found.get("cpu family")) == ("AuthenticAMD", "25")
    return is_family and "avx512_vbmi2" in found.get("flags", "").split()
