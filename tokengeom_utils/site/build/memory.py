"""How many chapters run at once: as many as the free memory holds."""

import os
from contextlib import suppress
from pathlib import Path

#: The most chapters at once, on as many cores: a kernel draws with one core.
AT_ONCE = 2
#: Bytes that two chapters at once need with the process that forks their kernels; any chapter alone needs less than
#: half of the machine that is said to be enough.
FOR_TWO = 5 * 2**30
MEMINFO, MEMBERSHIP, CGROUP = Path("/proc/meminfo"), Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")
#: Of version 2 and version 1, by the controllers in MEMBERSHIP: folder, limit, use, and the caches in memory.stat.
FILES = {
    "": ("", "memory.max", "memory.current", "inactive_file"),
    "memory": ("memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
}


def at_once() -> int:
    """Return how many chapters may run at once now.

    Returns
    -------
    int
        1 if the free memory is not known.
    """
    free = free_memory()
    return min(AT_ONCE if free and free >= FOR_TWO else 1, os.cpu_count() or 1)


def free_memory() -> int | None:
    """Return the memory in bytes that new processes can use without swapping.

    Returns
    -------
    int or None
        Linux reports it, and a container or a batch system may limit it further. Elsewhere half of the whole memory
        is taken to be free. None if the system reports neither.
    """
    try:
        lines = dict(line.split(":", 1) for line in MEMINFO.read_text().splitlines())
        return min([int(lines["MemAvailable"].split()[0]) * 1024, *_allowance()])
    except (OSError, KeyError, ValueError):
        pass
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    except (AttributeError, OSError, ValueError):
        return None


def _allowance():
    """What the control groups of this process leave of their limits, with caches of files counted as free."""
    for line in MEMBERSHIP.read_text().splitlines() if MEMBERSHIP.is_file() else ():
        _, controllers, own = line.split(":", 2)
        if controllers not in FILES:
            continue
        folder, limit, used, cache = FILES[controllers]
        root = CGROUP / folder
        group = root / own.lstrip("/")
        for place in (group, *(parent for parent in group.parents if parent.is_relative_to(root))):
            with suppress(OSError, ValueError):  # no limit: the file is missing or reads "max"
                stat = dict(line.split() for line in (place / "memory.stat").read_text().splitlines())
                yield int((place / limit).read_text()) - int((place / used).read_text()) + int(stat.get(cache, 0))
