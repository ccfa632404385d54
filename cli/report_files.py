"""Files for a report: checked before anything is measured, written whole at the end."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.options import CommandT, Session

if TYPE_CHECKING:
    from compat.report import Report
    from compat.workflow.certifying import Certification

FORMATS = ("html", "markdown", "junit")
REPORT_FILE = click.Path(path_type=Path, dir_okay=False)


def check_place(ctx: click.Context, param: click.Parameter, value: Path | None) -> Path | None:  # noqa: ARG001 -- click's signature
    """Refuse a file that could not be written, before anything is done."""
    folder = value.parent if value is not None else Path()
    if not folder.is_dir():
        raise click.BadParameter(f"there is no folder {str(folder)!r}: make it first")
    if not os.access(folder, os.W_OK):
        raise click.BadParameter(f"nothing may be written into folder {str(folder)!r}")
    return value


def _keep(ctx: click.Context, param: click.Parameter, value: Path | None) -> None:
    path = check_place(ctx, param, value)
    if path is not None:
        ctx.ensure_object(Session).reports[_FORMAT_OF[str(param.name)]] = path


_FORMAT_OF = {"report": "html", "markdown": "markdown", "junit": "junit"}


def _option(flag: str, text: str) -> Callable[[CommandT], CommandT]:
    return click.option(
        flag, type=REPORT_FILE, metavar="FILE", expose_value=False, callback=_keep, help=text
    )


def report_options(command: CommandT) -> CommandT:
    """Add --report, --markdown and --junit; `write_reports` takes what `Session` kept of them."""
    html = _option("--report", "Write a report as one HTML page.")
    markdown = _option("--markdown", "Write a summary as Markdown.")
    junit = _option("--junit", "Write findings and controls as JUnit XML.")
    return html(markdown(junit(command)))


def write_reports(
    files: Mapping[str, Path], made: Sequence[Certification], now: datetime
) -> dict[str, str]:
    """Write what was certified into the files that were asked for, and return them by format."""
    from compat.workflow.reporting import report_of

    if not files:
        return {}
    report = report_of(made, now)
    for form, path in files.items():
        write_whole(path, render(report, form))
    return {form: str(path) for form, path in files.items()}


def told(written: Mapping[str, str]) -> list[str]:
    """Return what a person is told of the files."""
    return [f"wrote {path}" for path in written.values()]


def render(report: Report, form: str) -> str:
    """Return a report in one of `FORMATS`."""
    from compat.report import render_html, render_junit, render_markdown

    renderers = {"html": render_html, "markdown": render_markdown, "junit": render_junit}
    return renderers[form](report)


def write_whole(path: Path, text: str) -> None:
    """Write a file whole or not at all; a file of that name is replaced.

    Raises:
        StorageError: if the file system refuses; what was there before stays.
    """
    from registry.errors import StorageError

    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        with temporary.open("x", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise StorageError(
            f"cannot write the report {path}: {error.strerror or error}",
            hint="what was certified is recorded: 'samespace report' writes it again",
        ) from error
