"""Promotions and rollbacks as people and scripts see them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .output import Output, short, table

if TYPE_CHECKING:
    from registry import Change


def report_change(output: Output, change: Change, verb: str) -> int:
    """Print what a promotion or rollback did, or would do."""
    model, serving = change.after.model, change.serving
    rows = [
        (f"{model}@{number}", "searched", why if why.startswith(("same", "waiver")) else short(why))
        for number, why in sorted(serving.basis.items())
    ]
    rows += [(str(ref), f"{n} items hidden", "not certified") for ref, n in change.lost.items()]
    is_done = change.event is not None
    head = f"{verb} {change.gallery!r}" if is_done else f"would have {verb} {change.gallery!r}"
    writers = [f"{model}@{number}" for number in serving.write_versions]
    return output.result(
        {
            "gallery": change.gallery,
            "from": str(change.before),
            "to": str(change.after),
            "write_versions": writers,
            "basis": {f"{model}@{number}": why for number, why in serving.basis.items()},
            "calibration": {
                f"{model}@{number}": found.to_json()
                for number, found in serving.calibration.items()
            },
            "lost": {str(ref): n for ref, n in change.lost.items()},
            "event": change.event.hash if change.event else None,
            "dry_run": not is_done,
        },
        f"{head}: queries {change.before} -> {change.after}, new items by {', '.join(writers)}",
        table("", ("vectors of", "", "on the strength of"), rows),
    )
