"""The processes that execute chapters: they start, they end with the build, and a failure is reported."""

import os
import time
from concurrent.futures import ThreadPoolExecutor

import nbformat
import papermill
import pytest
from conftest import PATIENCE
from nbclient.exceptions import DeadKernelError

from tokengeom_utils.errors import BuildError
from tokengeom_utils.site.build import kernels as module
from tokengeom_utils.site.build.kernels import Kernels

each_kind = pytest.mark.parametrize("forks", [True, False])


def execute(kernels, tmp_path, *sources):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
    nbformat.write(notebook, tmp_path / "in.ipynb")
    made = papermill.execute_notebook(
        tmp_path / "in.ipynb",
        tmp_path / "out.ipynb",
        kernel_name="python3",
        progress_bar=False,
        kernel_manager_class=kernels.manager(),
        resources={"metadata": {"path": str(tmp_path)}},
        extra_arguments=["--ChapterKernel.log_level=CRITICAL"],
    )
    return ["".join(output.text for output in cell.outputs if output.output_type == "stream") for cell in made.cells]


def ends(pid):
    """Whether a process that was told to end does so; one that is still writing its data has ten seconds."""
    for _ in range(200):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


@pytest.fixture
def kind(forks, monkeypatch):
    if forks and not module.FORKS:
        pytest.skip("no forks on this system")
    monkeypatch.setattr(module, "FORKS", forks)


@each_kind
def test_a_kernel_works_in_its_folder_and_ends_with_its_notebook(kind, tmp_path):
    code = (
        "import os, subprocess, sys\nprint(os.getpid(), os.getcwd(), sys.stdin.read() == '')",
        "print(subprocess.run(['true']).returncode, os.environ['TQDM_DISABLE'])",
        "import torch\nprint(torch.ones(999, 999).matmul(torch.ones(999, 999)).max().item(), torch.get_num_threads())",
    )
    with Kernels() as kernels:
        first, second, third = execute(kernels, tmp_path, *code)
        import torch

        assert second.split() == ["0", "1"] and third.split() == ["999.0", str(torch.get_num_threads())]
        pid, folder, no_input = first.split()
        assert folder == str(tmp_path) and no_input == "True"
        assert ends(int(pid))


@each_kind
def test_a_kernel_shows_tables_as_in_a_notebook(kind, tmp_path):
    with Kernels() as kernels:
        code = "import pandas as pd\nprint(pd.DataFrame([range(12)], columns=[f'a long name {i}' for i in range(12)]))"
        (shown,) = execute(kernels, tmp_path, code)
        assert "a long name 5" in shown and "..." not in shown


@each_kind
def test_stopping_ends_a_kernel_at_work(kind, tmp_path):
    with Kernels() as kernels, ThreadPoolExecutor(1) as pool:
        code = "import os, time\nprint(os.getpid(), file=open('pid', 'w'), flush=True)\ntime.sleep(600)"
        running = pool.submit(execute, kernels, tmp_path, code)
        while not (tmp_path / "pid").is_file() or not (tmp_path / "pid").read_text():
            time.sleep(0.05)
        kernels.stop()
        with pytest.raises(DeadKernelError):
            running.result(timeout=PATIENCE)
        assert ends(int((tmp_path / "pid").read_text()))
        with pytest.raises(BuildError, match="the build was stopped"):
            execute(kernels, tmp_path, "1")


def test_a_kernel_that_crashes_is_an_error(tmp_path):
    with Kernels() as kernels, pytest.raises(DeadKernelError):
        execute(kernels, tmp_path, "import os\nos.kill(os.getpid(), 9)")


@pytest.mark.skipif(not module.FORKS, reason="no forks on this system")
def test_kernels_end_with_their_server(tmp_path):
    with Kernels() as kernels, ThreadPoolExecutor(1) as pool:
        code = "import os, time\nprint(os.getpid(), file=open('pid', 'w'), flush=True)\ntime.sleep(600)"
        running = pool.submit(execute, kernels, tmp_path, code)
        while not (tmp_path / "pid").is_file() or not (tmp_path / "pid").read_text():
            time.sleep(0.05)
        kernels._server.kill()
        with pytest.raises(DeadKernelError):
            running.result(timeout=PATIENCE)


@pytest.mark.skipif(not module.FORKS, reason="no forks on this system")
def test_a_server_that_fails_is_reported(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SERVER", [*module.SERVER[:1], "-c", "raise SystemExit('no kernels today')"])
    with Kernels() as kernels, pytest.raises(BuildError, match="the process that starts the kernels has ended"):
        execute(kernels, tmp_path, "1")
