"""Progress output: a bar on a terminal, lines in a log, nothing when quiet."""

import io

import pytest
from rich.console import Console

from tokengeom_utils import console


@pytest.fixture
def screen(monkeypatch):
    """A console on a terminal, or on a log, that writes to memory."""

    def make(is_terminal):
        output = io.StringIO()
        monkeypatch.setattr(
            console, "console", Console(file=output, force_terminal=is_terminal, soft_wrap=True, highlight=False)
        )
        return output

    return make


def test_a_log_gets_a_line_now_and_then(screen, monkeypatch):
    output = screen(False)
    monkeypatch.setattr(console, "LOG_EVERY", 0.0)
    with console.track("copying", total=3) as advance:
        assert not output.getvalue()  # nothing before the first call
        advance(0)
        advance(2, "(half)")
    lines = output.getvalue().splitlines()
    assert lines[0] == "copying: 3 to do"
    assert lines[1].startswith("copying: 2/3, about ") and lines[1].endswith(" s left (half)")


def test_a_log_is_not_flooded(screen):
    output = screen(False)
    with console.track("copying", total=100) as advance:
        for done in range(100):
            advance(done)
    assert output.getvalue() == "copying: 100 to do\n"


def test_a_terminal_gets_a_bar(screen):
    output = screen(True)
    with console.track("copying", total=3) as advance:
        advance(3, "done")
    assert "copying" in output.getvalue() and "3/3" in output.getvalue()


@pytest.mark.parametrize("is_terminal", [True, False])
def test_quiet_is_quiet(screen, is_terminal):
    output = screen(is_terminal)
    with console.track("copying", total=3, quiet=True) as advance:
        advance(1)
        advance(3, note="done")
    assert not output.getvalue()


def test_a_line_is_printed_as_it_is(screen):
    output = screen(False)
    console.say("[bold] is not markup")
    assert output.getvalue() == "[bold] is not markup\n"
