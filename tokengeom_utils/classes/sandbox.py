"""What keeps a student's process apart: limits, and on Linux no network and no files but its own.

Everything here is as strong as the system allows, and :func:`closed` says how strong that is. Linux offers
namespaces (``unshare``), which may be forbidden in a container, Landlock, which needs version 5.13 and restricts
files, from 6.7 on also TCP, and from 6.12 on signals, and seccomp, which :mod:`.refused` uses.
"""

import ctypes
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from ..paths import cache_path, data_path
from .refused import can_refuse, refuse

#: A network, a list of processes, and a mount table of its own; everything in it ends with the first process.
UNSHARE = ("--user", "--map-root-user", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "--ipc", "--")
#: The most processes and threads of a notebook, and the largest file in bytes.
PROCESSES, FILE = 100, 200 * 2**20
#: All files together, in namespaces, and where processes share memory and locks.
SPACE = "size=256m,nr_inodes=10000"
SHARED, SHARED_SPACE = Path("/dev/shm"), "size=64m,nr_inodes=1000"
#: System calls of Landlock, with the same numbers on x86 and Arm, and its bits for reading, running, and listing.
CREATE, ADD, RESTRICT, READING = 444, 445, 446, 0b1101
#: Rights by version of Landlock: all that concern files, and from version 4 on those for TCP.
FILE_RIGHTS = {1: 2**13 - 1, 2: 2**14 - 1, 3: 2**15 - 1, 4: 2**15 - 1}
TCP_RIGHTS = 0b11
#: What stays among the processes of a notebook, from version 6 on: signals.
SCOPE = 0b10
SYSTEM = ("/usr", "/bin", "/lib", "/lib32", "/lib64", "/etc", "/proc", "/sys", "/opt", "/nix", "/run/systemd/resolve")
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")


@cache
def has_namespaces() -> bool:
    """Whether a process can be started in namespaces of its own."""
    program = shutil.which("unshare")
    if not sys.platform.startswith("linux") or not program:
        return False
    try:
        return not subprocess.run([program, *UNSHARE, "true"], capture_output=True, timeout=20).returncode
    except (OSError, subprocess.TimeoutExpired):
        return False


def landlock_version() -> int:
    """The version of Landlock in this system; 0 without."""
    if not sys.platform.startswith("linux"):
        return 0
    return max(0, ctypes.CDLL(None, use_errno=True).syscall(CREATE, None, ctypes.c_size_t(0), ctypes.c_uint32(1)))


def closed(memory: int, seconds: float) -> str:
    """Say in words how a student's process is kept apart on this system.

    Parameters
    ----------
    memory : int
        Bytes.
    seconds : float
        For one cell.

    Returns
    -------
    str
    """
    version, isolated = landlock_version(), has_namespaces()
    if isolated or can_refuse():
        network = "no network"
    elif version >= 4:
        network = "no TCP connections"
    else:
        network = "the network is NOT closed on this system"
    files = "no files of others" if version else "files of this user are NOT closed on this system"
    bounds = f"at most {memory / 2**30:.3g} GiB, {seconds:g} s for a cell"
    return f"each notebook in a process of its own: {network}, {files}, {bounds}"


def isolated_command(command: Sequence[str]) -> list[str]:
    """Return the command that starts another one in namespaces of its own, where that is possible."""
    return [shutil.which("unshare") or "", *UNSHARE, *command] if has_namespaces() else list(command)


def enter(folder: Path, isolated: bool) -> list[Path]:
    """Make a folder the current one, in namespaces as a file system of its own, which limits all files together.

    Files that were deleted count there as long as they are open, and everything is gone with the process. The folder
    for locks is another one; without it, ``multiprocessing`` starts no pool.

    Parameters
    ----------
    folder : path
    isolated : bool
        Whether this process runs in namespaces of its own.

    Returns
    -------
    list of pathlib.Path
        The folders that belong to this process alone.
    """
    own = [folder]
    if isolated:
        _mount(folder, SPACE)
        own += [SHARED] * _mount(SHARED, SHARED_SPACE)
    os.chdir(folder)
    return own


def _mount(folder: Path, size: str) -> bool:
    """Put an empty file system in memory at a folder; return whether that was possible."""
    kind, flags = b"tmpfs", ctypes.c_ulong(0b110)  # MS_NOSUID and MS_NODEV
    return not ctypes.CDLL(None).mount(kind, os.fsencode(folder), kind, flags, size.encode())


def confine(own: Sequence[Path], memory: int, isolated: bool) -> None:
    """Take from this process, and from all that it starts, what a student's code does not need.

    Parameters
    ----------
    own : sequence of path
        The only places where it can write.
    memory : int
        Bytes.
    isolated : bool
        Whether it runs in namespaces of its own.
    """
    if os.name == "posix":
        import resource

        wanted = {"RLIMIT_DATA": memory, "RLIMIT_FSIZE": FILE, "RLIMIT_CORE": 0}
        if sys.platform == "darwin":
            wanted["RLIMIT_AS"] = memory
        if isolated:  # elsewhere it would count all processes of the teacher; root is exempt
            wanted["RLIMIT_NPROC"] = PROCESSES
        for name, most in wanted.items():
            limit = getattr(resource, name)
            hard = resource.getrlimit(limit)[1]
            most = most if hard == resource.RLIM_INFINITY else min(most, hard)
            resource.setrlimit(limit, (most, most))
    _close_files(own)
    refuse()


def _close_files(own: Sequence[Path]) -> None:
    """Leave only some folders for writing, and only Python, the package, and the system for reading."""
    version = landlock_version()
    if not version:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    rights = FILE_RIGHTS[min(version, max(FILE_RIGHTS))]
    handled = (ctypes.c_uint64 * 3)(rights, TCP_RIGHTS if version >= 4 else 0, SCOPE if version >= 6 else 0)
    size = ctypes.c_size_t(24 if version >= 6 else 16 if version >= 4 else 8)
    rules = libc.syscall(CREATE, ctypes.byref(handled), size, ctypes.c_uint32(0))
    if rules < 0:
        return
    for path in _readable():
        _allow(libc, rules, path, READING if path.is_dir() else READING & 0b101)
    for name in DEVICES:
        _allow(libc, rules, Path(name), 0b110)
    for folder in own:
        _allow(libc, rules, folder, rights)
    libc.prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS, without which a user may not restrict a process
    libc.syscall(RESTRICT, rules, ctypes.c_uint32(0))
    os.close(rules)


def _readable() -> list[Path]:
    """Where Python, its packages, this package, its cache, and the system lie; no other folder of the project."""
    package = Path(__file__).parents[1]
    found = {package, data_path(), cache_path(), *map(Path, SYSTEM), Path(sys.base_prefix), Path(sys.prefix)}
    found |= {Path(path) for path in sysconfig.get_paths().values()}
    found |= {Path(entry) for entry in sys.path if entry and Path(entry) != package.parent}
    return [path.resolve() for path in found if path.exists()]


def _allow(libc: ctypes.CDLL, rules: int, path: Path, rights: int) -> None:
    """Add a rule of Landlock for everything below a path."""
    try:
        place = os.open(path, os.O_RDONLY | getattr(os, "O_PATH", 0))
    except OSError:
        return
    rule = rights.to_bytes(8, sys.byteorder) + place.to_bytes(4, sys.byteorder, signed=True)
    libc.syscall(ADD, rules, ctypes.c_uint32(1), rule, ctypes.c_uint32(0))
    os.close(place)
