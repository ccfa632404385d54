"""Telling the demo's story: headings, plain sentences, and commands that are really run."""

from __future__ import annotations

import shlex
import textwrap
import time
from collections.abc import Collection
from dataclasses import dataclass

import click

from registry.errors import SamespaceError


class StoryError(SamespaceError):
    """A command of the demo ended otherwise than the story says."""


@dataclass(frozen=True, slots=True)
class Step:
    """A command that was run."""

    command: str
    exit_code: int
    seconds: float


class Shell:
    """Prints what it does, runs the public command line, and keeps what it ran in `steps`."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self._began = time.monotonic()
        self._n = 0

    @property
    def seconds(self) -> float:
        """Seconds since the story began."""
        return time.monotonic() - self._began

    def step(self, title: str) -> None:
        """Begin the next chapter."""
        self._n += 1
        head = f"{self._n}. {title}"
        click.echo("\n" + click.style(head, bold=True) + f"   [{self.seconds:.0f} s]")

    def say(self, text: str) -> None:
        """Explain something."""
        click.echo(textwrap.fill(" ".join(text.split()), width=96))

    def run(self, command: str, *, expect: Collection[int] = (0,)) -> int:
        """Run a samespace command as a user would type it.

        Raises:
            StoryError: if it ends with another exit code than expected.
        """
        from cli.main import run

        click.echo("\n" + click.style(f"$ samespace {command}", fg="cyan"))
        began = time.monotonic()
        code = run(shlex.split(command))
        self.steps.append(Step(f"samespace {command}", code, round(time.monotonic() - began, 3)))
        if code not in expect:
            wanted = " or ".join(str(c) for c in sorted(expect))
            raise StoryError(
                f"'samespace {command}' ended with exit code {code}, the story needs {wanted}",
                hint="the demo tells only what happens; please report this",
            )
        if code != 0:
            click.echo(f"(exit code {code})")
        return code
