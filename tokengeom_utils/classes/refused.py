"""System calls that Linux refuses to a student's process, by a filter of seccomp.

Landlock and namespaces leave these open: sockets that are files, over which the programs of a desktop take orders; the
permissions and times of files that cannot be opened; and memory that belongs to no process, which no limit counts.
"""

import ctypes
import errno
import platform
import sys

#: By machine: the name of its system calls for audits, the number of ``seccomp``, and the calls below.
MACHINES = {"x86_64": (0xC000003E, 317), "aarch64": (0xC00000B7, 277)}
#: Calls that fail: socket, memfd_create, memfd_secret, shmget, io_uring_setup (which can open a socket).
FAILING = {"x86_64": (41, 319, 447, 29, 425), "aarch64": (198, 279, 447, 194, 425)}
#: Calls that succeed without effect, since copying a file makes them too: chmod, chown, utime, setxattr, removexattr,
#: each with its relatives.
IDLE = {
    "x86_64": (90, 91, 268, 452, 92, 93, 94, 260, 132, 235, 261, 280, 188, 189, 190, 463, 197, 198, 199, 466, 469),
    "aarch64": (52, 53, 452, 54, 55, 88, 5, 6, 7, 463, 14, 15, 16, 466, 469),
}
#: Instructions of the filter: load a word, compare it and skip, and return.
LOAD, EQUAL, AT_LEAST, RETURN = 0x20, 0x15, 0x35, 0x06
NUMBER, MACHINE = 0, 4  #: where the words are that it loads
ALLOW, ERROR = 0x7FFF0000, 0x00050000
#: The calls of x32, a second set on x86-64, have this bit; those of i386, a third, name another machine.
X32 = 0x40000000
PR_SET_NO_NEW_PRIVS, SET_FILTER, ALL_THREADS = 38, 1, 1


class _Program(ctypes.Structure):
    """The filter as the system takes it."""

    _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_char_p))


def can_refuse() -> bool:
    """Whether this system lets a process refuse system calls to itself."""
    if not _is_known():
        return False
    audit = ctypes.c_uint32(ERROR)
    get_action_available, libc = 2, ctypes.CDLL(None, use_errno=True)
    return not libc.syscall(MACHINES[platform.machine()][1], get_action_available, 0, ctypes.byref(audit))


def refuse() -> bool:
    """Refuse the calls to this process and to all that it starts; return whether the system does."""
    if not can_refuse():
        return False
    code = _filter(platform.machine())
    program, libc = _Program(len(code) // 8, code), ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    return not libc.syscall(MACHINES[platform.machine()][1], SET_FILTER, ALL_THREADS, ctypes.byref(program))


def _is_known() -> bool:
    """Whether the numbers of the calls are known here; a 32-bit Python makes others."""
    return sys.platform.startswith("linux") and platform.machine() in MACHINES and sys.maxsize > 2**32


def _filter(machine: str) -> bytes:
    """The instructions for a machine."""
    lines = [_line(LOAD, MACHINE), _line(EQUAL, MACHINES[machine][0], 1, 0), _line(RETURN, ERROR | errno.ENOSYS)]
    lines += [_line(LOAD, NUMBER), _line(AT_LEAST, X32, 0, 1), _line(RETURN, ERROR | errno.ENOSYS)]
    for calls, answer in ((FAILING, ERROR | errno.EACCES), (IDLE, ERROR)):
        for number in calls[machine]:
            lines += [_line(EQUAL, number, 0, 1), _line(RETURN, answer)]
    return b"".join([*lines, _line(RETURN, ALLOW)])


def _line(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    """One instruction; a comparison skips as many of the next ones as it says."""
    words = code.to_bytes(2, sys.byteorder), bytes([if_true, if_false]), value.to_bytes(4, sys.byteorder)
    return b"".join(words)
