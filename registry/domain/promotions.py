"""What a gallery serves, folded from promotion and rollback events."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import cast

from ..errors import NotFoundError
from .calibration import ScoreMap, read_maps
from .canonical import Json
from .events import Event, EventKind

SAME_SPACE = "same-space"
CHAMPION = "champion"
PREVIOUS = "previous"


@dataclass(frozen=True, slots=True)
class Serving:
    """Which versions a gallery serves. Versions are numbers within the gallery's model line.

    Attributes:
        query_version: the one version that embeds queries.
        write_versions: versions that may add items.
        basis: for every version whose vectors are searched, why it may be: ``same-space``, the
            digest of a certificate, or ``waiver: reason``.
        excluded: versions whose items are not searched, declared when a lossy rollback was made.
        calibration: for every version whose vectors are searched, the map of its scores onto the
            gallery's scale; empty where raw scores are served.
    """

    query_version: int
    write_versions: tuple[int, ...]
    basis: Mapping[int, str]
    excluded: tuple[int, ...] = ()
    calibration: Mapping[int, ScoreMap] = field(default_factory=dict)

    def to_json(self) -> dict[str, Json]:
        """Return the state as JSON values."""
        value: dict[str, Json] = {
            "query_version": self.query_version,
            "write_versions": list(self.write_versions),
            "basis": {str(number): why for number, why in self.basis.items()},
            "excluded": list(self.excluded),
        }
        maps = {str(number): found.to_json() for number, found in self.calibration.items()}
        return value | ({"calibration": maps} if maps else {})

    @classmethod
    def from_json(cls, value: Mapping[str, Json]) -> Serving:
        """Read what `to_json` wrote."""
        basis = cast("Mapping[str, str]", value["basis"])
        maps = cast("Mapping[str, Mapping[str, Json]]", value.get("calibration", {}))
        return cls(
            query_version=cast("int", value["query_version"]),
            write_versions=tuple(cast("list[int]", value["write_versions"])),
            basis={int(number): why for number, why in basis.items()},
            excluded=tuple(cast("list[int]", value["excluded"])),
            calibration={int(number): found for number, found in read_maps(maps).items()},
        )


def fold_serving(events: Iterable[Event], gallery: str) -> tuple[Serving, ...]:
    """Return the stack of states of a gallery, the current one last.

    A creation or promotion puts a state on top; a rollback takes the top one off and replaces the
    one below by what it now serves.

    Raises:
        NotFoundError: if no event ever opened this gallery.
    """
    stack: list[Serving] = []
    for event in events:
        if event.payload.get("gallery") != gallery or "serving" not in event.payload:
            continue
        serving = Serving.from_json(cast("Mapping[str, Json]", event.payload["serving"]))
        if event.kind is EventKind.ROLLED_BACK:
            stack = stack[:-2]
        stack.append(serving)
    if not stack:
        raise NotFoundError(f"gallery {gallery!r} was never opened")
    return tuple(stack)


def fold_aliases(events: Iterable[Event]) -> dict[str, int]:
    """Return the aliases of a model line: ``champion`` and, if there was one, ``previous``.

    The champion is the version that the last promotion or rollback put in charge of queries, in
    whichever gallery; before any, it is the one that the first gallery was made with. The previous
    one is the champion before it.
    """
    aliases: dict[str, int] = {}
    for event in events:
        is_first = event.kind is not EventKind.GALLERY_CREATED or CHAMPION not in aliases
        if "serving" in event.payload and is_first:
            serving = cast("Mapping[str, Json]", event.payload["serving"])
            number = cast("int", serving["query_version"])
            if CHAMPION in aliases and aliases[CHAMPION] != number:
                aliases[PREVIOUS] = aliases[CHAMPION]
            aliases[CHAMPION] = number
    return aliases
