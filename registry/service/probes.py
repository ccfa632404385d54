"""Use cases of probe sets: registering one, reading it as it was registered, and its attempts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

from ..db import galleries, probes, versions
from ..db.session import Connection, read
from ..domain.attempts import Outcome, outcomes
from ..domain.events import EventKind, model_stream
from ..domain.galleries import StoredFile
from ..domain.probe_redactions import ProbeRedaction, last_of
from ..domain.probe_sets import ProbeFacts, ProbeSet
from ..domain.refs import check_name
from ..errors import (
    AlreadyExistsError,
    DigestMismatchError,
    InvalidInputError,
    SamespaceError,
    SignatureError,
)
from ..galleries import storage
from .context import Context
from .drafts import once_more, write_naming
from .probe_contents import line_of, of_set, present, told, trusted_steps, write_file


@dataclass(frozen=True, slots=True)
class ProbeRegistration:
    """The outcome of registering: the set, and whether it is new."""

    probe_set: ProbeSet
    is_new: bool


class ProbeSets:
    """Registered probe sets of all galleries. None is changed or taken back; erased items leave."""

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
        file = write_file(self._context, gallery, data)
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
        kept = replace(made, registered_at=event.at, registered_by=event.actor)
        probes.insert_set(connection, kept)
        return kept

    def get(self, name: str) -> ProbeSet:
        """Return a probe set.

        Raises:
            NotFoundError: if there is none of that name.
        """
        with read(self._context.engine) as connection:
            return _present(connection, probes.get_set(connection, name))

    def list(self) -> tuple[ProbeSet, ...]:
        """Return all probe sets, by name."""
        with read(self._context.engine) as connection:
            return tuple(_present(connection, one) for one in probes.all_sets(connection))

    def redactions(self, name: str) -> tuple[ProbeRedaction, ...]:
        """Return what was taken out of a set since it was registered, oldest first.

        Raises:
            NotFoundError: if there is none of that name.
            DigestMismatchError, SignatureError: as `open`.
        """
        with read(self._context.engine) as connection:
            found = probes.get_set(connection, name)
            return trusted_steps(self._context.trust, line_of(connection, found.gallery), found)

    def open(self, name: str) -> tuple[ProbeSet, bytes]:
        """Return a probe set with the bytes of its file, once both are known to be as registered.

        Raises:
            NotFoundError: if there is none of that name.
            DigestMismatchError: if its row or its file is not what the events say.
            SignatureError: if nobody trusted registered it, or took something out of it.
            CorruptFileError: if the file is missing.
            InvalidInputError: if all of its queries were erased.
        """
        return once_more(partial(self._open, name))

    def _open(self, name: str) -> tuple[ProbeSet, bytes]:
        with read(self._context.engine) as connection:
            found = self._checked(connection, probes.get_set(connection, name))
        if not found.facts.n_queries:
            raise InvalidInputError(
                f"probe set {name!r} asks nothing any more: all of its queries were erased",
                hint="register other queries under a new name",
            )
        with of_set(name):
            data = storage.read_digested(self._context.storage, found.file.path, found.file.digest)
        return found, data

    def _checked(self, connection: Connection, registered: ProbeSet) -> ProbeSet:
        """Return a set as it is now, by what somebody trusted told."""
        line = line_of(connection, registered.gallery)
        return last_of(registered, trusted_steps(self._context.trust, line, registered))

    def outcomes(self, name: str) -> tuple[Outcome, ...]:
        """Return what came of every attempt on a set's queries in its model line, oldest first.

        Those count too that took the same queries from files.

        Raises:
            NotFoundError: if there is no set of that name.
        """
        with read(self._context.engine) as connection:
            line = line_of(connection, (found := probes.get_set(connection, name)).gallery)
            return outcomes(line, found.facts.questions)

    def verify_all(self, gallery: str) -> tuple[ProbeSet, ...]:
        """Verify each of a gallery's sets that is kept, or that an event registered.

        Without any trusted key everything save the signatures is verified.

        Raises:
            SignatureError: naming all that is wrong, if a signature is among it.
            DigestMismatchError: naming all that is wrong, otherwise.
        """
        with read(self._context.engine) as connection:
            line = line_of(connection, gallery)
            kept = [one.name for one in probes.all_sets(connection) if one.gallery == gallery]
        wrong: list[SamespaceError] = [
            DigestMismatchError(f"probe set {name!r} was removed from the database")
            for name in told(line, gallery)
            if name not in kept
        ]
        found = []
        for name in kept:
            try:
                found.append(once_more(partial(self._verify, name)))
            except SamespaceError as error:
                wrong.append(error)
        if wrong:
            is_signature = any(isinstance(error, SignatureError) for error in wrong)
            raise (SignatureError if is_signature else DigestMismatchError)(
                "; ".join(str(error) for error in wrong),
                hint="restore what is named from a backup, or register it under a new name",
            )
        return tuple(found)

    def _verify(self, name: str) -> ProbeSet:
        with read(self._context.engine) as connection:
            found = self._checked(connection, probes.get_set(connection, name))
        with of_set(name):
            storage.verify_file(self._context.storage, found.file)
        return found


def _present(connection: Connection, registered: ProbeSet) -> ProbeSet:
    return present(line_of(connection, registered.gallery), registered)


def _known(connection: Connection, name: str, gallery: str, facts: ProbeFacts) -> ProbeSet | None:
    """Return the set of that name, if it is this one.

    Raises:
        AlreadyExistsError: if it is another.
    """
    registered = probes.find_set(connection, name)
    if registered is None:
        return None
    found = _present(connection, registered)
    if (found.gallery, found.facts) != (gallery, facts):
        raise AlreadyExistsError(
            f"there is a probe set {name!r} already, {_difference(found, gallery, facts)}"
            f"{'' if found == registered else '; items were erased from it'}",
            hint="a registered set never changes: take a new name for a new set",
        )
    return found


def _difference(found: ProbeSet, gallery: str, facts: ProbeFacts) -> str:
    if found.gallery != gallery:
        return f"of gallery {found.gallery!r}"
    if found.facts.questions != facts.questions:
        return f"with other queries ({found.facts.n_queries})"
    return "with the same queries and other groups, judgements or labels of items"
