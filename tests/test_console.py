"""Progress output: a bar on a terminal, lines in a log, nothing when quiet."""

import io
import os
import subprocess
import sys

import pytest
from rich.console import Console

import tokengeom_utils as tg
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


@pytest.mark.parametrize("encoding, arrow", [("cp1252", "?"), ("ascii", "?"), ("utf-8", "→")])
def test_a_character_that_the_output_lacks_is_replaced(monkeypatch, encoding, arrow):
    raw = io.BytesIO()
    output = io.TextIOWrapper(raw, encoding=encoding)
    monkeypatch.setattr(console, "console", Console(file=output, soft_wrap=True, highlight=False))
    console.say("layer 1 → 2")
    output.flush()
    assert raw.getvalue().decode(encoding).strip() == f"layer 1 {arrow} 2"


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_the_command_line_prints_on_every_console(tmp_path, encoding):
    """A table has lines, and the name of a file any letters."""
    tiny = tg.tiny_model()
    tiny.network.save_pretrained(tmp_path)
    tiny.tokenizer.save_pretrained(tmp_path)
    text = tmp_path / "naïve → 一.txt"
    text.write_text("To be, or not to be. " * 8, encoding="utf-8")
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    command = [sys.executable, "-m", "tokengeom_utils.cli", "measure", str(text), "--model", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, env=environment, cwd=tmp_path)
    assert done.returncode == 0 and not done.stderr, done.stderr
    printed = done.stdout.decode(encoding)
    assert "? ?.txt" in printed and "layer" in printed
