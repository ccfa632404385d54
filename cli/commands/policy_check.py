"""``samespace policy check``."""

from __future__ import annotations

from pathlib import Path

import click

from cli.options import INPUT_FILE, Session, json_option, pass_session


@click.command()
@click.argument("file", type=INPUT_FILE)
@json_option
@pass_session
def check(session: Session, file: Path) -> int:
    """Check the policy in FILE, and say what it demands. No registry is needed.

    Exit code: 2 if a key is unknown or a value impossible.

    \b
    Example:
      samespace policy check policy.toml
    """
    from cli.policies import describe, read_policy
    from compat.certification import check_policy

    policy = read_policy(file)
    check_policy(policy)
    said = describe(policy)
    data = {"digest": policy.digest, "demands": said, "policy": policy.to_json()}
    return session.output.result(data, *said, f"policy {policy.digest}")
