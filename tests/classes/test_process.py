"""A student's process: what it may do, what is kept from it, and that nothing in it decides about points."""

import io
import json
import os
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from conftest import PROJECT

from tokengeom_utils import check
from tokengeom_utils.check import answer as checking
from tokengeom_utils.check.attempt import Hint
from tokengeom_utils.check.cosine_similarity import Work
from tokengeom_utils.classes import process as grader
from tokengeom_utils.classes import refused, sandbox, wire, worker
from tokengeom_utils.classes.exercises import read_exercises
from tokengeom_utils.classes.process import Process
from tokengeom_utils.classes.sandbox import has_namespaces, landlock_version
from tokengeom_utils.classes.sheet import SETUP

CODED = {exercise.id: exercise for exercise in read_exercises(PROJECT) if exercise.own}
MEMORY = 2 * 2**30

namespaces = pytest.mark.skipif(not has_namespaces(), reason="this system gives no namespaces to a user")
landlock = pytest.mark.skipif(not landlock_version(), reason="this system has no Landlock")
seccomp = pytest.mark.skipif(not refused.can_refuse(), reason="this system refuses no system calls")


@pytest.fixture(scope="module")
def started():
    """A process, which the tests share as long as it lives."""
    process = Process(MEMORY)
    assert process.run(SETUP, 60) == ""
    yield process
    process.close()


@pytest.fixture
def own():
    """A process for one test."""
    process = Process(MEMORY)
    assert process.run(SETUP, 60) == ""
    yield process
    process.close()


# --- the same answers as in a notebook ---


@pytest.mark.parametrize("label", CODED)
def test_a_solution_is_right_and_a_stub_is_not_in_another_process(started, label):
    exercise = CODED[label]
    checker = getattr(check, exercise.checker)
    assert started.run(exercise.answer, 60) == ""
    assert checker(started.function(exercise.function)).passed
    assert started.run(exercise.stub, 60) == ""
    assert "returns nothing" in checker(started.function(exercise.function)).hint


FUNCTIONS = {
    "block_inputs": [
        "seen = []\nfor block in network:\n    seen.append(x)\n    x = block(x)\nreturn seen",
        "seen = []\nfor block in network:\n"
        "    block.register_forward_pre_hook(lambda block, args: seen.append(args[0]))\n"
        "network(x)\nreturn seen",
        "network.eval()\nreturn [x for block in network]",
        "network[0].weight.data += 1\nreturn [x for block in network]",
    ],
    "loss_in_chunks": [
        "p = torch.log_softmax(head(states[:-1]), -1)\nreturn -p[torch.arange(len(ids) - 1), ids[1:]]",
    ],
    "mean_cosine": [
        "u = cloud / cloud.norm(dim=1, keepdim=True)\nreturn (u @ u.T).mean()",
        "u = (cloud / cloud.norm(dim=1, keepdim=True)).numpy()\nreturn (u @ u.T).mean()",
    ],
    "two_nn": [
        "distances *= 2\nreturn 1.0",
        "return np.random.default_rng().uniform()",
        "return distances.mean(dim=0)",
        "y = 1\nreturn y / 0",
        "raise SystemExit(3)",
    ],
    "shuffle_blocks": ["return rng.permutation(token_ids)"],
    "gride_one_scale": ["return 2.0"],
}
HEADS = {exercise.function: exercise.stub.splitlines()[0] for exercise in CODED.values()}
WRONG = [("two_nn", "two_nn = 3")]
WRONG += [
    (name, HEADS[name] + "".join(f"\n    {line}" for line in body.splitlines()))
    for name, bodies in FUNCTIONS.items()
    for body in bodies
]


@pytest.mark.parametrize("name, source", WRONG)
def test_a_hint_is_the_same_in_another_process(started, name, source):
    assert started.run(source, 60) == ""
    names = {}
    exec(f"{SETUP}\n{source}", names)
    here = getattr(check, name)(names[name])
    there = getattr(check, name)(started.function(name))
    assert not here.passed and here.hint.split(" (in line")[0] == there.hint.split(" (in line")[0]
    assert (here.passed, here.share) == (there.passed, there.share)


def test_an_endless_function_ends_and_the_process_goes_on(started, monkeypatch):
    monkeypatch.setattr(checking, "LIMIT", 0.5)
    assert started.run("def two_nn(distances):\n    while True:\n        pass", 60) == ""
    answer = check.two_nn(started.function("two_nn"))
    assert not answer.passed and answer.hint.startswith("your function is not ready after")
    assert started.run("x = 1", 60) == ""


def test_what_stops_a_cell_is_said_with_its_line(started):
    assert started.run("a = 1\nb = a / 0", 60) == "ZeroDivisionError: division by zero (in line 2: b = a / 0)"
    assert started.run("def f(:", 60) == "SyntaxError: invalid syntax (in line 1)"
    assert started.run("i = 0\nwhile True:\n    i += 1", 0.5).startswith("the limit of 0.5 seconds (in line ")
    assert "SystemExit" in started.run("import sys\nsys.exit()", 60)
    assert started.run("%time 1 + 1\nawait __import__('asyncio').sleep(0)", 60) == ""
    assert "input" in started.run("input()", 60)


@pytest.mark.parametrize(
    "source, found",
    [
        ("x = [1, 2]", {"value": [1.0, 2.0]}),
        ("x = torch.tensor(3, dtype=torch.int8)", {"value": 3.0}),
        ("x = ...", {"dots": True}),
        ("x = 'two'", {"type": "str"}),
        ("x = None", {"type": "NoneType"}),
        ("del x", {"missing": True}),
    ],
)
def test_a_result_comes_as_numbers_or_as_a_kind(started, source, found):
    assert started.run(source, 60) == ""
    got = started.get("x", 10)
    assert got.keys() == found.keys()
    assert np.array_equal(got["value"], found["value"]) if "value" in found else got == found


HABITS = [
    "%matplotlib inline",
    "%matplotlib widget",
    "%pylab inline",
    "!echo {1 + 1}",
    "found = !echo one\nassert found == ['one']",
    "%pip --version",
    "%env A=1\n%cd .",
    "%load_ext autoreload\n%autoreload 2",
    "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.savefig('a.png')\nplt.show()",
    "import shutil\nopen('a', 'w').write('1')\nshutil.copy2('a', 'b')",
    "from IPython.display import HTML, display\ndisplay(HTML('<b>1</b>'))",
    "import asyncio\nawait asyncio.sleep(0)",
]


@pytest.mark.skipif(os.name != "posix", reason="commands of a shell")
@pytest.mark.parametrize("source", HABITS)
def test_what_runs_in_a_kernel_runs_here(started, source):
    """A line that stopped would keep the rest of its cell, such as an import, from running."""
    assert started.run(f"done = 0\n{source}\ndone = 1", 60) == ""
    assert started.get("done", 10)["value"] == 1


@namespaces
def test_a_pool_of_processes_runs_and_its_locks_are_no_file_of_others(started):
    code = "from multiprocessing import Pool\nwith Pool(2) as pool:\n    assert pool.map(abs, [1, -2]) == [1, 2]"
    assert started.run(code, 60) == ""
    assert started.run("import os\nassert not [name for name in os.listdir('/dev/shm') if name != 'mine']", 60) == ""
    assert started.run("open('/dev/shm/mine', 'w').write('here')", 60) == ""
    assert "No space left" in started.run("open('/dev/shm/mine', 'wb').write(bytes(65 * 2**20))", 60)
    assert not Path(sandbox.SHARED, "mine").exists()


def test_the_model_and_the_prompts_can_be_read(started):
    code = "model = tg.load_model('smollm2-135m')\nids = model.tokenize(tg.load_prompts('pocket', n=1)[0].text, 8)"
    assert started.run(code, 120) == ""


# --- what is kept from it ---


@landlock
def test_files_of_others_can_be_neither_read_nor_written(started, tmp_path):
    (tmp_path / "key.json").write_text("secret")
    for code in (
        f"open({str(tmp_path / 'key.json')!r}).read()",
        f"open({str(tmp_path / 'mine.txt')!r}, 'w')",
        f"import os; os.listdir({str(tmp_path)!r})",
        f"import os; os.remove({str(tmp_path / 'key.json')!r})",
        f"open({str(PROJECT / 'notebooks' / 'extraction.md')!r}).read()",
        "open('../written-by-a-student.txt', 'w')",
        "open(np.__file__, 'a')",
        f"import subprocess; subprocess.run(['cat', {str(tmp_path / 'key.json')!r}], check=True)",
    ):
        assert "Permission denied" in started.run(code, 60) or "CalledProcessError" in started.run(code, 60), code
    assert [path.read_text() for path in tmp_path.iterdir()] == ["secret"]
    assert not Path(tempfile.gettempdir(), "written-by-a-student.txt").exists()
    assert started.run("open('mine.txt', 'w').write('here'); assert open('mine.txt').read() == 'here'", 60) == ""
    assert started.run("survey = tg.open_results('standard'); assert survey.sizes['prompt'] > 2", 60) == ""


@pytest.mark.skipif(not (has_namespaces() or landlock_version() >= 4), reason="this system closes no network")
def test_there_is_no_network(started):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        socket.create_connection(("127.0.0.1", port)).close()  # it answers
        assert started.run(f"import socket; socket.create_connection(('127.0.0.1', {port}), 2)", 60)


@seccomp
def test_no_program_takes_orders_over_a_file(started, tmp_path):
    """On a desktop a program of the user starts others for whoever connects to such a socket."""
    import socket

    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "bus"))
        server.listen()
        code = f"import socket\nsocket.socket(socket.AF_UNIX).connect({str(tmp_path / 'bus')!r})"
        with socket.socket(socket.AF_UNIX) as here:
            here.connect(str(tmp_path / "bus"))  # it answers
        assert "Permission denied" in started.run(code, 60)


@seccomp
def test_files_of_others_keep_their_permissions_and_times(started, tmp_path):
    """A newer time would make a notebook the one that counts."""
    path = tmp_path / "ada.ipynb"
    path.write_text("{}")
    path.chmod(0o600)
    before = path.stat()
    for code in ("os.chmod(path, 0o777)", "os.utime(path, (9e9, 9e9))", "os.setxattr(path, 'user.seen', b'1')"):
        started.run(f"import os\npath = {str(path)!r}\n{code}", 60)
    after = path.stat()
    assert (after.st_mode, after.st_mtime) == (before.st_mode, before.st_mtime) and not os.listxattr(path)


@namespaces
def test_other_processes_cannot_be_seen(started):
    code = f"import os; assert not os.path.exists('/proc/{os.getpid()}'); os.kill({os.getpid()}, 0)"
    assert "ProcessLookupError" in started.run(code, 60)


@pytest.mark.skipif(landlock_version() < 6, reason="this system cannot keep signals within a process")
def test_other_processes_cannot_be_ended_where_they_can_be_seen(monkeypatch):
    for module in (sandbox, grader):
        monkeypatch.setattr(module, "has_namespaces", lambda: False)
    process = Process(MEMORY)
    try:
        assert process.run(f"import os; assert os.path.exists('/proc/{os.getpid()}')", 60) == ""
        assert "PermissionError" in process.run(f"os.kill({os.getpid()}, 0)", 60)
        assert process.run("import subprocess; subprocess.Popen(['sleep', '60']).kill()", 60) == ""
    finally:
        process.close()


def test_the_environment_of_the_teacher_stays_with_the_teacher(monkeypatch):
    monkeypatch.setenv("SECRET_TOKEN", "secret")
    process = Process(MEMORY)
    code = "import os\nassert 'secret' not in os.environ.values()\nassert os.environ['HOME'] == os.getcwd()"
    assert process.run(code, 60) == ""
    folder = Path(process.folder.name)
    assert folder.is_dir()
    process.close()
    assert not folder.exists()


@pytest.mark.skipif(os.name != "posix", reason="a limit of POSIX")
def test_memory_is_limited_in_one_process_and_in_all(own):
    assert "MemoryError" in own.run(f"x = np.ones({MEMORY} // 8 + 1)", 60)
    assert own.run("x = 1", 60) == ""
    with pytest.raises(wire.Broken):  # three processes, each below the limit
        own.run(
            f"import os, time\n"
            "for _ in range(3):\n"
            "    if os.fork() == 0:\n"
            f"        x = np.ones({MEMORY} // 8 * 45 // 100)\n"
            "        time.sleep(100)\n"
            "time.sleep(100)",
            100,
        )


@pytest.mark.skipif(not hasattr(psutil.Process().memory_full_info(), "pss"), reason="only Linux counts what is shared")
def test_memory_that_processes_share_counts(own):
    with pytest.raises(wire.Broken):
        own.run(
            "import mmap, os, time\n"
            f"shared = [mmap.mmap(-1, {MEMORY} // 4) for _ in range(5)]\n"
            "if os.fork() == 0:\n"
            "    while True:\n"
            "        [one[i] for one in shared for i in range(0, len(one), 4096)]\n"
            "for one in shared:\n"
            "    for i in range(0, len(one), 2**20):\n"
            "        one[i : i + 2**20] = b'x' * 2**20\n"
            "time.sleep(100)",
            100,
        )


def test_a_process_cannot_hide_its_memory():
    class Hidden(psutil.Process):
        def memory_full_info(self):
            raise psutil.AccessDenied(self.pid)

    rss = psutil.Process().memory_info().rss
    assert 0.5 * rss < grader._memory(Hidden()) < 2 * rss


@seccomp
def test_memory_that_belongs_to_no_process_is_refused(started):
    assert "Permission denied" in started.run("import os\nos.memfd_create('a')", 60)
    code = "import ctypes\nassert ctypes.CDLL(None, use_errno=True).shmget(0, ctypes.c_size_t(2**20), 0o1600) >= 0"
    assert "AssertionError" in started.run(code, 60)


@namespaces
def test_all_files_together_are_limited(own):
    code = (
        "import os\n"
        "for name in range(4):\n"
        "    with open(str(name), 'wb') as file:\n"
        "        os.unlink(str(name))\n"
        "        keep = os.dup(file.fileno())\n"
        "        for _ in range(100):\n"
        "            file.write(bytes(2**20))"
    )
    assert "No space left" in own.run(code, 60)
    assert "No space left" in own.run("for name in range(20_000):\n    open(f'file-{name}', 'w').close()", 60)


def test_calls_are_refused_only_where_their_numbers_are_known(monkeypatch):
    for machine in refused.MACHINES:
        code = refused._filter(machine)
        calls = len(refused.FAILING[machine]) + len(refused.IDLE[machine])
        assert len(code) == 8 * (7 + 2 * calls) and calls == len({*refused.FAILING[machine], *refused.IDLE[machine]})
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    assert not refused.can_refuse() and not refused.refuse()


@namespaces
def test_whatever_it_has_started_ends_with_it(own):
    code = (
        "import subprocess\n"
        "for _ in range(5):\n"
        "    subprocess.Popen(['sleep', '7531'], start_new_session=True)\n"
        "import os\n"
        "if os.fork() == 0:\n"
        "    if os.fork() == 0:\n"
        "        os.setsid()\n"
        "        subprocess.Popen(['sleep', '7531'])\n"
        "    os._exit(0)"
    )
    assert own.run(code, 60) == ""
    mine = [one for one in psutil.process_iter() if "7531" in _command(one)]
    assert len(mine) >= 5
    own.close()
    psutil.wait_procs(mine, timeout=60)
    assert not any(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in mine)


def _command(one):
    try:
        return one.cmdline()
    except psutil.Error:
        return []


def test_a_fork_bomb_is_bounded(own):
    """The system refuses the next process, or the grader kills them all."""
    code = "import os, time\nwhile True:\n    if os.fork() == 0:\n        time.sleep(100)\n        os._exit(0)"
    started = time.monotonic()
    try:
        assert "BlockingIOError" in own.run(code, 60)
    except wire.Broken:
        assert own.process.poll() is not None
    assert time.monotonic() - started < 30


def test_only_installed_code_and_the_data_of_the_package_can_be_read(tmp_path):
    places = sandbox._readable()
    assert (PROJECT / "data").resolve() in places and (PROJECT / "tokengeom_utils").resolve() in places
    assert not any(place == PROJECT or place in PROJECT.parents or place == Path.home() for place in places)
    assert not any(Path(tempfile.gettempdir()).resolve().is_relative_to(place) for place in places)
    assert not {PROJECT, Path.cwd()} & {*map(Path, grader._search_path()[1:])}


# --- it cannot forge points ---

ATTACKS = {
    "the checkers": "for name in dir(tg.check):\n    setattr(tg.check, name, lambda *args, **more: 2.0)",
    "the machinery": "from tokengeom_utils.check import answer, attempt\n"
    "answer.expect = answer.close = lambda *args, **more: True\n"
    "answer._answer = lambda *args: answer.Answer(True)\n"
    "attempt.as_numbers = attempt.call = lambda *args: np.array(2.0)",
    "numpy": "np.allclose = lambda *args, **more: True\nnp.array_equal = lambda *args, **more: True",
    "the frames": "import sys\n"
    "def two_nn(distances):\n"
    "    frame = sys._getframe()\n"
    "    while frame:\n"
    "        for name in ('wanted', 'total', 'n'):\n"
    "            if name in frame.f_locals and 'total' in frame.f_locals:\n"
    "                return (frame.f_locals['n'] - 1) / frame.f_locals['total']\n"
    "        frame = frame.f_back\n"
    "    return 1.0",
    "an object that is equal to everything": "class Equal:\n"
    "    __eq__ = __le__ = __ge__ = lambda self, other: True\n"
    "    __hash__ = None\n"
    "def two_nn(distances):\n"
    "    return Equal()",
    "the hint": "from tokengeom_utils.check.attempt import Hint\n"
    "def two_nn(distances):\n"
    "    raise Hint('all is well', share=1.0)",
    "the worker": "from tokengeom_utils.classes import worker, wire\n"
    "worker.call = lambda *args: 2.0\n"
    "worker.call_once = lambda shell, name, args, seconds, watched, requests, answers: wire.answer(\n"
    "    answers, value=np.array(2.0), passed=True, share=1.0, points=2.0)",
    "the time limit": "from tokengeom_utils.classes import worker\n"
    "worker.within = lambda seconds, function: function()",
    "an array that is equal to everything": "class Lies(np.ndarray):\n"
    "    __eq__ = __le__ = __ge__ = lambda self, other: True\n"
    "    __hash__ = None\n"
    "def two_nn(distances):\n"
    "    return np.ones(()).view(Lies)",
    "trace": "import sys\nsys.settrace(lambda frame, event, arg: frame.f_locals.update(found=2.0, wanted=2.0))",
    "the modules": "import sys\n"
    "for name in [name for name in sys.modules if name.startswith('tokengeom_utils.check')]:\n"
    "    del sys.modules[name]",
    "json": "import json\n"
    "two = {'shape': [], 'float64': 'AAAAAAAAAEA='}\n"
    "forged = json.dumps({'error': '', 'value': two, 'networks': {}, 'work': [0, 0], 'passed': True, 'share': 1.0})\n"
    "json.dumps = lambda *args, **more: forged",
    "the variables": "class Everything(dict):\n"
    "    __contains__ = lambda self, name: True\n"
    "    __missing__ = lambda self, name: lambda *args: 2.0\n"
    "get_ipython().user_ns = Everything(get_ipython().user_ns)",
}


def earns_nothing(process):
    try:
        answer = check.two_nn(process.function("two_nn"))
    except wire.Broken:
        return
    assert not answer.passed and answer.share == 0


def test_replacing_whatever_is_in_the_process_earns_nothing(own):
    """One attack after the other, each on top of the ones before."""
    for source in ATTACKS.values():
        own.run("def two_nn(distances):\n    return 1.0", 60)
        assert own.run(source, 60) == ""
        earns_nothing(own)


FORGED = [
    b'{"points": 2.0, "passed": true, "value": {"shape": [], "float64": "AAAAAAAAAEA="}, "networks": {}}',
    b'{"value": {"shape": [], "float64": "AAAAAAAAAEA="}, "networks": {"0": {}}, "work": 1}',
]


@pytest.mark.parametrize("forged", FORGED)
def test_forged_messages_earn_nothing(own, forged):
    """The process writes them to every file that it finds open."""
    frame = len(forged).to_bytes(8, "big") + forged
    own.run(
        "import os\n"
        "def two_nn(distances):\n"
        "    for file in range(3, 30):\n"
        "        try:\n"
        f"            os.write(file, {frame!r})\n"
        "        except OSError:\n"
        "            pass\n"
        "    return 1.0",
        60,
    )
    earns_nothing(own)


@pytest.mark.parametrize(
    "content",
    [
        b'{"value": {"shape": [7], "float64": "AAAAAAAAAEA="}}',
        b'{"value": {"shape": [], "float64": "?"}}',
        b'{"value": {"shape": ["a"], "float64": "AAAAAAAAAEA="}}',
        b'{"value": {"shape": [Infinity], "float64": "AAAAAAAAAEA="}}',
        b'{"value": {"shape": 1, "float64": 2}}',
        b"[" * 100_000,
        b"\xff\x00",
        b"[]",
        b"",
    ],
)
def test_what_is_no_message_is_noticed(content):
    with pytest.raises(wire.Broken):
        wire.answered(content)


@pytest.mark.parametrize("content", ["b' ' * (10**6 - 2) + b'{}'", "b'{\"a\":[' + b'[],' * 10**6 + b'0]}'"])
def test_messages_without_an_end_do_not_fill_the_memory(own, content):
    before = psutil.Process().memory_info().rss
    own.run(
        "import os, threading\n"
        f"content = {content}\n"
        "frame = len(content).to_bytes(8, 'big') + content\n"
        "def flood():\n"
        "    while True:\n"
        "        for file in range(3, 30):\n"
        "            try:\n"
        "                rest = memoryview(frame)\n"
        "                while rest:\n"
        "                    rest = rest[os.write(file, rest) :]\n"
        "            except OSError:\n"
        "                pass\n"
        "threading.Timer(0.5, flood).start()",
        60,
    )
    time.sleep(2)
    assert psutil.Process().memory_info().rss - before < 200 * 2**20
    assert own.answers.qsize() <= grader.AHEAD


def test_a_message_that_is_too_long_is_not_read():
    with pytest.raises(wire.Broken):
        wire.receive(io.BytesIO((wire.LONGEST + 1).to_bytes(8, "big")), wire.LONGEST)
    for content in (b"", b"\0", (9).to_bytes(8, "big") + b"short"):
        with pytest.raises(wire.Broken):
            wire.receive(io.BytesIO(content))


def test_a_process_that_dies_or_hangs_is_noticed(own):
    own.run("import os\ndef dies(x):\n    os._exit(0)", 60)
    with pytest.raises(wire.Broken):
        own.call("dies", (1.0,), 60)
    with pytest.raises(wire.Broken):
        own.run("x = 1", 60)


def test_a_process_that_does_not_answer_is_killed(own, monkeypatch):
    monkeypatch.setattr(grader, "GRACE", 0.5)
    with pytest.raises(wire.Broken):
        own.run(
            "while True:\n    try:\n        while True:\n            pass\n    except BaseException:\n        pass", 1
        )
    assert own.process.poll() is not None


def test_calling_back_without_an_end_is_noticed(own, monkeypatch):
    monkeypatch.setattr(grader, "GRACE", 0.5)
    code = "while True:\n    try:\n        head(1.0)\n    except BaseException:\n        pass"
    own.run("def f(head):\n" + "".join(f"    {line}\n" for line in code.splitlines()), 60)
    with pytest.raises(wire.Broken):
        own.call("f", (lambda x: x,), 0.5)


# --- the worker, in this process ---


def exchange(shell, *requests):
    """What the worker answers to requests."""
    asked, answers = io.BytesIO(), io.BytesIO()
    for request in requests:
        wire.ask(asked, request)
    asked.seek(0)
    with pytest.raises(wire.Broken):
        worker.serve(shell, asked, answers)
    answers.seek(0)
    found = []
    while answers.tell() < len(answers.getvalue()):
        found.append(wire.answered(wire.receive(answers)))
    return found


class Shell:
    """Runs code as IPython does, without it."""

    def __init__(self):
        self.user_ns = {}

    def run_cell(self, source, store_history):
        error = before = None
        try:
            exec(compile(source, "<cell>", "exec"), self.user_ns)
        except SyntaxError as found:
            before = found
        except BaseException as found:
            error = found
        return type("Found", (), {"error_before_exec": before, "error_in_exec": error})


def test_the_worker_runs_gets_and_calls():
    shell = Shell()
    found = exchange(
        shell,
        ("run", "def double(x):\n    return 2 * x\ny = [1, 2]\nz = ...\nname = 'a'", 10),
        ("run", "1 / 0", 10),
        ("run", "f(:", 10),
        ("run", "while True: pass", 0.2),
        *(("get", name) for name in ("y", "z", "name", "nothing")),
        ("call", "double", [np.ones(2)], 10, True),
        ("call", "nothing", [], 10, False),
        ("call", "name", [], 10, False),
        ("call", "double", [None], 10, False),
    )
    assert [one.get("error", "")[:9] for one in found[:4]] == ["", "ZeroDivis", "SyntaxErr", "the limit"]
    assert np.array_equal(found[4]["value"], [1, 2]) and found[5:8] == [
        {"dots": True},
        {"type": "str"},
        {"missing": True},
    ]
    assert np.array_equal(found[8]["value"], [2, 2]) and found[8]["work"][1] >= 0 and found[8]["networks"] == {}
    assert [one["hint"][:20] for one in found[9:]] == [
        "nothing is not defin",
        "pass the function it",
        "your function stops ",
    ]


def test_the_worker_calls_back_and_reports_on_networks(monkeypatch):
    monkeypatch.setattr(checking, "LIMIT", 0.2)
    shell = Shell()
    shell.user_ns = {
        "ask": lambda head, x: head(x) + 1,
        "hook": lambda net: (net.eval(), net.register_forward_hook(print), net.weight.data.add_(1), 1.0)[-1],
        "endless": lambda: [0 for _ in iter(int, 1)],
    }
    found = exchange(
        shell,
        ("call", "ask", [worker.Function(0), np.ones(2)], 10, False),
        ("value", np.full(2, 5.0)),
        ("call", "ask", [worker.Function(0), 1.0], 10, False),
        ("error", "no"),
        ("call", "hook", [torch.nn.Linear(2, 2)], 10, False),
        ("call", "endless", [], 0.2, False),
    )
    assert found[0]["calls"] == 0 and np.array_equal(found[0]["given"][0], np.ones(2))
    assert np.array_equal(found[1]["value"], [6, 6])
    hints = [one.get("hint", "") for one in found]
    assert any("RuntimeError: no" in hint for hint in hints) and "not ready after 0.2 seconds" in hints[-1]
    (network,) = [one["networks"]["0"] for one in found if one.get("networks")]
    assert network == {"hooks": 1, "training": False, "changed": True}


INFINITE = [
    '{"networks": {"0": {"hooks": Infinity, "training": true, "changed": false}}, "value": 1, "work": [0, 0]}',
    '{"networks": {}, "value": 1, "work": [Infinity, 1]}',
]


@pytest.mark.parametrize("found", INFINITE)
def test_an_infinite_number_in_an_answer_is_no_failure_of_the_grader(own, found):
    own._answer = lambda seconds: json.loads(found)
    with Work(), pytest.raises(wire.Broken):
        own.call("two_nn", (torch.nn.Linear(1, 1),), 10)


def test_what_happened_to_a_network_there_happens_to_it_here():
    network = torch.nn.Sequential(torch.nn.Linear(2, 2))
    before = network[0].weight.clone()
    grader._repeat(network, {"hooks": 2, "training": False, "changed": True})
    assert grader._repeat(network, {"hooks": 2, "training": False, "changed": False}) is None
    assert len(network._forward_hooks) == 2 and not network.training and not torch.equal(before, network[0].weight)


def test_a_hint_from_elsewhere_leaves_no_share(started):
    started.run("def two_nn(distances):\n    raise ValueError('no')", 60)
    with pytest.raises(Hint) as hint:
        started.call("two_nn", (np.ones((3, 2)),), 10)
    assert hint.value.share == 0


def test_threads_do_not_hold_the_end(own):
    own.close()
    assert own.process.poll() is not None
    until = time.monotonic() + 60
    while any(getattr(one, "_target", None) in (own._read, own._watch) for one in threading.enumerate()):
        assert time.monotonic() < until
        time.sleep(0.05)
