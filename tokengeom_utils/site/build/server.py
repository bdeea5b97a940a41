"""A process that has everything imported and starts each chapter's kernel as a copy of itself.

Importing torch, transformers, numba and matplotlib, and using them for the first time, takes about six seconds of one
core. A forked kernel skips all of it. Run as ``python -m tokengeom_utils.site.build.server`` by :mod:`.kernels`: for
each line on standard input, the arguments of a kernel as JSON, it starts one and answers with its process id. It ends
with its input, and its kernels end with it.
"""

import atexit
import contextlib
import gc
import json
import os
import signal
import sys
import traceback
import warnings

from ipykernel.kernelapp import IPKernelApp
from traitlets import Unicode


class ChapterKernel(IPKernelApp):
    """A Python kernel that ignores the configuration of IPython, and writes down which files it opens."""

    opened = Unicode(help="File to which the names of all files that the kernel opens are appended.").tag(config=True)

    def initialize(self, argv: list[str] | None = None) -> None:
        """Set up the kernel from its command line."""
        super().initialize(argv)
        if self.opened:
            record_opened(self.opened)

    def load_config_file(self, *_: object, **__: object) -> None:
        """Load nothing: the options of the command line are all there is."""

    def init_code(self) -> None:
        """Run no startup files, neither the user's nor the system's."""


def record_opened(log: str) -> None:
    """Append to a file the absolute name of every file that this process opens for reading from now on.

    Parameters
    ----------
    log : str
        The file; each name is written once, on a line of its own.
    """
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    seen = set()

    def hook(event, args):
        if event != "open" or not isinstance(args[0], str | bytes) or _only_writes(args[2]):
            return
        with contextlib.suppress(Exception):  # an exception here would fail the caller's open()
            name = os.path.abspath(os.fsdecode(args[0]))
            if name not in seen:
                seen.add(name)
                os.write(descriptor, os.fsencode(name) + b"\n")

    sys.addaudithook(hook)  # it cannot be removed: it lives as long as the kernel


def _only_writes(flags):
    return flags & (os.O_WRONLY | os.O_RDWR) == os.O_WRONLY


def warm_up() -> None:
    """Import whatever chapters use, and use it once.

    Nothing here may start a thread of OpenMP, which would not exist in a forked process: so torch works on one thread,
    and never touches a GPU.
    """
    import numpy as np
    import pandas as pd
    import torch

    from ... import check, claims  # noqa: F401
    from ...errors import InputError
    from ...models.load import load_model
    from ...surveys import results  # noqa: F401
    from ...surveys.measure import measure_tokens
    from ...theory import transport  # noqa: F401
    from .. import figures  # noqa: F401

    pd.set_option("display.max_columns", 20)  # as in a kernel: pandas takes this process for a terminal
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with contextlib.suppress(InputError):  # the bundled model has not been fetched
        model = load_model(device="cpu")
        measure_tokens(model, np.arange(64), scale_max=16, k_max=15)
        del model
    torch.set_num_threads(threads)
    gc.collect()
    gc.freeze()  # the collector of a kernel leaves these pages alone, and so they stay shared


def serve() -> None:
    """Start a kernel for each line of input, until there are no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the build decides what an interrupt stops
    warm_up()
    warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)  # BLAS is ready for it
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the kernels
    parent = os.getpid()
    for line in sys.stdin:
        pid = os.fork()
        if not pid:
            _become_kernel([*json.loads(line), f"--ChapterKernel.parent_handle={parent}"])
        print(pid, flush=True)


def _become_kernel(arguments):
    """Run a kernel in a process just forked, and end the process with it."""
    code = 1
    try:
        os.setsid()  # its own group: an interrupt of its work reaches its own processes alone
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(2, 1)  # not into the answers
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        folder, *rest = arguments
        os.chdir(folder)
        ChapterKernel.launch_instance(rest)
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 0
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(BaseException):
            atexit._run_exitfuncs()
        os._exit(code)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        ChapterKernel.launch_instance()
    else:
        serve()
        os._exit(0)  # a normal exit takes a second, and some libraries warn about objects that are still alive
