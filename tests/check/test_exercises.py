"""The exercises of all chapters: each has a solution, and a checker that accepts it and gives hints for mistakes."""

import ast
import inspect
import re
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import PROJECT

import tokengeom_utils as tg
from tokengeom_utils import check
from tokengeom_utils.site.build import chapters

BLOCK = re.compile(r"^(`{3,}|:{3,})\{(exercise|solution)\} *([^\n]*)\n(.*?)^\1$", re.M | re.S)
CODE = re.compile(r"^~~~python\n(.*?)^~~~$", re.M | re.S)
OPTION = re.compile(r"^:(\w+): *(.*)$", re.M)
CALL = re.compile(r"tg\.check\.(\w+)")
MACHINERY = ["Answer", "NotYet", "checker", "close", "expect", "reached", "value"]
CHECKERS = {name: f for name, f in vars(check).items() if hasattr(f, "__wrapped__")}


def blocks():
    """Yield (chapter, exercises by label, solutions by label) for every chapter."""
    for source in chapters(PROJECT):
        found = {"exercise": {}, "solution": {}}
        for _, kind, argument, body in BLOCK.findall(source.read_text(encoding="utf-8")):
            options = dict(OPTION.findall(body.split("\n\n")[0]))
            label = options.get("label") if kind == "exercise" else argument.strip()
            assert label, f"{source.stem}: the {kind} {argument!r} has no label"
            assert label not in found[kind], f"{source.stem}: two times {kind} {label}"
            found[kind][label] = {"title": argument, "options": options, "text": body, "code": CODE.findall(body)}
        yield source.stem, found["exercise"], found["solution"]


BOOK = list(blocks())
PAIRS = [
    (chapter, label, exercises[label], solutions.get(label))
    for chapter, exercises, solutions in BOOK
    for label in exercises
]
CODING = [pytest.param(*pair, id=pair[1]) for pair in PAIRS if "tg.check" in pair[2]["text"]]
#: chapter -> the checkers of its exercises, in order
USED = {chapter: CALL.findall("".join(e["text"] for e in exercises.values())) for chapter, exercises, _ in BOOK}


def run(code, **given):
    """Run the code of an exercise; return its names and the answer of its last line, the check."""
    names = {"np": np, "torch": torch, "tg": tg, **given}
    *lines, last = code.strip().split("\n")
    exec("\n".join(lines), names)
    return names, eval(last, names)


def test_the_book_has_thirty_exercises():
    assert len(PAIRS) >= 30
    assert len(CODING) >= len(PAIRS) / 2


@pytest.mark.parametrize("chapter, exercises, solutions", BOOK, ids=[b[0] for b in BOOK])
def test_every_exercise_of_a_chapter_has_its_solution(chapter, exercises, solutions):
    assert exercises.keys() == solutions.keys()
    source = (PROJECT / "notebooks" / f"{chapter}.md").read_text(encoding="utf-8")
    assert len(re.findall(r"\{exercise\}", source)) == len(exercises) and "{exercise-start}" not in source
    if exercises:
        assert source.index("## Exercises") < source.index("{exercise}")
    for label, exercise in exercises.items():
        assert label.startswith("ex-") and exercise["title"]
        assert solutions[label]["options"] == {"class": "dropdown"}
        assert len(CODE.sub("", solutions[label]["text"]).split()) >= 8, f"{label}: the solution gives no reason"


def test_labels_are_unique():
    labels = [pair[1] for pair in PAIRS]
    assert len(set(labels)) == len(labels)


@pytest.mark.parametrize("chapter, label, exercise, solution", CODING)
def test_the_stub_fails_with_a_hint_and_the_solution_passes(chapter, label, exercise, solution):
    (stub,), (answer, *rest) = exercise["code"], solution["code"]
    call = re.fullmatch(r"tg\.check\.(\w+)\((\w+)\)", stub.strip().split("\n")[-1])
    assert call and call[1] in CHECKERS, f"{label}: the last line must be tg.check.NAME(function)"
    names, verdict = run(stub)
    assert not verdict.passed and len(verdict.hint) > 20 and "returns nothing" in verdict.hint, verdict
    assert names[call[2]].__doc__, f"{label}: the stub has no docstring"
    assert not rest and f"def {call[2]}(" in answer
    names, verdict = run(f"{answer}\n{stub.strip().splitlines()[-1]}")
    assert verdict.passed, verdict
    assert repr(verdict) == "correct"


@pytest.mark.parametrize("chapter, label, exercise, solution", CODING)
def test_a_body_that_fails_or_returns_nonsense_gets_a_hint(chapter, label, exercise, solution):
    stub = exercise["code"][0]
    function = re.search(r"def (\w+)\(", stub)[1]
    call = stub.strip().split("\n")[-1]

    def fails(*args):
        raise ValueError("no idea")

    for attempt in (fails, *NONSENSE[:3]):
        _, verdict = run(call, **{function: attempt})
        assert not verdict.passed and verdict.hint
    _, verdict = run(call, **{function: fails})
    assert "no idea" in verdict.hint


def test_the_package_follows_the_book():
    """Each chapter's checkers are in its module, in the order of its exercises, and the package lists all of them."""
    modules = {path.stem for path in Path(check.__file__).parent.glob("*.py")} - {
        "__init__",
        "answer",
        "attempt",
        "limit",
    }
    assert modules == {chapter for chapter, used in USED.items() if used}
    for chapter in modules:
        source = ast.parse(inspect.getsource(import_module(f"{check.__name__}.{chapter}")))
        functions = [node for node in source.body if isinstance(node, ast.FunctionDef) and node.decorator_list]
        assert [function.name for function in functions] == USED[chapter], chapter
    assert check.__all__ == MACHINERY + [name for used in USED.values() for name in used]
    assert CHECKERS.keys() == set(check.__all__) - set(MACHINERY)


@pytest.mark.parametrize("chapter", [chapter for chapter, used in USED.items() if used])
def test_a_module_names_its_chapter(chapter):
    title = re.search(r"^# (.*)$", (PROJECT / "notebooks" / f"{chapter}.md").read_text(encoding="utf-8"), re.M)[1]
    assert f'the chapter "{title}"' in import_module(f"{check.__name__}.{chapter}").__doc__


@pytest.mark.parametrize("name", CHECKERS)
def test_no_module_hides_a_checker(name):
    assert not inspect.ismodule(getattr(check, name))
    assert not (Path(check.__file__).parent / f"{name}.py").exists()


@pytest.mark.parametrize("chapter, label, exercise, solution", CODING)
def test_a_checker_states_the_function_it_asks_for(chapter, label, exercise, solution):
    """Its docstring begins with the signature in the stub and takes one to four lines."""
    name = CALL.search(exercise["text"])[1]
    text = CHECKERS[name].__doc__.strip()
    signature = re.search(r"def (\w+\(.*\)):", exercise["code"][0])[1]
    assert text.startswith(f"Check ``{signature}``: ")
    assert 1 <= sum(bool(line.strip()) for line in text.splitlines()) <= 4
    assert [*inspect.signature(CHECKERS[name]).parameters] == ["attempt", "points", "seed"]


@pytest.mark.parametrize("name", CHECKERS)
def test_a_checker_says_which_kind_of_array_it_passes_and_wants(name):
    text = " ".join(CHECKERS[name].__doc__.split())
    assert not re.findall(r"(?<!numpy )\barrays?\b|(?<!torch )\btensors?\b", text)
    assert re.search(r"\b(returns|Returns) (a|an|one|two|three|degrees|the mean)\b", text), text


@pytest.mark.parametrize("chapter, label, exercise, solution", CODING)
def test_an_exercise_says_which_kind_of_array_its_function_gets(chapter, label, exercise, solution):
    """In its own text, or in that above the exercises; a float or an int is no array."""
    source = (PROJECT / "notebooks" / f"{chapter}.md").read_text(encoding="utf-8")
    text = source.split("## Exercises")[1].split("{exercise}")[0] + exercise["text"]
    for kind in re.findall(r"(numpy array|torch tensor)", CHECKERS[CALL.search(exercise["text"])[1]].__doc__):
        assert kind in " ".join(text.split()) or "like `a` in {ref}`ex-overlap`" in text, kind


def hints(name):
    """Yield the hints in a checker's source; three dots stand for what is filled in."""
    for node in ast.walk(ast.parse(inspect.getsource(CHECKERS[name].__wrapped__))):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "expect":
            hint = node.args[1]
            parts = hint.values if isinstance(hint, ast.JoinedStr) else [hint]
            yield "".join(part.value if isinstance(part, ast.Constant) else "..." for part in parts)


@pytest.mark.parametrize("name", CHECKERS)
def test_hints_are_sentences_and_there_are_several(name):
    assert len(list(hints(name))) >= 2, f"{name} recognizes fewer than two mistakes"
    for hint in hints(name):
        assert len(hint.split()) >= 5 and not re.match(r"(wrong|incorrect)\b", hint, re.I), hint


MISTAKES = [
    (name, attempt)
    for path in sorted(Path(__file__).parent.glob("test_check_*.py"))
    for name, attempt, _ in import_module(path.stem).WRONG
]
NONSENSE = [lambda *args: "text", lambda *args: np.zeros(3), lambda *args: -12345.678, lambda *args: 0.5]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", CHECKERS)
def test_every_hint_of_a_checker_is_given_for_some_mistake(name):
    mistakes = [attempt for checker, attempt in MISTAKES if checker == name]
    assert len(mistakes) >= 2
    given = [CHECKERS[name](attempt).hint for attempt in mistakes + NONSENSE]
    for hint in hints(name):
        pattern = ".*".join(map(re.escape, hint.split("...")))
        assert any(re.fullmatch(pattern, answer, re.S) for answer in given), f"no mistake gets the hint: {hint}"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", sorted({checker for checker, _ in MISTAKES}))
def test_who_is_right_in_the_main_case_keeps_a_share(name):
    for checker, attempt in MISTAKES:
        answer = CHECKERS[name](attempt) if checker == name else check.Answer(True)
        assert answer.passed or answer.share in (0, 0.25, 0.5, 0.75)
        if re.match(r"right (for|but|inside|with)\b|right,|nearly right", answer.hint):
            assert answer.share > 0, answer.hint
        if answer.share:
            assert CHECKERS[name](attempt, points=8) == 8 * answer.share
