"""``samespace certificate verify``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.options import Session, pass_session, session_options

if TYPE_CHECKING:
    from registry.domain.certificates import Certificate
    from registry.domain.probe_redactions import ProbeRedaction
    from registry.domain.redactions import Redaction


@click.command()
@click.argument("what", metavar="DIGEST|FILE")
@session_options
@pass_session
def verify(session: Session, what: str) -> int:
    """Verify a certificate: its signature by a key that you trust, and all digests.

    By its DIGEST (or the beginning of it) in the registry, with its evidence, its columns and the
    event that recorded it. Or of an exported FILE, on any machine, without a registry.

    Exit code 6 if a signature or a digest is wrong, 4 if it is sound but nobody may be promoted on
    it: it is not signed, does not say COMPATIBLE, is expired, stale, revoked or superseded.

    \b
    Example:
      samespace certificate verify 3f9c2a
      samespace certificate verify products2.dsse.json
    """
    if Path(what).is_file():
        return _verify_file(session, Path(what))
    with session.open() as registry:
        verified = registry.certificates.verify(what)
        state = registry.certificates.state(verified.certificate.digest)
    why_not = state.staleness
    if verified.key_id is None:
        why_not = "it is not signed, for it is older than signing"
    made, key_id = verified.certificate, verified.key_id
    return _tell(session, made, key_id, why_not, verified.redactions, verified.probe_redactions)


def _verify_file(session: Session, path: Path) -> int:
    from datetime import UTC, datetime

    from registry.domain.certificates import Verdict
    from registry.errors import SignatureError
    from registry.keys import KeyRing
    from registry.service.trust import Trust
    from registry.service.verification import read_envelope

    try:
        text = path.read_text("utf-8").removesuffix("\n")
    except UnicodeDecodeError as error:
        raise SignatureError(f"{path} is not a DSSE envelope: it is not text") from error
    certificate, key_id = read_envelope(Trust(KeyRing()), text, str(path))
    why_not = None
    if certificate.verdict is not Verdict.COMPATIBLE:
        why_not = f"it says {certificate.verdict}"
    elif datetime.now(UTC) >= certificate.expires_at:
        why_not = f"it expired on {certificate.expires_at:%Y-%m-%d}"
    return _tell(session, certificate, key_id, why_not)


def _tell(
    session: Session,
    certificate: Certificate,
    key_id: str | None,
    why_not: str | None,
    redactions: Sequence[Redaction] = (),
    probe_redactions: Sequence[ProbeRedaction] = (),
) -> int:
    from registry.domain.probe_redactions import describe_probe_redactions
    from registry.domain.redactions import describe_redactions
    from registry.errors import EXIT_NOT_CERTIFIED

    signed = f"signed by {key_id[:12]}" if key_id else "not signed"
    return session.output.result(
        {
            "digest": certificate.digest,
            "key_id": key_id,
            "statement": certificate.statement,
            "verdict": certificate.verdict.value,
            "why_not": why_not,
            "redactions": [step.to_json() for step in redactions],
            "probe_redactions": [step.to_json() for step in probe_redactions],
        },
        certificate.statement,
        f"certificate {certificate.digest[:12]} is as it was made, {signed}",
        describe_redactions(redactions),
        describe_probe_redactions(probe_redactions),
        f"but nobody may be promoted on it: {why_not}" if why_not else "",
        exit_code=EXIT_NOT_CERTIFIED if why_not else 0,
    )
