"""``samespace key show``."""

from __future__ import annotations

import click

from cli.options import Session, json_option, pass_session


@click.command()
@json_option
@pass_session
def show(session: Session) -> int:
    """Print your public key, for others to trust. The private one is never shown.

    \b
    Example:
      samespace key show > alice.pem
    """
    from registry.keys import KeyRing

    public = KeyRing().signing.public
    pem = public.to_pem().decode("ascii")
    return session.output.result({"key_id": public.key_id, "public_key": pem}, pem.rstrip("\n"))
