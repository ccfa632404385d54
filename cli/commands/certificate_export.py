"""``samespace certificate export``."""

from __future__ import annotations

from pathlib import Path

import click

from cli.options import Session, pass_session, session_options


@click.command()
@click.argument("digest")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@session_options
@pass_session
def export(session: Session, digest: str, file: Path) -> int:
    """Write a certificate as a DSSE envelope into FILE, which must not exist.

    It is verified first. Whoever has your public key can verify FILE without the registry.

    \b
    Example:
      samespace certificate export 3f9c2a products2.dsse.json
    """
    from registry.errors import AlreadyExistsError, NotCertifiedError

    with session.open() as registry:
        verified = registry.certificates.verify(digest)
    found = verified.certificate
    if verified.envelope is None:
        raise NotCertifiedError(
            f"certificate {found.digest[:12]} is not signed, for it is older than signing",
            hint="certify again",
        )
    try:
        with file.open("x", encoding="utf-8", newline="\n") as opened:
            opened.write(verified.envelope + "\n")
    except FileExistsError:
        raise AlreadyExistsError(f"{file} exists already", hint="choose another name") from None
    return session.output.result(
        {"digest": found.digest, "key_id": verified.key_id, "file": str(file)},
        f"wrote certificate {found.digest[:12]} into {file}",
    )
