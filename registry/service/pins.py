"""What a promotion pins: the spaces, the contracts and the metric as they were at that moment.

They lie in tables that anybody with the database can edit. The signed event repeats them, so that
what serves is what was certified.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

from ..db import versions
from ..db.session import Connection
from ..domain.canonical import Json
from ..domain.events import Event
from ..domain.galleries import Metric
from ..domain.promotions import Serving
from ..domain.versions import ModelVersion
from ..errors import DigestMismatchError


def pin(
    connection: Connection, members: Mapping[int, ModelVersion], metric: Metric, serving: Serving
) -> dict[str, Json]:
    """Return what an event that lets a gallery serve says of the rows that it rests on."""
    query = members[serving.query_version]
    pinned: dict[str, Json] = {}
    for number in sorted({serving.query_version, *serving.write_versions, *serving.basis}):
        held = members[number]
        contract = versions.get_contract(connection, query, held)
        pinned[str(number)] = {
            "fingerprint": held.fingerprint,
            "contract": contract.to_json() if contract else None,
        }
    return {"metric": metric.value, "versions": pinned}


def find_unpinned(
    connection: Connection, event: Event, metric: Metric, members: Mapping[int, ModelVersion]
) -> tuple[str, ...]:
    """Return, in words, which rows are not what an event pinned; an old one pinned nothing."""
    pinned = cast("Mapping[str, Any] | None", event.payload.get("pinned"))
    if pinned is None:
        return ()
    found = []
    if pinned["metric"] != metric.value:
        found.append(f"its metric is {metric}, not {pinned['metric']}")
    serving = cast("Mapping[str, Any]", event.payload["serving"])
    query = members.get(serving["query_version"])
    for number, facts in pinned["versions"].items():
        held = members.get(int(number))
        if held is None or query is None:
            found.append(f"version {number} is gone")
            continue
        if held.fingerprint != facts["fingerprint"]:
            found.append(f"the fingerprint of {held.ref} is another")
        contract = versions.get_contract(connection, query, held)
        if (contract.to_json() if contract else None) != facts["contract"]:
            found.append(f"{query.ref} is compared with {held.ref} by another contract")
    return tuple(found)


def check_pins(gallery: str, unpinned: Iterable[str]) -> None:
    """Refuse to serve what is not what was promoted.

    Raises:
        DigestMismatchError: naming what was changed.
    """
    words = "; ".join(unpinned)
    if words:
        raise DigestMismatchError(
            f"{gallery!r} was changed in the database since it was promoted: {words}",
            hint="restore the database from a backup, or certify and promote again",
        )
