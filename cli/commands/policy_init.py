"""``samespace policy init``."""

from __future__ import annotations

from pathlib import Path

import click

from cli.options import INPUT_FILE, Session, json_option, pass_session


@click.command()
@click.argument("file", type=INPUT_FILE, default="policy.toml")
@json_option
@pass_session
def init(session: Session, file: Path) -> int:
    """Write the default policy to FILE (policy.toml), every key explained. Nothing is overwritten.

    \b
    Example:
      samespace policy init
      samespace policy init strict.toml
    """
    from cli.policies import read_policy, write_default

    write_default(file)
    data = {"file": str(file), "digest": read_policy(file).digest}
    return session.output.result(
        data, f"wrote {file}", f"next: edit it, then samespace policy check {file}"
    )
