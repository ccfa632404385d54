"""Which events count: those that somebody trusted signed.

Whoever may edit the database can append events and compute their hashes again. So every event is
signed by whoever holds a key, and those that move trust (see `Event.moves_trust`) must be. What was
recorded before there were signatures counts once somebody trusted has adopted it: a signed event
later in the same chain, which covers the hashes of all before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from ..domain.events import Event, EventKind, find_break
from ..dsse import Envelope, parse_signature
from ..errors import DigestMismatchError, SignatureError
from ..keys import KeyRing

EVENT_TYPE = "application/vnd.samespace.event-hash"  # keeps an event's signature from being
# taken for a certificate's, and the other way round
_ADOPT = "if it is older than signing and you know it ('samespace audit'): samespace db adopt"


class Seal(StrEnum):
    """What is known of an event's signature."""

    SIGNED = "signed"
    UNSIGNED = "not signed"
    UNTRUSTED = "signed by an unknown key"
    WRONG = "WRONG"


class Trust:
    """Signs events and verifies them, by one key ring. What was verified once is remembered.

    Without any trusted key nothing can be verified: then `is_active` is false, readers serve what
    they read, and nobody promotes.
    """

    def __init__(self, ring: KeyRing) -> None:
        self.ring = ring
        self._verified: dict[tuple[str, str], str] = {}

    @property
    def is_active(self) -> bool:
        """Whether there is any trusted key."""
        return bool(self.ring.trusted)

    def check_active(self) -> None:
        """Refuse to go on without a key to verify with.

        Raises:
            SignatureError: if no key is trusted.
        """
        if not self.is_active:
            raise SignatureError(
                f"signatures cannot be verified: no key is trusted in {self.ring.folder}",
                hint="samespace key create, or samespace key trust FILE",
            )

    def sign(self, event: Event) -> str | None:
        """Return the signature of a new event, or None if there is no key and none is needed.

        Raises:
            NotFoundError: if it moves trust and there is no key.
        """
        if not (event.moves_trust or self.ring.has_signing_key):
            return None
        return self.ring.sign(EVENT_TYPE, event.hash.encode("ascii")).signature.to_text()

    def signer_of(self, event: Event) -> str:
        """Return the id of the trusted key that signed an event.

        Raises:
            SignatureError: if none did.
            DigestMismatchError: if it was changed.
        """
        if event.computed_hash() != event.hash:
            raise DigestMismatchError(f"{event.name} was changed after it was written")
        if event.signature is None:
            raise SignatureError(f"{event.name} is not signed", hint=_ADOPT)
        known = self._verified.get((event.hash, event.signature))
        if known is None:
            signature = parse_signature(event.signature, event.name)
            envelope = Envelope(EVENT_TYPE, event.hash.encode("utf-8"), signature)
            known = self.ring.verify(envelope, event.name)
            self._verified[event.hash, event.signature] = known
        return known

    def seal_of(self, event: Event) -> Seal:
        """Return what is known of an event's signature."""
        try:
            self.signer_of(event)
            return Seal.SIGNED
        except DigestMismatchError:
            return Seal.WRONG
        except SignatureError:
            if event.signature is None:
                return Seal.UNSIGNED
        try:
            claimed = parse_signature(event.signature, event.name).key_id
        except SignatureError:
            return Seal.WRONG
        return Seal.WRONG if claimed in self.ring.trusted else Seal.UNTRUSTED

    def adoption(self, line: Sequence[Event]) -> int:
        """Return the number of the last event up to which a chain was adopted, or 0."""
        for event in reversed(line):
            if event.kind is EventKind.CHAIN_ADOPTED and self.seal_of(event) is Seal.SIGNED:
                return event.sequence
        return 0

    def find_untrusted(self, line: Sequence[Event]) -> tuple[str, ...]:
        """Return which events of a stream move trust and are by nobody trusted, in words.

        A signature that does not fit counts on any event.
        """
        adopted, found = self.adoption(line), []
        for event in line:
            if event.sequence > adopted:
                try:
                    self.signer_of(event)
                except (SignatureError, DigestMismatchError) as error:
                    if event.moves_trust or self.seal_of(event) is Seal.WRONG:
                        found.append(str(error))
        return tuple(found)

    def check_line(self, line: Sequence[Event]) -> None:
        """Refuse a stream that is not whole, or in which somebody unknown moved trust.

        Raises:
            DigestMismatchError: if the chain is broken.
            SignatureError: naming every event that moves trust and is by nobody trusted.
        """
        broken = find_break(line)
        if broken:
            raise DigestMismatchError(
                f"the audit trail was tampered with: {broken}",
                hint="compare the database with a backup",
            )
        untrusted = self.find_untrusted(line)
        if untrusted:
            raise SignatureError("; ".join(untrusted), hint=_ADOPT)

    def check_serving(self, line: Sequence[Event], gallery: str) -> None:
        """Refuse what a gallery serves if nobody trusted said so.

        Only the last event that says what is served is verified: it says all of it.

        Raises:
            SignatureError: if that event is by nobody trusted.
            DigestMismatchError: if it was changed.
        """
        if not self.is_active:
            return
        last = next(e for e in reversed(line) if e.serves and e.payload.get("gallery") == gallery)
        self.check_told(line, last, f"what {gallery!r} serves")

    def check_told(self, line: Sequence[Event], event: Event, what: str) -> None:
        """Refuse what one event of a stream tells, if nobody trusted said or adopted it.

        Raises:
            SignatureError: if it is by nobody trusted; it begins with `what` was told.
            DigestMismatchError: if it was changed.
        """
        if not self.is_active:
            return
        try:
            self.signer_of(event)
        except SignatureError as error:
            if event.sequence < self.adoption(line) and find_break(line) is None:
                return
            raise SignatureError(
                f"{what} is not signed by a key that you trust: {error}", hint=error.hint
            ) from error

    def check_aliases(self, line: Sequence[Event]) -> None:
        """Refuse to follow an alias if an event that may have moved it is by nobody trusted.

        Raises:
            SignatureError: naming the first such event.
            DigestMismatchError: if one was changed.
        """
        if not self.is_active:
            return
        adopted = self.adoption(line)
        for event in line:
            if event.serves and event.sequence > adopted:
                self.signer_of(event)
