"""Use cases of probe sets: registering one, reading it as it was registered, and its attempts."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from ..db import events, galleries, probes, versions
from ..db.session import Connection, read
from ..domain.attempts import Outcome, outcomes
from ..domain.events import Event, EventKind, model_stream
from ..domain.galleries import StoredFile
from ..domain.probe_sets import ProbeFacts, ProbeSet
from ..domain.refs import check_name
from ..errors import AlreadyExistsError, DigestMismatchError, SamespaceError, SignatureError
from ..galleries import storage
from .context import Context, write_naming


@dataclass(frozen=True, slots=True)
class ProbeRegistration:
    """The outcome of registering: the set, and whether it is new."""

    probe_set: ProbeSet
    is_new: bool


class ProbeSets:
    """Registered probe sets of all galleries. None is ever changed or taken back."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def register(
        self, name: str, gallery: str, facts: ProbeFacts, data: bytes
    ) -> ProbeRegistration:
        """Keep a probe set under a name. The same content again changes nothing.

        Args:
            name: a name that no other set has.
            gallery: the gallery whose items it speaks of.
            facts: what is known of the content.
            data: the file that holds it.

        Raises:
            InvalidInputError: if the name cannot be one.
            NotFoundError: if there is no such gallery, or no signing key.
            AlreadyExistsError: if the name is taken by other content.
        """
        known = self.check_register(name, gallery, facts)
        if known is not None:
            return ProbeRegistration(known, is_new=False)
        relative = f"probes/{gallery}/{uuid.uuid4().hex}.parquet"
        file = storage.write_bytes(self._context.storage, relative, data)
        with write_naming(self._context, file) as connection:
            line = galleries.get_gallery(connection, gallery).model
            versions.model_id(connection, line, lock=True)
            known = _known(connection, name, gallery, facts)  # somebody else may have been faster
            made = known or self._insert(connection, name, gallery, facts, file)
        if known is not None:
            storage.discard(self._context.storage, file)
        return ProbeRegistration(made, is_new=known is None)

    def check_register(self, name: str, gallery: str, facts: ProbeFacts) -> ProbeSet | None:
        """Make all of `register`'s checks, and return the set if it is registered already."""
        check_name("probe set", name)
        _ = self._context.trust.ring.signing
        with read(self._context.engine) as connection:
            galleries.get_gallery_id(connection, gallery)
            return _known(connection, name, gallery, facts)

    def _insert(
        self,
        connection: Connection,
        name: str,
        gallery: str,
        facts: ProbeFacts,
        file: StoredFile,
    ) -> ProbeSet:
        context = self._context
        made = ProbeSet(name, gallery, facts, file, context.clock(), context.actor)
        stream = model_stream(galleries.get_gallery(connection, gallery).model)
        event = context.record(connection, stream, EventKind.PROBE_REGISTERED, made.to_json())
        told = replace(made, registered_at=event.at, registered_by=event.actor)
        probes.insert_set(connection, told)
        return told

    def get(self, name: str) -> ProbeSet:
        """Return a probe set.

        Raises:
            NotFoundError: if there is none of that name.
        """
        with read(self._context.engine) as connection:
            return probes.get_set(connection, name)

    def list(self) -> tuple[ProbeSet, ...]:
        """Return all probe sets, by name."""
        with read(self._context.engine) as connection:
            return probes.all_sets(connection)

    def open(self, name: str) -> tuple[ProbeSet, bytes]:
        """Return a probe set with the bytes of its file, once both are known to be as registered.

        Raises:
            NotFoundError: if there is none of that name.
            DigestMismatchError: if its row or its file is not what the event says.
            SignatureError: if nobody trusted registered it.
            CorruptFileError: if the file is missing.
        """
        with read(self._context.engine) as connection:
            found = probes.get_set(connection, name)
            self._check(found, self._line(connection, found.gallery))
        with _of_set(found):
            data = storage.read_digested(self._context.storage, found.file.path, found.file.digest)
        return found, data

    def outcomes(self, name: str) -> tuple[Outcome, ...]:
        """Return what came of every attempt on a set's queries in its model line, oldest first.

        Those count too that took the same queries from files.

        Raises:
            NotFoundError: if there is no set of that name.
        """
        with read(self._context.engine) as connection:
            found = probes.get_set(connection, name)
            return outcomes(self._line(connection, found.gallery), found.facts.questions)

    def verify_all(self, gallery: str) -> tuple[ProbeSet, ...]:
        """Verify each of a gallery's sets that is kept, or that an event registered.

        Without any trusted key everything save the signatures is verified.

        Raises:
            SignatureError: naming all that is wrong, if a signature is among it.
            DigestMismatchError: naming all that is wrong, otherwise.
        """
        with read(self._context.engine) as connection:
            line = self._line(connection, gallery)
            kept = {s.name: s for s in probes.all_sets(connection) if s.gallery == gallery}
        wrong: list[SamespaceError] = []
        for found in kept.values():
            try:
                self._check(found, line)
                with _of_set(found):
                    storage.verify_file(self._context.storage, found.file)
            except SamespaceError as error:
                wrong.append(error)
        wrong += [
            DigestMismatchError(f"probe set {name!r} was removed from the database")
            for name in _told(line, gallery)
            if name not in kept
        ]
        if wrong:
            is_signature = any(isinstance(error, SignatureError) for error in wrong)
            raise (SignatureError if is_signature else DigestMismatchError)(
                "; ".join(str(error) for error in wrong),
                hint="restore what is named from a backup, or register it under a new name",
            )
        return tuple(kept.values())

    def _line(self, connection: Connection, gallery: str) -> tuple[Event, ...]:
        model = galleries.get_gallery(connection, gallery).model
        return events.in_stream(connection, model_stream(model))

    def _check(self, found: ProbeSet, line: Sequence[Event]) -> None:
        """Compare a row with the event that registered it, which somebody trusted signed."""
        event = _told(line, found.gallery).get(found.name)
        if event is None:
            raise DigestMismatchError(
                f"probe set {found.name!r} was slipped into the database: no event registered it"
            )
        self._context.trust.check_told(line, event, f"probe set {found.name!r}")
        said = (dict(event.payload), event.at, event.actor)
        if said != (found.to_json(), found.registered_at, found.registered_by):
            raise DigestMismatchError(
                f"probe set {found.name!r} was changed in the database: "
                f"{event.name} registered another",
                hint="restore the database from a backup",
            )


@contextmanager
def _of_set(found: ProbeSet) -> Iterator[None]:
    """Let errors say whose file they are about."""
    try:
        yield
    except SamespaceError as error:
        raise type(error)(
            f"the file of probe set {found.name!r}: {error}", hint=error.hint
        ) from error


def _known(connection: Connection, name: str, gallery: str, facts: ProbeFacts) -> ProbeSet | None:
    """Return the set of that name, if it is this one.

    Raises:
        AlreadyExistsError: if it is another.
    """
    found = probes.find_set(connection, name)
    if found is not None and (found.gallery, found.facts) != (gallery, facts):
        raise AlreadyExistsError(
            f"there is a probe set {name!r} already, {_difference(found, gallery, facts)}",
            hint="a registered set never changes: take a new name for a new set",
        )
    return found


def _difference(found: ProbeSet, gallery: str, facts: ProbeFacts) -> str:
    if found.gallery != gallery:
        return f"of gallery {found.gallery!r}"
    if found.facts.questions != facts.questions:
        return f"with other queries ({found.facts.n_queries})"
    return "with the same queries and other groups, judgements or labels of items"


def _told(line: Sequence[Event], gallery: str) -> dict[str, Event]:
    """Return the event that registered each of a gallery's sets: the first, as none is changed."""
    found: dict[str, Event] = {}
    for event in line:
        if event.kind is EventKind.PROBE_REGISTERED and event.payload.get("gallery") == gallery:
            found.setdefault(str(event.payload["probe"]), event)
    return found
