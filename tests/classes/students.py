"""Thirty simulated students of two chapters: what each returns, and the points that this is worth.

The notebooks follow from the ones that were handed out, without chance.
"""

import copy
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import nbformat

from tokengeom_utils import check
from tokengeom_utils.classes.exercises import read_exercises
from tokengeom_utils.classes.key import Key
from tokengeom_utils.classes.sheet import OWN_POINTS

PROJECT = Path(__file__).parents[2]
CHAPTERS = ("extraction", "intrinsic_dimension")
EXERCISES = {e.id: e for e in read_exercises(PROJECT) if e.chapter in CHAPTERS}
CODED = {label: exercise for label, exercise in EXERCISES.items() if exercise.own}
#: Points of the two cells of each exercise with code.
FULL = {
    cell: points
    for label, exercise in CODED.items()
    for cell, points in ((f"{label}-check", exercise.points - OWN_POINTS), (f"{label}-result", OWN_POINTS))
}
ESSAYS = [label for label in EXERCISES if label not in CODED]


class Sheet:
    """A notebook that a student works on."""

    def __init__(self, notebook, student: str, key: Key) -> None:
        self.notebook, self.student, self.key = notebook, student, key

    @property
    def labels(self) -> list[str]:
        """The exercises with code in this notebook."""
        return [label for label in CODED if self.at(label) is not None]

    def at(self, name: str):
        """Where the cell with an id stands; None if there is none."""
        for number, cell in enumerate(self.notebook.cells):
            if cell.metadata.get("nbgrader", {}).get("grade_id") == name:
                return number
        return None

    def cell(self, name: str):
        return self.notebook.cells[self.at(name)]

    def write(self, name: str, source: str) -> None:
        if self.at(name) is not None:
            self.cell(name).source = source

    def add(self, source: str, before: str, after: bool = False) -> None:
        """Add an own cell before the one with an id, or after it."""
        if (place := self.at(before)) is not None:
            self.notebook.cells.insert(place + after, nbformat.v4.new_code_cell(source))

    def drop(self, name: str) -> None:
        if (place := self.at(name)) is not None:
            del self.notebook.cells[place]

    def solve(self, *labels: str) -> None:
        """Answer some exercises, or all, as the chapter does."""
        for label in labels or self.labels:
            self.write(label, CODED[label].answer)
            self.write(f"{label}-own", f"{CODED[label].result} = {CODED[label].own.wanted}")


@dataclass
class Student:
    """One of the thirty."""

    id: str
    kind: str  #: right, wrong, partial, malicious, or broken
    work: Callable[[Sheet], object]
    chapters: tuple[str, ...] = ("intrinsic_dimension",)
    marks: dict[str, float | None] = field(default_factory=dict)  #: cells that do not get all points
    marks_otherwise: float = 1.0  #: the share of the points that the other cells get

    def expected(self, cell: str) -> float | None:
        """The points of a cell; None for an answer that is to be read."""
        if cell in self.marks:
            return self.marks[cell]
        return FULL.get(cell, 0) * self.marks_otherwise


def nothing(*labels: str) -> dict[str, float | None]:
    """No points for some exercises."""
    return {f"{label}-{part}": 0 for label in labels for part in ("check", "result")}


# --- right ---


def in_other_words(sheet: Sheet) -> None:
    """Loops, helpers in own cells, lists in place of arrays, and what a notebook usually holds besides."""
    sheet.add(
        "%matplotlib inline\n!echo one\n%time 1 + 1\nimport math\nimport asyncio\nawait asyncio.sleep(0)",
        "ex-volume-fraction-text",
    )
    sheet.add("def power(x, d):\n    return x**d", "ex-volume-fraction")
    sheet.write(
        "ex-volume-fraction",
        "def volume_fraction(distances, n1, n2, d):\n"
        "    return [power(row[n1 - 1] / row[n2 - 1], d) for row in distances]",
    )
    sheet.write("ex-volume-fraction-own", "volume_fraction_result = np.mean(volume_fraction(distances, n1, n2, d))")
    sheet.add("def log_ratio(row):\n    return math.log(row[1] / row[0])", "ex-two-nn", after=True)
    sheet.write(
        "ex-two-nn",
        "def two_nn(distances):\n"
        "    rows = torch.as_tensor(distances).tolist()\n"
        "    return torch.tensor((len(rows) - 1) / sum(log_ratio(row) for row in rows))",
    )
    sheet.write("ex-two-nn-own", "two_nn_result = two_nn(distances).numpy()")
    sheet.write(
        "ex-gride",
        "def gride_one_scale(distances, scale):\n"
        "    low, high = 1e-3, 1e3\n"
        "    n, n1 = len(distances), scale // 2\n"
        "    x = np.log(distances[:, scale - 1] / distances[:, n1 - 1])\n"
        "    for _ in range(200):\n"
        "        d = (low + high) / 2\n"
        "        score = (n - 1) / d + (n1 - 1) * (x / -np.expm1(-d * x)).sum() - (scale - 1) * x.sum()\n"
        "        low, high = (d, high) if score > 0 else (low, d)\n"
        "    return d",
    )
    sheet.write("ex-gride-own", "gride_one_scale_result = gride_one_scale(distances, scale)")
    sheet.solve("ex-gride-error")


def with_noise(sheet: Sheet) -> None:
    """Right, with warnings, prints, a figure, and results to standard error."""
    sheet.solve()
    sheet.add("import sys, warnings\nimport matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()", "ex-two-nn")
    sheet.write(
        "ex-two-nn",
        "def two_nn(distances):\n"
        "    print('distances', distances.shape)\n"
        "    print('a warning', file=sys.stderr)\n"
        "    warnings.warn('another')\n"
        "    np.log(np.zeros(1))\n"
        "    log_mu = np.log(distances[:, 1] / distances[:, 0])\n"
        "    return (len(log_mu) - 1) / log_mu.sum()",
    )


def with_an_essay(sheet: Sheet) -> None:
    sheet.solve()
    for label in ESSAYS:
        sheet.write(label, "Expand the fraction into a geometric series, and integrate term by term.")


# --- wrong ---


def all_ones(sheet: Sheet) -> None:
    for label in sheet.labels:
        head = CODED[label].stub.splitlines()[0]
        sheet.write(label, f"{head}\n    return 1.0")
        sheet.write(f"{label}-own", f"{CODED[label].result} = 1.0")


def biased(sheet: Sheet) -> None:
    """The usual mistakes: a factor N / (N - 1), the wrong column, the variance."""
    sheet.write("ex-volume-fraction", "def volume_fraction(r, n1, n2, d):\n    return (r[:, n1] / r[:, n2]) ** d")
    sheet.write("ex-volume-fraction-own", "volume_fraction_result = volume_fraction(distances, n1, n2, d).mean()")
    sheet.write("ex-two-nn", "def two_nn(r):\n    return len(r) / np.log(r[:, 1] / r[:, 0]).sum()")
    sheet.write("ex-two-nn-own", "two_nn_result = two_nn(distances)")
    sheet.write("ex-gride-error", "def gride_error(d, log_mu, scale):\n    return d**2 / len(log_mu)")
    sheet.write("ex-gride-error-own", "gride_error_result = gride_error(d, log_mu, scale)")
    sheet.write("ex-gride", "def gride_one_scale(distances, scale):\n    return scale / 2")
    sheet.write("ex-gride-own", "gride_one_scale_result = gride_one_scale(distances, scale)")


def memorized(sheet: Sheet) -> None:
    """A table of the results for the draws that the student can see; right functions give the own results."""
    for label, exercise in CODED.items():
        if label not in ("ex-two-nn", "ex-gride-error"):
            continue
        names: dict = {}
        exec(f"import numpy as np\n{exercise.answer}", names)
        table: dict[str, float] = {}

        def noted(*args, right=names[exercise.function], table=table):
            table[repr([float(abs(a).sum().round(9)) if hasattr(a, "sum") else a for a in args])] = float(right(*args))
            return right(*args)

        assert getattr(check, exercise.checker)(noted).passed
        sheet.solve(label)
        head = exercise.stub.splitlines()[0]
        args = head[head.index("(") + 1 : head.index(")")]
        sheet.write(
            label,
            f"TABLE = {table!r}\n\n{head}\n"
            f"    args = ({args},)\n"
            "    found = repr([float(abs(a).sum().round(9)) if hasattr(a, 'sum') else a for a in args])\n"
            "    return TABLE.get(found, 1.0)",
        )
        sheet.write(f"{label}-own", f"{exercise.result} = 1.0")


def copied(sheet: Sheet) -> None:
    """Right functions, and the results of another student."""
    sheet.solve()
    other = sheet.key.own["ada"]
    for label in sheet.labels:
        sheet.write(f"{label}-own", f"{CODED[label].result} = {other[label].expected!r}")


def nonsense(sheet: Sheet) -> None:
    """Texts, infinities, generators, and functions that are called too early."""
    sheet.write("ex-volume-fraction", "volume_fraction = 'the Beta law'")
    sheet.write("ex-volume-fraction-own", "volume_fraction_result = 'a half'")
    sheet.write("ex-two-nn", "def two_nn(distances):\n    return (x for x in distances)")
    sheet.write("ex-two-nn-own", "two_nn_result = np.inf")
    sheet.write("ex-gride-error", "def gride_error(d, log_mu, scale):\n    return np.nan * d")
    sheet.write("ex-gride-error-own", "gride_error_result = [1.0, [2.0]]")
    sheet.write("ex-gride", "gride_one_scale = print")
    sheet.write("ex-gride-own", "gride_one_scale_result = None")


# --- partly right ---


def to_three_digits(sheet: Sheet) -> None:
    sheet.solve()
    answer = CODED["ex-gride"].answer.replace("return brentq", "return 1.003 * brentq")
    sheet.write("ex-gride", answer)


def two_nn_only(sheet: Sheet) -> None:
    sheet.solve()
    sheet.write(
        "ex-gride",
        "def gride_one_scale(distances, scale):\n    return two_nn(distances) * (1 if scale == 2 else 1.5)",
    )


def some(sheet: Sheet) -> None:
    sheet.solve("ex-two-nn", "ex-gride", "ex-next-token-loss")


def functions_only(sheet: Sheet) -> None:
    for label in sheet.labels:
        sheet.write(label, CODED[label].answer)


# --- malicious ---


def overwritten(sheet: Sheet) -> None:
    """Checkers, the package, and the calls of the tests replaced."""
    sheet.add(
        "class Fake:\n"
        "    def __getattr__(self, name):\n"
        "        return lambda *args, points=1, **more: float(points)\n\n"
        "for name in tg.check.__all__:\n"
        "    setattr(tg.check, name, lambda *args, points=1, **more: float(points))\n"
        "import sys\n"
        "machinery = sys.modules['tokengeom_utils.check.answer']\n"
        "machinery._answer = lambda *args: machinery.Answer(True)\n"
        "machinery.expect = machinery.close = lambda *args, **more: True",
        "ex-volume-fraction",
    )
    all_ones(sheet)
    sheet.add("class Fakes:\n    check = Fake()\n\ntg = Fakes()", "ex-two-nn")


def printed(sheet: Sheet) -> None:
    """Points that are printed, shown, and written into the tests and their metadata."""
    all_ones(sheet)
    for label in sheet.labels:
        for part in ("check", "result"):
            cell = sheet.cell(f"{label}-{part}")
            cell.source = "print('correct')\n100.0"
            cell.metadata.nbgrader.points = 100.0
            cell.outputs = [nbformat.v4.new_output("execute_result", {"text/plain": "100.0"}, execution_count=1)]
        sheet.add("print('2.0')\nfrom IPython.display import display\ndisplay(2.0)\n2.0", f"{label}-check")


def leaving(sheet: Sheet) -> None:
    """Everything is left with SystemExit, in cells and in functions."""
    for label in sheet.labels:
        head = CODED[label].stub.splitlines()[0]
        sheet.write(label, f"import sys\n\n{head}\n    sys.exit(0)")
        sheet.write(f"{label}-own", "sys.exit(0)")
        sheet.add("raise SystemExit(0)", f"{label}-check")


def looking(sheet: Sheet) -> None:
    """The key is searched for, files of others are overwritten, and the network is tried; nothing of it is answered."""
    sheet.add(
        "import pathlib, socket\n"
        "found = []\n"
        "for place in [pathlib.Path.cwd(), *pathlib.Path.cwd().parents][:4]:\n"
        "    for name in ('key.json', 'teacher/key.json', '../teacher/key.json', '../../key.json'):\n"
        "        try:\n"
        "            found.append((place / name).read_text())\n"
        "        except OSError:\n"
        "            pass\n"
        "try:\n"
        "    open('../written-by-a-student.txt', 'w').write('here')\n"
        "except OSError:\n"
        "    pass\n"
        "try:\n"
        "    socket.create_connection(('192.0.2.1', 80), timeout=1)\n"
        "except OSError:\n"
        "    pass",
        "ex-volume-fraction",
    )
    all_ones(sheet)


def hungry(sheet: Sheet) -> None:
    """More memory than there is, in a cell and in functions."""
    sheet.solve("ex-two-nn")
    sheet.add("everything = np.ones(10**14)", "ex-volume-fraction")
    sheet.write(
        "ex-volume-fraction", "def volume_fraction(distances, n1, n2, d):\n    return np.ones((10**7, 10**7)) + d"
    )
    sheet.write("ex-volume-fraction-own", "volume_fraction_result = np.ones(10**14)")


def forking(sheet: Sheet) -> None:
    """A right answer that starts processes each time it is called, which sleep on."""
    sheet.solve()
    sheet.write(
        "ex-volume-fraction",
        "import os, time\n"
        "forks = 0\n\n"
        "def volume_fraction(distances, n1, n2, d):\n"
        "    global forks\n"
        "    if forks < 8:\n"
        "        forks += 1\n"
        "        if os.fork() == 0:\n"
        "            time.sleep(20)\n"
        "            os._exit(0)\n"
        "    return (distances[:, n1 - 1] / distances[:, n2 - 1]) ** d",
    )


def own_tests(sheet: Sheet) -> None:
    """The tests are thrown away, and others of the same name put in their place."""
    all_ones(sheet)
    for label in sheet.labels:
        for part in ("check", "result"):
            metadata = copy.deepcopy(sheet.cell(f"{label}-{part}").metadata)
            place = sheet.at(f"{label}-{part}")
            sheet.drop(f"{label}-{part}")
            cell = nbformat.v4.new_code_cell("2.0", metadata=metadata)
            cell.metadata.nbgrader.locked = False
            sheet.notebook.cells.insert(place, cell)


def dying(sheet: Sheet) -> None:
    """The process is ended, at once and without an error."""
    sheet.write("ex-volume-fraction", "import os\nos._exit(0)")


# --- broken ---


def a_typo(sheet: Sheet) -> None:
    sheet.solve()
    sheet.write("ex-two-nn", "def two_nn(distances:\n    return 1")
    sheet.write("ex-gride-error-own", "gride_error_result = gride_eror(d, log_mu, scale)")


def endless(sheet: Sheet) -> None:
    """One function, and one cell, never end."""
    sheet.solve()
    sheet.write("ex-two-nn", "def two_nn(distances):\n    while True:\n        distances = distances + 0")
    sheet.write("ex-two-nn-own", "two_nn_result = 1.0")
    sheet.write("ex-gride-error-own", "i = 0\nwhile True:\n    i += 1")


def doubled(sheet: Sheet) -> None:
    """Every answer twice: of TwoNN the first is right and the last wrong, of the others the other way round."""
    right, wrong = copy.deepcopy(sheet), copy.deepcopy(sheet)
    right.solve()
    all_ones(wrong)
    for label in sheet.labels:
        for name in (label, f"{label}-own"):
            first, last = (right, wrong) if label == "ex-two-nn" else (wrong, right)
            sheet.write(name, last.cell(name).source)
            sheet.notebook.cells.insert(sheet.at(name), copy.deepcopy(first.cell(name)))
    sheet.notebook.cells.insert(0, copy.deepcopy(sheet.cell("ex-gride-check")))


def torn(sheet: Sheet) -> None:
    """Tests, texts, and given numbers are missing, and so is one answer."""
    sheet.solve()
    for label in sheet.labels:
        for part in ("check", "result", "text", "task", "given"):
            sheet.drop(f"{label}-{part}")
    sheet.drop("ex-gride-error-own")
    sheet.drop("setup")


def mixed(sheet: Sheet) -> None:
    """The cells in another order, one with another id, one as Markdown, and one without metadata."""
    sheet.solve()
    sheet.notebook.cells = sheet.notebook.cells[::-1]
    sheet.cell("ex-two-nn").metadata.nbgrader.grade_id = "my answer"
    cell = sheet.cell("ex-gride")
    sheet.notebook.cells[sheet.at("ex-gride")] = nbformat.v4.new_markdown_cell(cell.source, metadata=cell.metadata)
    sheet.cell("ex-gride-error-text").metadata = {}


ALL_ZERO = {"marks_otherwise": 0.0}
STUDENTS = [
    Student("ada", "right", Sheet.solve, CHAPTERS),
    Student("emmy", "right", in_other_words),
    Student("maryam", "right", with_noise, CHAPTERS),
    Student("sofya", "right", with_an_essay, CHAPTERS, dict.fromkeys(ESSAYS)),
    Student("mary", "right", Sheet.solve),
    Student("bob", "wrong", all_ones, CHAPTERS, **ALL_ZERO),
    Student("carl", "wrong", biased, **ALL_ZERO),
    Student("dan", "wrong", memorized, **ALL_ZERO),
    Student("eve", "wrong", copied, CHAPTERS, {cell: 0 for cell in FULL if cell.endswith("-result")}),
    Student("finn", "wrong", lambda sheet: None, CHAPTERS, **ALL_ZERO),
    Student("gina", "wrong", nonsense, **ALL_ZERO),
    Student("hugo", "partial", to_three_digits, marks={"ex-gride-check": 2.0, "ex-gride-result": 0}),
    Student("iris", "partial", two_nn_only, marks={"ex-gride-check": 1.0, "ex-gride-result": 0}),
    Student(
        "jon",
        "partial",
        some,
        CHAPTERS,
        nothing("ex-volume-fraction", "ex-gride-error", "ex-loss-in-chunks", "ex-block-inputs"),
    ),
    Student("kim", "partial", functions_only, CHAPTERS, {cell: 0 for cell in FULL if cell.endswith("-result")}),
    Student("lou", "partial", lambda sheet: sheet.solve("ex-gride-error"), marks_otherwise=0.0, marks={
        "ex-gride-error-check": FULL["ex-gride-error-check"], "ex-gride-error-result": FULL["ex-gride-error-result"],
    }),
    Student("mallory", "malicious", overwritten, **ALL_ZERO),
    Student("nick", "malicious", printed, CHAPTERS, **ALL_ZERO),
    Student("oscar", "malicious", leaving, **ALL_ZERO),
    Student("peggy", "malicious", looking, **ALL_ZERO),
    Student("quinn", "malicious", hungry, marks=nothing("ex-volume-fraction", "ex-gride-error", "ex-gride")),
    Student("rob", "malicious", forking),
    Student("sybil", "malicious", own_tests, **ALL_ZERO),
    Student("trent", "malicious", dying, **ALL_ZERO),
    Student("uma", "broken", a_typo, marks=nothing("ex-two-nn") | {"ex-gride-error-result": 0}),
    Student("victor", "broken", endless, marks=nothing("ex-two-nn") | {"ex-gride-error-result": 0}),
    Student("walter", "broken", doubled, marks=nothing("ex-two-nn")),
    Student("xena", "broken", torn, marks={"ex-gride-error-result": 0}),
    # The answer whose id has changed is an own cell, which runs after its test.
    Student("yves", "broken", mixed, marks={"ex-two-nn-check": 0}),
    Student("zoe", "broken", lambda sheet: None, **ALL_ZERO),
]  # fmt: skip


def return_notebooks(handout: Path, key: Key, students=STUDENTS) -> None:
    """Write what the students return into the folder ``returned`` of a handout."""
    for student in students:
        for chapter in student.chapters:
            notebook = nbformat.read(handout / "students" / student.id / f"{chapter}.ipynb", as_version=4)
            student.work(Sheet(notebook, student.id, key))
            folder = handout / "returned" / student.id
            folder.mkdir(parents=True, exist_ok=True)
            text = json.dumps(notebook)  # nbformat would give new ids to cells that share one
            (folder / f"{chapter}.ipynb").write_text(text[: len(text) // 2] if student.id == "zoe" else text, "utf-8")


def roster() -> str:
    """The list of the class."""
    return "id,name\n" + "".join(f"{student.id},{student.id.capitalize()}\n" for student in STUDENTS)
