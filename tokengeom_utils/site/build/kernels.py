"""Kernels for the chapters: where forking is safe, copies of a process that has everything imported.

They run in an environment of their own: a page must not depend on how its author's Python, IPython, Jupyter, or
matplotlib is configured. :mod:`.server` leaves out IPython's configuration files.
"""

import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from jupyter_client.provisioning import LocalProvisioner

from ... import processor
from ...errors import BuildError

#: On other systems, libraries may not survive a fork, and every kernel imports everything itself.
FORKS = sys.platform == "linux"
#: The user's settings of these programs do not reach a kernel ...
FOREIGN = ("IPYTHON", "JUPYTER", "MATPLOTLIB", "MPL", "PYTHON")
#: ... except for where things lie.
PLACES = {
    "MPLCONFIGDIR",  # with the cache of fonts
    "PYTHONHOME",
    "PYTHONPATH",
    "PYTHONUSERBASE",
    "PYTHONNOUSERSITE",
    "PYTHONPYCACHEPREFIX",
    "PYTHONDONTWRITEBYTECODE",
    "PYTHONUTF8",
}
#: No progress bars and no advice of libraries on a page.
ENVIRONMENT = {
    "TQDM_DISABLE": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "TOKENIZERS_PARALLELISM": "false",
    "PYTHONWARNINGS": "default",
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    **processor.settings(),
}
SERVER = [sys.executable, "-P", "-m", "tokengeom_utils.site.build.server"]


def environment(home: Path) -> dict[str, str]:
    """Return the environment variables of the kernels.

    Parameters
    ----------
    home : path
        An empty folder. IPython keeps its profile there, and matplotlib finds no settings of the user.

    Returns
    -------
    dict of str to str
        Those of this process, without the settings of Python, IPython, Jupyter, and matplotlib.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN) or name in PLACES}
    settings = home / "matplotlibrc"
    settings.touch()
    return kept | ENVIRONMENT | {"IPYTHONDIR": str(home / "ipython"), "MATPLOTLIBRC": str(settings)}


class Kernels:
    """Starts the kernels of a build, and stops all of them at its end.

    A context manager.

    Examples
    --------
    >>> with Kernels() as kernels:  # doctest: +SKIP
    ...     papermill.execute_notebook("in.ipynb", "out.ipynb", kernel_manager_class=kernels.manager())
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._server: subprocess.Popen[str] | None = None
        self._started: list[Any] = []
        self._stopped = False
        self._home = TemporaryDirectory(prefix="tokengeom-", ignore_cleanup_errors=True)

    def __enter__(self) -> "Kernels":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        if self._server:
            self._server.kill()
            with suppress(BrokenPipeError):
                self._server.communicate()
        self._home.cleanup()

    @property
    def stopped(self) -> bool:
        """Whether :meth:`stop` has been called."""
        return self._stopped

    def manager(self) -> type[AsyncKernelManager]:
        """Return a class of kernel managers, for nbclient, whose kernels belong to this object."""
        kernels = self

        class Manager(AsyncKernelManager):
            def __init__(self, **options):
                super().__init__(**options)
                self.kernel_id = str(uuid4())
                self.provisioner = _Provisioner(kernel_id=self.kernel_id, kernel_spec=self.kernel_spec, parent=self)
                self.provisioner.kernels = kernels

            @property
            def kernel_spec(self) -> KernelSpec:
                """Look nothing up: a user's own kernel named python3 would be found first."""
                return KernelSpec(argv=[*SERVER, "-f", "{connection_file}"], display_name="Python 3", language="python")

        return Manager

    def prepare(self) -> None:
        """Start to import in the background, so that the first kernel has less to wait for."""
        with self._lock:
            if FORKS and not self._server:
                self._server = subprocess.Popen(
                    SERVER,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                    start_new_session=True,
                    env=environment(Path(self._home.name)),
                )

    def stop(self) -> None:
        """Kill all kernels and start no more; clients that wait for one raise an error."""
        self._stopped = True
        if not self._lock.acquire(timeout=0.5):  # a thread waits for the server, which is still importing
            if self._server:
                self._server.kill()
            self._lock.acquire()
        for process in self._started:
            if process.poll() is None:
                process.kill()
        self._lock.release()

    def start(self, command: list[str], folder: str) -> Any:
        """Start a kernel.

        Parameters
        ----------
        command : list of str
            From the kernel specification; its arguments are those from ``-f`` on.
        folder : str
            The kernel's working directory.

        Returns
        -------
        ForkedKernel or subprocess.Popen

        Raises
        ------
        BuildError
            If the kernels have been stopped, or the server has ended.
        """
        arguments = command[command.index("-f") :]
        self.prepare()
        with self._lock:
            if self._stopped:
                raise BuildError("the build was stopped")
            if FORKS:
                process = self._fork([folder, *arguments])
            else:
                process = subprocess.Popen(
                    [*SERVER, *arguments],
                    cwd=folder,
                    env=environment(Path(self._home.name)),
                    stdin=subprocess.DEVNULL,
                    start_new_session=True,
                )
            self._started.append(process)
        return process

    def _fork(self, request):
        """Ask the server for a kernel; its first answer comes when it has imported everything."""
        try:
            self._server.stdin.write(json.dumps(request) + "\n")
            self._server.stdin.flush()
            return ForkedKernel(int(self._server.stdout.readline()))
        except (BrokenPipeError, ValueError):
            raise BuildError("the process that starts the kernels has ended; its messages are above") from None


class ForkedKernel:
    """A kernel that the server has forked, with the part of :class:`subprocess.Popen` that jupyter_client uses."""

    stdin = stdout = stderr = None

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def poll(self) -> int | None:
        """Return None while the kernel runs, then 0: its exit code is not known."""
        try:
            state = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return 0
        return 0 if state in "ZX" else None

    def wait(self) -> int | None:
        """Return at once: jupyter_client calls it when :meth:`poll` has found that the kernel ended."""
        return self.poll()

    def send_signal(self, number: int) -> None:
        """Send a signal, if the kernel still runs."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End the kernel and the processes it started."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    terminate = kill


class _Provisioner(LocalProvisioner):
    """Takes its kernels from a :class:`Kernels`."""

    kernels: Kernels

    async def launch_kernel(self, cmd, **kwargs):
        """Start the kernel."""
        self.process = self.kernels.start(cmd, str(kwargs.get("cwd") or os.getcwd()))
        self.pid = self.pgid = self.process.pid
        return self.connection_info
