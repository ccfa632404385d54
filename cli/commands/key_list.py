"""``samespace key list``."""

from __future__ import annotations

import click

from cli.options import Session, json_option, pass_session
from cli.output import short, table


@click.command(name="list")
@json_option
@pass_session
def list_keys(session: Session) -> int:
    """List the public keys that you trust, and which one is yours."""
    from registry.keys import KeyRing

    ring = KeyRing()
    own = ring.signing.public.key_id if ring.has_signing_key else None
    found = [
        {"name": name, "key_id": key.key_id, "is_own": key.key_id == own}
        for name, key in ring.named().items()
    ]
    rows = [(k["name"], short(str(k["key_id"])), "yours" if k["is_own"] else "") for k in found]
    return session.output.result(
        {"folder": str(ring.folder), "keys": found, "own_key_id": own},
        table("", ("name", "key", ""), rows) if rows else f"no key is trusted in {ring.folder}",
        "" if own else "you have no signing key: samespace key create",
    )
