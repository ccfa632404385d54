"""``samespace certificate export``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click

from cli.options import Session, pass_session, session_options

FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.argument("digest")
@click.argument("file", type=FILE)
@click.option("--evidence", type=FILE, help="Write its evidence, as Parquet, into this FILE too.")
@session_options
@pass_session
def export(session: Session, digest: str, file: Path, evidence: Path | None) -> int:
    """Write a certificate as a DSSE envelope into FILE, which must not exist.

    It is verified first. Whoever has your public key can verify FILE without the registry, and
    with the evidence whoever has both can replay it. Evidence from which erased items were redacted
    is not the file that the certificate names any more, and is not exported.

    \b
    Example:
      samespace certificate export 3f9c2a products2.dsse.json --evidence products2.parquet
    """
    from registry.domain.redactions import describe_redactions
    from registry.errors import InvalidInputError, NotCertifiedError

    if evidence == file:
        raise click.UsageError("the certificate and its evidence are two files")
    with session.open() as registry:
        verified = registry.certificates.verify(digest)
        found = verified.certificate
        data = registry.certificates.evidence(found.digest) if evidence is not None else b""
    if evidence is not None and verified.redactions:
        raise InvalidInputError(
            f"the evidence of certificate {found.digest[:12]} cannot be verified outside of the "
            f"registry: {describe_redactions(verified.redactions)}",
            hint="export it without --evidence",
        )
    if verified.envelope is None:
        raise NotCertifiedError(
            f"certificate {found.digest[:12]} is not signed, for it is older than signing",
            hint="certify again",
        )
    contents = {file: (verified.envelope + "\n").encode("utf-8")}
    if evidence is not None:
        contents[evidence] = data
    _write_new(contents)
    with_evidence = "" if evidence is None else f", its evidence into {evidence}"
    return session.output.result(
        {
            "digest": found.digest,
            "key_id": verified.key_id,
            "file": str(file),
            "evidence": None if evidence is None else str(evidence),
        },
        f"wrote certificate {found.digest[:12]} into {file}{with_evidence}",
    )


def _write_new(contents: Mapping[Path, bytes]) -> None:
    """Write files of which none may exist, or none of them."""
    from registry.errors import AlreadyExistsError

    for path in contents:
        if path.exists():
            raise AlreadyExistsError(f"{path} exists already", hint="choose another name")
    for path, data in contents.items():
        try:
            with path.open("xb") as opened:
                opened.write(data)
        except FileExistsError:
            raise AlreadyExistsError(f"{path} exists already", hint="choose another name") from None
