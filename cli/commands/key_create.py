"""``samespace key create``."""

from __future__ import annotations

import click

from cli.options import Session, json_option, pass_session


@click.command()
@json_option
@pass_session
def create(session: Session) -> int:
    """Make your signing key, if you have none, and trust it. 'samespace init' does so too.

    It lies in $SAMESPACE_KEYS, or in samespace/keys in your configuration folder, never in a
    registry. A key is never overwritten.
    """
    from registry.keys import KeyRing

    ring = KeyRing()
    own, is_new = ring.create()
    return session.output.result(
        {"key_id": own.public.key_id, "folder": str(ring.folder), "is_new": is_new},
        f"{'made' if is_new else 'there is already'} the key {own.public.key_id[:12]} "
        f"in {ring.folder}",
    )
