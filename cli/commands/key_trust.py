"""``samespace key trust``."""

from __future__ import annotations

from pathlib import Path

import click

from cli.options import INPUT_FILE, Session, json_option, pass_session


@click.command()
@click.argument("file", type=INPUT_FILE)
@click.option("--name", help="What to call its owner; default is the name of FILE.")
@json_option
@pass_session
def trust(session: Session, file: Path, name: str | None) -> int:
    """Let signatures of the public key in FILE count from now on.

    Make sure, by another way than the registry's own files, that it really is its owner's.

    \b
    Example:
      samespace key trust alice.pem
    """
    from registry.errors import NotFoundError
    from registry.keys import KeyRing
    from registry.signing import PublicKey

    if not file.is_file():
        raise NotFoundError(f"there is no file {file}")
    key = PublicKey.from_pem(file.read_bytes(), str(file))
    ring = KeyRing()
    is_new = ring.trust(key, name or file.stem)
    verb = "trusted from now on" if is_new else "trusted already"
    return session.output.result(
        {"key_id": key.key_id, "folder": str(ring.folder), "is_new": is_new},
        f"{verb}: {key.key_id[:12]}",
    )
