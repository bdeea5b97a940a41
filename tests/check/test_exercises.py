"""The exercises of all chapters: each has a solution, and each checker tells one from the other with a hint."""

import ast
import inspect
import re
from importlib import import_module

import numpy as np
import pytest
import torch
import tokengeom_utils as tg
from conftest import PROJECT
from tokengeom_utils import check
from tokengeom_utils.site.build import chapters

BLOCK = re.compile(r"^(`{3,}|:{3,})\{(exercise|solution)\} *([^\n]*)\n(.*?)^\1$", re.M | re.S)
CODE = re.compile(r"^~~~python\n(.*?)^~~~$", re.M | re.S)
OPTION = re.compile(r"^:(\w+): *(.*)$", re.M)
CHECKERS = {name: f for name, f in vars(check).items() if hasattr(f, "__wrapped__")}


def blocks():
    """(chapter, exercises by label, solutions by label) for every chapter."""
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
PAIRS = [(chapter, label, exercises[label], solutions.get(label)) for chapter, exercises, solutions in BOOK
         for label in exercises]
CODING = [pytest.param(*pair, id=pair[1]) for pair in PAIRS if "tg.check" in pair[2]["text"]]


def run(code, **given):
    """Run code of an exercise; returns its names and what its last line, the check, answered."""
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
        assert len(CODE.sub("", solutions[label]["text"]).split()) >= 8, f"{label}: the solution says not why"


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
def test_a_body_that_fails_or_returns_nonsense_is_told_so(chapter, label, exercise, solution):
    stub = exercise["code"][0]
    function = re.search(r"def (\w+)\(", stub)[1]
    call = stub.strip().split("\n")[-1]

    def fails(*args):
        raise ValueError("no idea")

    for attempt in (fails, lambda *args: "text", lambda *args: np.zeros(3), lambda *args: -12345.678):
        _, verdict = run(call, **{function: attempt})
        assert not verdict.passed and verdict.hint
    _, verdict = run(call, **{function: fails})
    assert "no idea" in verdict.hint


def test_every_checker_is_used_by_an_exercise():
    used = {re.search(r"tg\.check\.(\w+)", param.values[2]["text"])[1] for param in CODING}
    assert used == CHECKERS.keys()


def hints(name):
    """The texts of the hints in a checker's source; what is filled in shows as three dots."""
    for node in ast.walk(ast.parse(inspect.getsource(CHECKERS[name].__wrapped__))):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "expect":
            hint = node.args[1]
            parts = hint.values if isinstance(hint, ast.JoinedStr) else [hint]
            yield "".join(part.value if isinstance(part, ast.Constant) else "..." for part in parts)


@pytest.mark.parametrize("name", CHECKERS)
def test_hints_are_sentences_and_there_are_several(name):
    assert CHECKERS[name].__doc__
    assert len(list(hints(name))) >= 2, f"{name} knows fewer than two mistakes"
    for hint in hints(name):
        assert len(hint.split()) >= 5 and not re.match(r"(wrong|incorrect)\b", hint, re.I), hint


MISTAKES = [(getattr(checker, "__name__", checker), attempt)
            for module in ("theory", "metrics", "shuffle", "loss", "beyond")
            for checker, attempt, _ in import_module(f"test_check_{module}").WRONG]
NONSENSE = [lambda *args: "text", lambda *args: np.zeros(3), lambda *args: -12345.678, lambda *args: 0.5]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", CHECKERS)
def test_every_hint_of_a_checker_is_given_to_some_mistake(name):
    mistakes = [attempt for checker, attempt in MISTAKES if checker == name]
    assert len(mistakes) >= 2
    given = [CHECKERS[name](attempt).hint for attempt in mistakes + NONSENSE]
    for hint in hints(name):
        pattern = ".*".join(map(re.escape, hint.split("...")))
        assert any(re.fullmatch(pattern, answer, re.S) for answer in given), f"no mistake is told: {hint}"


def test_a_wrong_attempt_is_told_what_is_wrong():
    def told(name, attempt):
        answer = CHECKERS[name](attempt)
        assert not answer.passed
        return answer.hint

    assert "other" in told("chance_overlap", lambda k, n: k / n)
    assert "N / (N - 1)" in told("two_nn", lambda r: len(r) / np.log(r[:, 1] / r[:, 0]).sum())
    assert "1 / d" in told("two_nn", lambda r: np.log(r[:, 1] / r[:, 0]).mean())
    assert "radians" in told("neighbor_angle", lambda a, b, c: np.arccos((a**2 + b**2 - c**2) / (2 * a * b)))
    assert "all pairs" in told("mean_cosine", lambda x: ((x / x.norm(dim=1, keepdim=True))
                                                         @ (x / x.norm(dim=1, keepdim=True)).T).mean())
    assert "square" in told("mean_cosine", lambda x: (x / x.norm(dim=1, keepdim=True)).mean(0).norm())
