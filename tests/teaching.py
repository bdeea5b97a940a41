"""The tables of book/teaching.md: the course plans and the map of the chapters, with the times that the chapters state.

.venv/bin/python tests/teaching.py    renews the tables of the page

Minutes come from tests/times.py; seconds and memory from benchmarks/results/chapters.json, which
benchmarks/chapters.py measures.
"""

import json
import math
import re
from pathlib import Path

import times

from tokengeom_utils.site.build.contents import chapters

PROJECT = Path(__file__).parents[1]
PAGE = PROJECT / "book" / "teaching.md"
MEASURED = PROJECT / "benchmarks" / "results" / "chapters.json"
MIB = 2**20

#: The chapters that a chapter builds on; a reader who knows these needs no other.
NEEDS = {
    "the_paper_in_one_page": (),
    "empirical_measures": (),
    "mean_field": ("empirical_measures",),
    "lasting_groups": ("mean_field",),
    "mean_field_in_a_real_model": ("mean_field",),
    "extraction": (),
    "cosine_similarity": ("extraction",),
    "intrinsic_dimension": ("extraction",),
    "estimators_compared": ("intrinsic_dimension",),
    "neighborhood_overlap": ("extraction",),
    "shuffle_control": ("intrinsic_dimension",),
    "loss_correlation": ("intrinsic_dimension",),
    "from_geometry_to_loss": ("loss_correlation",),
    "untrained_twin": ("shuffle_control", "loss_correlation"),
    "your_own_text": ("intrinsic_dimension", "loss_correlation"),
    "what_a_survey_costs": ("extraction",),
    "reproduction_report": ("shuffle_control", "loss_correlation"),
}

READ, SOLVE = "read", "solve"
#: A plan has rows of minutes, or of what states them, and of what happens; a row without minutes gets what is left.
#: One session.
SESSION_MINUTES = 90
SESSION = (
    ((READ, "the_paper_in_one_page"), "Read {doc}`../notebooks/the_paper_in_one_page`, each for themselves."),
    (5, "Questions about the picture: what is a dot, what is a line, what would speak against the claim?"),
    (15, "Slides of {doc}`../notebooks/intrinsic_dimension`: the question, the definition, the picture."),
    (15, "{doc}`estimator_laboratory`: a shape, then noise, then more dimensions. Predict first, then look."),
    ((SOLVE, "ex-volume-fraction"), "{ref}`ex-volume-fraction`, in pairs."),
    ((SOLVE, "ex-common-cause"), "{ref}`ex-common-cause`, in pairs, on paper."),
    (15, "A text of the class, measured on the teacher's machine with `tokengeom measure`."),
    (None, "Discussion: two of the [questions below](#questions-for-a-discussion)."),
)
#: One day, from nine to five.
DAY_MINUTES = 480
DAY = (
    (30, "Is everything installed? Everybody opens a chapter and runs it."),
    ((READ, "the_paper_in_one_page"), "Read {doc}`../notebooks/the_paper_in_one_page`."),
    ((SOLVE, "ex-relative-peak"), "{ref}`ex-relative-peak`: everybody's first checked answer."),
    ((SOLVE, "ex-common-cause"), "{ref}`ex-common-cause`, in pairs."),
    ((READ, "extraction"), "Read {doc}`../notebooks/extraction`."),
    ((SOLVE, "ex-next-token-loss"), "{ref}`ex-next-token-loss`."),
    (15, "Break."),
    ((READ, "intrinsic_dimension"), "Read {doc}`../notebooks/intrinsic_dimension`, with slides for the formulas."),
    ((SOLVE, "ex-two-nn"), "{ref}`ex-two-nn`."),
    ((SOLVE, "ex-gride"), "{ref}`ex-gride`."),
    (20, "{doc}`estimator_laboratory`: when is the estimate wrong?"),
    (60, "Lunch."),
    ((READ, "shuffle_control"), "Read {doc}`../notebooks/shuffle_control`."),
    ((SOLVE, "ex-shuffle-blocks"), "{ref}`ex-shuffle-blocks`."),
    (15, "Discussion: what should a shuffle leave as it is, and what does it?"),
    ((READ, "loss_correlation"), "Read {doc}`../notebooks/loss_correlation`."),
    ((SOLVE, "ex-simpson"), "{ref}`ex-simpson`, in pairs."),
    (15, "Break."),
    ((READ, "your_own_text"), "Read {doc}`../notebooks/your_own_text`."),
    ((SOLVE, "ex-own-variants"), "{ref}`ex-own-variants`, each on a text of their own."),
    ((READ, "reproduction_report"), "Read {doc}`../notebooks/reproduction_report`."),
    ((SOLVE, "ex-read-verdict"), "{ref}`ex-read-verdict`."),
    (None, "Discussion: which verdicts convince you, and which would you test again?"),
)
#: Four weeks, two meetings each: what the chapters of a week are about, the chapters, and the exercises to hand in.
MEETING = 90
WEEKS = (
    (
        "From text to a cloud",
        "the_paper_in_one_page extraction cosine_similarity",
        "relative-peak common-cause next-token-loss loss-in-chunks mean-cosine centered",
    ),
    (
        "Its dimension and its neighbors",
        "intrinsic_dimension estimators_compared neighborhood_overlap",
        "two-nn gride participation-ratio chance-overlap overlap overlap-triangle",
    ),
    (
        "Shuffling and loss",
        "shuffle_control loss_correlation",
        "shuffle-blocks degree-six sign-flip fisher-interval partial-correlation simpson",
    ),
    (
        "What learning adds, and the verdict",
        "untrained_twin your_own_text reproduction_report",
        "twin-loss causal-mean own-variants read-verdict holm peak-search",
    ),
)
WEEKS = tuple((about, read.split(), [f"ex-{name}" for name in solve.split()]) for about, read, solve in WEEKS)


def stated():
    """Minutes by (READ, chapter) and by (SOLVE, exercise), and of all exercises of a chapter by its name alone."""
    found = {}
    for path in chapters(PROJECT):
        reading, solving = times.minutes(path)
        found[READ, path.stem], found[path.stem] = reading, solving
        for label, _, said, _ in times.exercises(path.read_text(encoding="utf-8")):
            found[SOLVE, label] = said
    return found


def timed(rows, total, known):
    """The rows of a plan with the minutes of each; the row without any gets what is left of the total."""
    given = [known[what] if isinstance(what, tuple) else what for what, _ in rows]
    left = total - sum(minutes for minutes in given if minutes is not None)
    return [(left if minutes is None else minutes, said) for minutes, (_, said) in zip(given, rows, strict=True)]


def plan(rows, total, known):
    """A plan as a table, with the minute at which each row begins."""
    lines, start = ["| from | minutes | what |", "| ---: | ---: | --- |"], 0
    for minutes, said in timed(rows, total, known):
        lines.append(f"| {start // 60}:{start % 60:02d} | {minutes} | {said} |")
        start += minutes
    return [*lines, f"| {start // 60}:{start % 60:02d} | | End, after {start} minutes. |"]


def weeks(known):
    """The plan for four weeks."""
    lines = ["| week | to read at home | to hand in | minutes at home | minutes together |"]
    lines += ["| --- | --- | --- | ---: | ---: |"]
    home = 0
    for number, (about, read, solve) in enumerate(WEEKS, 1):
        minutes = sum(known[READ, name] for name in read) + sum(known[SOLVE, label] for label in solve)
        home += minutes
        reading = ", ".join(f"{{doc}}`../notebooks/{name}`" for name in read)
        solving = ", ".join(f"{{ref}}`{label}`" for label in solve)
        lines.append(f"| {number}. {about} | {reading} | {solving} | {minutes} | 2 × {MEETING} |")
    return [*lines, f"| all | | | {home} | {2 * MEETING * len(WEEKS)} |"]


def chapter_map(known):
    """The chapters: times, what each needs, and what it takes of a machine."""
    measured = json.loads(MEASURED.read_text())["chapters"]
    lines = ["| chapter | needs | read, minutes | exercises, minutes | processor, seconds | memory, GB |"]
    lines += ["| --- | --- | ---: | ---: | ---: | ---: |"]
    for path in chapters(PROJECT):
        name = path.stem
        needs = ", ".join(f"{{doc}}`../notebooks/{one}`" for one in NEEDS[name]) or "nothing"
        took, peak = measured[name]["processor seconds"], measured[name]["bytes"] / 1e9
        lines.append(
            f"| {{doc}}`../notebooks/{name}` | {needs} | {known[READ, name]} | {known[name]} | {math.ceil(took)} "
            f"| {math.ceil(10 * peak) / 10:.1f} |"
        )
    return lines


def machine():
    """A sentence about the machine of the measured numbers."""
    found = json.loads(MEASURED.read_text())
    about, peak = found["provenance"], max(one["bytes"] for one in found["chapters"].values())
    return [
        f"Measured {about['date'].split()[0]} with `benchmarks/chapters.py`: each chapter alone, profile "
        f"`{found['profile']}`, bundled survey, {about['cores']} cores, no GPU; {about['processor'].split(' (')[0]}, "
        f"{about['system'].split()[0]}, Python {about['versions']['python']}.",
        "Seconds are those of the processor; with two cores and little else running, a chapter takes between half as "
        "long and just as long.",
        "Memory is the peak of the chapter's kernel and of papermill, which runs it, together; the most is "
        f"{math.ceil(peak / 1e8) / 10:.1f} GB.",
    ]


def tables():
    """All parts of the page that are renewed, by the name of their mark."""
    known = stated()
    return {
        "session": plan(SESSION, SESSION_MINUTES, known),
        "day": plan(DAY, DAY_MINUTES, known),
        "weeks": weeks(known),
        "chapters": chapter_map(known),
        "machine": machine(),
    }


def renewed(text):
    """The page with its parts renewed: what stands between a mark and the next empty line."""
    for name, lines in tables().items():
        mark = f"% renewed by tests/teaching.py: {name}\n\n"
        assert text.count(mark) == 1, name
        before, after = text.split(mark)
        text = before + mark + "\n".join(lines) + re.sub(r"\A(?:[^\n]+\n)*", "\n", after)
    return text


if __name__ == "__main__":
    PAGE.write_text(renewed(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    print(f"renewed {PAGE.relative_to(PROJECT)}")
