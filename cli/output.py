"""What commands print: tables for people, one JSON object for scripts."""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import click

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

SCHEMA_VERSION = 1
_WIDTH_OF_FILES = 120


@dataclass(frozen=True, slots=True)
class Output:
    """Where a command's result goes. Results go to stdout, everything else to stderr."""

    as_json: bool

    def result(self, data: Mapping[str, object], *shown: RenderableType, exit_code: int = 0) -> int:
        """Print a command's result, in one of the two forms, and return the exit code."""
        if self.as_json:
            body = {"schema_version": SCHEMA_VERSION, **data, "exit_code": exit_code}
            click.echo(json.dumps(body, ensure_ascii=False))
        else:
            for item in shown:
                show(item)
        return exit_code

    def note(self, text: str) -> None:
        """Say something beside the result."""
        if not self.as_json:
            click.echo(text, err=True)


def show(item: RenderableType) -> None:
    """Print something for people; empty text prints nothing."""
    from rich.console import Console

    if item != "":
        width = None if sys.stdout.isatty() else _WIDTH_OF_FILES
        console = Console(highlight=False, soft_wrap=True, markup=False, width=width)
        console.print(item)


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """Return a table; columns whose name begins with ``#`` are right-aligned numbers."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    made = Table(
        title=Text(title) if title else None,
        box=box.SIMPLE_HEAD,
        title_justify="left",
        pad_edge=False,
    )
    for name in columns:
        side: Literal["left", "right"] = "right" if name.startswith("#") else "left"
        made.add_column(name.removeprefix("#"), justify=side, overflow="fold")
    for row in rows:
        made.add_row(*(Text(str(value)) for value in row))
    return made


def count_stored(paths: Collection[str]) -> str:
    """Count stored paths in words: of models these are folders, else files."""
    n_folders = sum(path.startswith("models/") for path in paths)
    counts = ((len(paths) - n_folders, "file"), (n_folders, "folder"))
    said = [f"{n} {noun}" + "s" * (n > 1) for n, noun in counts if n > 0]
    return " and ".join(said) or "no files"


def short(digest: str | None) -> str:
    """Return the beginning of a digest or fingerprint, enough to tell it from others."""
    if digest is None:
        return "–"
    kind, _, value = digest.rpartition(":")
    prefix = "" if kind in ("", "sha256") else f"{kind}:"
    return prefix + value[:12]
