"""Whether anything was changed behind samespace's back, and by whom each event was signed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..db import events, versions
from ..db.session import Connection, read, write
from ..domain.canonical import Json
from ..domain.events import Event, EventKind, find_break, gallery_stream, model_stream
from ..errors import CorruptFileError, SignatureError
from .content import find_differences, fold_content
from .context import Context
from .trust import Seal
from .views import check_served, read_state


class Integrity:
    """Checks that change nothing, and the one step that takes over what is older than signing."""

    def __init__(self, context: Context) -> None:
        self._context = context

    @property
    def is_verified(self) -> bool:
        """Whether any key is trusted; without one, signatures are not verified."""
        return self._context.trust.is_active

    def find_breaks(self) -> tuple[str, ...]:
        """Return, in words, where an event chain is broken; empty if all are whole."""
        with read(self._context.engine) as connection:
            names = events.streams(connection)
            breaks = [_find_break(connection, name) for name in names]
        return tuple(found for found in breaks if found)

    def find_untrusted(self) -> tuple[str, ...]:
        """Return, in words, every event that moves trust and is by nobody trusted."""
        with read(self._context.engine) as connection:
            return tuple(
                found
                for name in events.streams(connection)
                for found in self._context.trust.find_untrusted(events.in_stream(connection, name))
            )

    def count_unsigned(self) -> int:
        """Return how many events that need no signature have none by a trusted key."""
        with read(self._context.engine) as connection:
            return sum(
                not event.moves_trust and self._context.trust.seal_of(event) is not Seal.SIGNED
                for name in events.streams(connection)
                for event in events.in_stream(connection, name)
            )

    def seals(self, line: Sequence[Event]) -> Mapping[str, Seal]:
        """Return what is known of each event's signature, by its hash."""
        return {event.hash: self._context.trust.seal_of(event) for event in line}

    def sealed(self, gallery: str) -> str:
        """Return what is known of the signature of what a gallery serves, in a few words."""
        if not self.is_verified:
            return "not verified: no trusted key"
        with read(self._context.engine) as connection:
            state = read_state(connection, gallery)
        seal = self._context.trust.seal_of(state.served_by)
        is_older = state.served_by.sequence < self._context.trust.adoption(state.line)
        is_adopted = is_older and seal in {Seal.UNSIGNED, Seal.UNTRUSTED}
        return "adopted" if is_adopted else seal.value

    def check_served(self, gallery: str) -> Event:
        """Verify what a gallery serves, with each certificate that this rests on.

        Whether they would still let anybody be promoted today is another question.

        Returns:
            The event that put it in force.

        Raises:
            SamespaceError: naming the first thing that is wrong.
        """
        with read(self._context.engine) as connection:
            state = read_state(connection, gallery)
            check_served(self._context, connection, state)
            recorded = {
                event.payload.get("certificate")
                for event in state.line
                if event.kind is EventKind.CERTIFICATE_RECORDED
            }
            for number, why in state.serving.basis.items():
                if why not in recorded and not why.startswith(("same-space", "waiver: ")):
                    raise SignatureError(
                        f"{gallery!r} is said to search version {number} on the strength of "
                        f"certificate {why[:12]}, which no event recorded"
                    )
        return state.served_by

    def find_replaced(self, gallery: str) -> tuple[str, ...]:
        """Return, in words, where a gallery's files are others than the events say."""
        with read(self._context.engine) as connection:
            state = read_state(connection, gallery)
            line = events.in_stream(connection, gallery_stream(gallery))
        return find_differences(state.gallery.segments, fold_content(line))

    def adopt(self, *, dry_run: bool = False) -> tuple[Event, ...]:
        """Vouch for what nobody trusted signed, and return those events.

        It signs the head of each chain in which there are such events; the user has looked at
        them. It is for what is older than signing, and for keys that were given up.

        Raises:
            NotFoundError: if there is no signing key.
            SignatureError: if a signature is wrong: that is tampering, and is never adopted.
            DigestMismatchError: if a chain is broken.
        """
        self._context.trust.check_active()
        _ = self._context.trust.ring.signing
        adopted: list[Event] = []
        with write(self._context.engine) as connection:
            for model in versions.model_names(connection):
                versions.model_id(connection, model, lock=True)
                line = events.in_stream(connection, model_stream(model))
                strange = self._strange(line)
                if strange and not dry_run:
                    payload: dict[str, Json] = {"n_events": len(strange), "head": line[-1].hash}
                    self._context.record(
                        connection, line[-1].stream, EventKind.CHAIN_ADOPTED, payload
                    )
                adopted += strange
        return tuple(adopted)

    def _strange(self, line: Sequence[Event]) -> list[Event]:
        trust = self._context.trust
        if not trust.find_untrusted(line):
            return []
        broken = find_break(line)
        wrong = [event.name for event in line if trust.seal_of(event) is Seal.WRONG]
        if broken or wrong:
            raise SignatureError(
                f"what was tampered with is not adopted: {broken or '; '.join(wrong)}",
                hint="restore the database from a backup",
            )
        after = trust.adoption(line)
        return [
            event
            for event in line
            if event.sequence > after
            and event.moves_trust
            and trust.seal_of(event) is not Seal.SIGNED
        ]


def _find_break(connection: Connection, stream: str) -> str | None:
    try:
        return find_break(events.in_stream(connection, stream))
    except CorruptFileError as error:
        return str(error)
