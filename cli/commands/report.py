"""``samespace report``."""

from __future__ import annotations

from pathlib import Path

import click

from cli.options import Session, pass_session, session_options
from cli.report_files import FORMATS, REPORT_FILE, check_place, render, write_whole

_BY_SUFFIX = {".md": "markdown", ".xml": "junit"}


@click.command()
@click.argument("gallery")
@click.option(
    "--certificate", metavar="DIGEST", help="Of this one only; default: the last certification."
)
@click.option(
    "-o",
    "--output",
    "path",
    type=REPORT_FILE,
    callback=check_place,
    help="File to write; default: stdout.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    help="Default: by the file's name (.md, .xml), else html.",
)
@session_options
@pass_session
def report(
    session: Session, gallery: str, certificate: str | None, path: Path | None, form: str | None
) -> int:
    """Write a report on what GALLERY's certificates say.

    An HTML page for those who decide, Markdown for a pull request, or JUnit XML for CI. It is made
    from the certificates and their per-query evidence, whose digests are verified first. The exit
    code is 0 whatever the verdict: 'certify' is the gate.

    \b
    Example:
      samespace report shop -o report.html
      samespace report shop --certificate 3f9c2a --format markdown
    """
    from compat.workflow.reporting import read_report

    if path is None and session.as_json:
        raise click.UsageError("with --json the report needs a file: add -o FILE")
    with session.open() as registry:
        found = read_report(registry, gallery, certificate)
    chosen = form or _BY_SUFFIX.get(path.suffix if path is not None else "", "html")
    text = render(found, chosen)
    if path is None:
        click.echo(text, nl=False)
        return 0
    write_whole(path, text)
    data = {
        "file": str(path),
        "format": chosen,
        "verdict": found.verdict.value,
        "certificates": [entry.certificate.digest for entry in found.entries],
    }
    return session.output.result(data, f"wrote {path}: {found.verdict}")
