"""The numerics under other instruction sets, so that one processor stands for many.

The settings narrow what MKL, torch, numpy and numba use, in processes of their own because all are read at import.
"""

import os
import platform
import subprocess
import sys

import pytest
from conftest import PROJECT, UNMEASURED

TESTED = [f"tests/clouds/test_{name}.py" for name in ("ties", "neighbors", "cpu", "overlap", "cosine", "rank")]
# Of the GPU's path, the case that once depended on the processor, as Triton's interpreter is slow.
TESTED += ["tests/clouds/test_gpu.py::test_several_prompts_of_which_one_has_copies"]
LEFT_OUT = "tests/clouds/test_cpu.py::test_the_process_that_compiles_finds_the_same_as_those_that_come_after"
SETTINGS = {
    "SSE": {
        "MKL_CBWR": "COMPATIBLE",
        "ATEN_CPU_CAPABILITY": "default",
        "NUMBA_CPU_NAME": "x86-64",
        "NPY_DISABLE_CPU_FEATURES": "X86_V4 X86_V3",
    },
    "AVX2": {"MKL_CBWR": "AVX2", "ATEN_CPU_CAPABILITY": "avx2", "NUMBA_CPU_NAME": "haswell"},
}
pytestmark = pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="the settings are those of x86")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A run of the tests under each setting, both at once."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *TESTED, "--deselect", LEFT_OUT]
    cache = tmp_path_factory.mktemp("numba")  # compiled code of one setting is of no use to another
    started = {
        name: subprocess.Popen(
            command,
            cwd=PROJECT,
            env={**UNMEASURED, **setting, "NUMBA_CACHE_DIR": str(cache / name)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for name, setting in SETTINGS.items()
    }
    yield started
    for run in started.values():
        run.kill()


@pytest.mark.parametrize("name", SETTINGS)
def test_numerics_pass_under_another_instruction_set(name, runs):
    output, _ = runs[name].communicate()
    assert runs[name].returncode == 0, output[-3000:]


@pytest.mark.parametrize("name", SETTINGS)
def test_the_setting_is_in_force(name):
    """Otherwise the run above would show nothing."""
    code = "import numba, torch; print(torch.backends.cpu.get_cpu_capability(), numba.config.CPU_NAME)"
    env = {**os.environ, **SETTINGS[name]}
    found = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True).stdout
    assert found.split() == [SETTINGS[name]["ATEN_CPU_CAPABILITY"].upper(), SETTINGS[name]["NUMBA_CPU_NAME"]]
