from __future__ import annotations

import io
import sys

import pytest

from cli.progress import progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_plain_lines_come_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    times = iter([0.0, 1.0, 6.0, 7.0])
    monkeypatch.setattr("cli.progress.time.monotonic", lambda: next(times))
    with progress("embedding", 100) as advance:
        for _ in range(3):
            advance(20)
    found = capsys.readouterr()
    assert found.out == ""
    assert found.err == "embedding: 40/100, 6.67/s, 9 s left\n"


def test_quiet_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("embedding", 100, quiet=True) as advance:
        advance(100)
    assert capsys.readouterr() == ("", "")


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress("embedding", 10) as advance:
        advance(5)
    assert "embedding" in terminal.getvalue()
    assert "5/10" in terminal.getvalue()
