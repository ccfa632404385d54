"""``samespace init``."""

from __future__ import annotations

import click

from cli.options import Session, dry_run_option, pass_session, session_options


@click.command()
@dry_run_option
@session_options
@pass_session
def init(session: Session, dry_run: bool) -> int:
    """Make a new registry, and your signing key if you have none.

    Certificates and promotions are signed with it. It lies in $SAMESPACE_KEYS, or in samespace/keys
    in your configuration folder, and never in a registry.

    \b
    Example:
      samespace init
      samespace init --registry postgresql://host/samespace --storage /srv/samespace
    """
    from registry import Registry
    from registry.keys import KeyRing

    name, storage = Registry.check_create(session.where, storage=session.storage)
    where = name if "://" in session.where else session.where
    ring = KeyRing()
    is_new = not ring.has_signing_key
    data = {
        "registry": where,
        "storage": str(storage),
        "keys": str(ring.folder),
        "makes_key": is_new,
        "dry_run": dry_run,
    }
    if dry_run:
        more = f" and a signing key in {ring.folder}" if is_new else ""
        return session.output.result(data, f"would make a registry in {where}{more}")
    Registry.create(session.where, storage=session.storage).close()
    return session.output.result(
        data,
        f"made a registry in {where}",
        f"made your signing key in {ring.folder}: keep it safe" if is_new else "",
        "next: samespace train CONFIG, or samespace model register NAME …",
    )
