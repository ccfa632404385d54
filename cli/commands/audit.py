"""``samespace audit``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click

from cli.options import Session, pass_session, session_options
from cli.output import short, table

if TYPE_CHECKING:
    from rich.console import RenderableType

    from registry.domain.canonical import Json
    from registry.domain.events import Event
    from registry.service.trust import Seal


@click.command()
@click.argument("gallery", required=False)
@click.option(
    "--as-of",
    metavar="DATE",
    help="Only what had happened by then (ISO 8601, UTC); a day counts whole.",
)
@session_options
@pass_session
def audit(session: Session, gallery: str | None, as_of: str | None) -> int:
    """Show who did what when, and check that no event was changed or slipped in.

    Exit code 6 if one was, or if one that counts is not signed by a key that you trust. Keep the
    last hashes (heads in --json) elsewhere: a database that was set back as a whole, to an older
    state that was signed too, is told only by them.
    """
    from registry.errors import EXIT_TAMPERED, DigestMismatchError

    with session.open() as registry:
        events = registry.audit()
        heads = {e.stream: e.hash for e in sorted(events, key=lambda e: e.sequence)}
        if gallery is not None:
            model = registry.galleries.get(gallery).model
            events = tuple(e for e in events if _concerns(e, gallery, model))
        breaks = registry.find_tampering()
        seals = registry.integrity.seals(events)
        is_verified = registry.integrity.is_verified
        untrusted = registry.integrity.find_untrusted() if is_verified else ()
    if as_of is not None:
        moment = _moment(as_of)
        events = tuple(e for e in events if e.at <= moment)
    if breaks:
        raise DigestMismatchError(
            f"the audit trail was tampered with: {breaks[0]}",
            hint="compare the database with a backup",
        )
    signatures = (
        "; ".join(untrusted) or "every event that moves trust is signed by a key that you trust"
    )
    return session.output.result(
        {
            "events": _as_data(events, seals),
            "is_whole": True,
            "heads": heads,
            "untrusted": list(untrusted),
        },
        _as_table(events, seals if is_verified else {}),
        "the chain of events is whole",
        signatures if is_verified else "signatures are not verified: you trust no key",
        exit_code=EXIT_TAMPERED if untrusted else 0,
    )


def _as_data(events: Sequence[Event], seals: Mapping[str, Seal]) -> list[dict[str, Json]]:
    return [
        {
            "at": e.at.isoformat(),
            "stream": e.stream,
            "sequence": e.sequence,
            "kind": e.kind.value,
            "actor": e.actor,
            "payload": dict(e.payload),
            "hash": e.hash,
            "signature": seals[e.hash].value,
        }
        for e in events
    ]


def _as_table(events: Sequence[Event], seals: Mapping[str, Seal]) -> RenderableType:
    rows = [
        (
            f"{e.at:%Y-%m-%d %H:%M:%S}",
            e.actor,
            e.kind,
            _summary(e),
            short(e.hash),
            seals.get(e.hash, ""),
        )
        for e in events
    ]
    return table("", ("at (UTC)", "by", "what", "", "hash", ""), rows)


def _concerns(event: Event, gallery: str, model: str) -> bool:
    if event.stream == f"gallery:{gallery}":
        return True
    if event.stream != f"model:{model}":
        return False
    return event.payload.get("gallery", gallery) == gallery


def _moment(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is no ISO 8601 date", param_hint="--as-of") from None
    if len(text) == len("2026-05-03"):  # a day: until its end
        found += timedelta(days=1, microseconds=-1)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _summary(event: Event) -> str:
    payload = dict(event.payload)
    where = event.stream.partition(":")[2]
    shown = {
        key: value
        for key, value in payload.items()
        if not isinstance(value, (dict, list))
        and value != ""
        and key not in ("digest", "fingerprint", "head", "salt", "path", "before", "after")
    }
    if "certificate" in shown:
        shown["certificate"] = short(str(shown["certificate"]))
    facts = ", ".join(
        [*(f"{key.replace('_', ' ')} {value}" for key, value in shown.items()), *_waivers(payload)]
    )
    return f"{where}: {facts}" if facts else where


def _waivers(payload: Mapping[str, object]) -> list[str]:
    """Return what stands in the place of a certificate: it is to be visible for ever."""
    serving = payload.get("serving")
    basis = serving.get("basis") if isinstance(serving, dict) else None
    if not isinstance(basis, dict):
        return []
    found = [str(why) for why in basis.values() if str(why).startswith("waiver: ")]
    return list(dict.fromkeys(found))
