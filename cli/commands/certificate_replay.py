"""``samespace certificate replay``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.options import INPUT_FILE, Session, pass_session, session_options

if TYPE_CHECKING:
    from registry.domain.certificates import Certificate


@click.command()
@click.argument("what", metavar="DIGEST|FILE")
@click.option("--evidence", type=INPUT_FILE, help="The evidence that was exported with FILE.")
@session_options
@pass_session
def replay(session: Session, what: str, evidence: Path | None) -> int:
    """Recompute a certificate's verdict from its evidence, and compare every byte.

    By its DIGEST (or the beginning of it) in the registry, or of an exported FILE and its evidence
    on any machine, without registry, model or vectors. The evidence's digest is checked before it
    is read; then findings, controls, matrix and verdict are computed again by the policy in the
    certificate; its limits, and its maps of scores, are taken as they stand there. The signature
    is verified too, unless you trust no key and give a FILE.

    Exit code 6 if anything differs, is damaged, or is signed by nobody you trust.

    \b
    Example:
      samespace certificate replay 3f9c2a
      samespace certificate replay products2.dsse.json --evidence products2.parquet
    """
    is_file = Path(what).is_file()
    if is_file != (evidence is not None):
        raise click.UsageError("an exported FILE goes with --evidence FILE, a DIGEST without")
    if evidence is not None:
        certificate, key_id = _read_file(Path(what))
        data = _read_bytes(evidence)
        return _tell(session, certificate, key_id, data, str(evidence))
    with session.open() as registry:
        verified = registry.certificates.verify(what)
        found = verified.certificate
        data = registry.certificates.evidence(found.digest)
    name = f"the evidence of certificate {found.digest[:12]}"
    return _tell(session, found, verified.key_id, data, name)


def _read_file(path: Path) -> tuple[Certificate, str | None]:
    from registry.keys import KeyRing
    from registry.service.trust import Trust
    from registry.service.verification import read_envelope, read_unverified

    text = _read_bytes(path).decode("utf-8", errors="replace").removesuffix("\n")
    trust = Trust(KeyRing())
    if trust.is_active:
        return read_envelope(trust, text, str(path))
    return read_unverified(text, str(path)), None


def _read_bytes(path: Path) -> bytes:
    from registry.errors import NotFoundError

    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise NotFoundError(f"there is no file {path}") from error


def _tell(
    session: Session, certificate: Certificate, key_id: str | None, data: bytes, name: str
) -> int:
    from compat.evidence import read_evidence
    from compat.replay import replay as run
    from registry.errors import EXIT_TAMPERED

    found = run(certificate, read_evidence(data, certificate.evidence_digest, name))
    signed = f"signed by {key_id[:12]}" if key_id else "its signature was not verified"
    return session.output.result(
        {
            "digest": certificate.digest,
            "key_id": key_id,
            "is_replayed": found.is_same,
            "difference": found.difference,
            "verdict": found.certificate.verdict.value,
        },
        f"{'REPLAYED' if found.is_same else 'NOT REPLAYED'}: certificate "
        f"{certificate.digest[:12]}, {signed}",
        certificate.statement
        if found.difference is None
        else f"the first thing that differs: {found.difference}{_other_numpy(certificate)}",
        exit_code=0 if found.is_same else EXIT_TAMPERED,
    )


def _other_numpy(certificate: Certificate) -> str:
    """Return a word on NumPy, whose random numbers another version may draw otherwise."""
    import numpy as np

    made_with = certificate.environment.get("numpy", np.__version__)
    if made_with == np.__version__:
        return ""
    return f" (it was made with numpy {made_with}, this is {np.__version__})"
