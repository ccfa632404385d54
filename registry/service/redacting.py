"""Taking erased items out of the evidence of certificates.

The new file lies beside the old one until the commit; a signed event tells which digest follows
which. That only ids were taken out rests on the word of whoever signed it: the numbers are still
there, and a replay gives the same verdict.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from ..arrays import BoolArray, LabelArray
from ..db import certificates, events
from ..db.session import Connection, read
from ..domain.canonical import Json
from ..domain.erasures import Erasure
from ..domain.events import Event, EventKind, gallery_stream, model_stream
from ..domain.galleries import StoredFile
from ..domain.redactions import Redaction, find_redactions
from ..errors import ConflictError, CorruptFileError
from ..galleries import evidence_files, storage
from .context import Context
from .drafts import Draft
from .verification import read_evidence
from .views import GalleryState


@dataclass(frozen=True, slots=True, eq=False)
class Mention:
    """A certificate whose evidence names items.

    Attributes:
        certificate: its digest.
        before: digest of its evidence as it is now.
        named: which of the ids it names. Shape: (n_ids,).
        n_queries: rows of which one is the query.
        n_hits: places in which one is among the first items of a query.
        file: the evidence without them, if it was written.
    """

    certificate: str
    before: str
    named: BoolArray
    n_queries: int
    n_hits: int
    file: StoredFile | None

    def redaction(self, file: StoredFile) -> Redaction:
        """Return what an event tells of it."""
        counts = (int(self.named.sum()), self.n_queries, self.n_hits)
        return Redaction(self.certificate, self.before, file.digest, file.path, *counts)


@dataclass(frozen=True, slots=True)
class Mentions:
    """Where the evidence of a gallery's certificates names items.

    Attributes:
        named: the certificates whose evidence does.
        missing: those whose evidence is not there.
        seen: the present digest of every certificate's evidence, by certificate.
    """

    named: tuple[Mention, ...]
    missing: tuple[str, ...]
    seen: dict[str, str]

    def found(self, ids: LabelArray) -> set[object]:
        """Return which of the ids are named."""
        return {item for mention in self.named for item in ids[mention.named].tolist()}

    @property
    def redactions(self) -> tuple[Redaction, ...]:
        """What the events tell of the new files."""
        return tuple(m.redaction(m.file) for m in self.named if m.file is not None)


def find_mentions(
    context: Context, state: GalleryState, ids: LabelArray, made: Draft | None = None
) -> Mentions:
    """Look for items in the evidence of all of a gallery's certificates, whatever their standing.

    Args:
        context: the surroundings.
        state: the gallery as it was read.
        ids: distinct ids, int64 or str. Shape: (n,).
        made: takes the evidence without them; None writes nothing.

    Raises:
        DigestMismatchError: if a certificate or its evidence is not what was recorded.
        CorruptFileError: if evidence cannot be read.
        SignatureError: if nobody trusted redacted it before.
        StorageError: if the file system refuses.
    """
    gallery = state.gallery.name
    with read(context.engine) as connection:
        held = certificates.of_gallery(connection, gallery)
        seen = present_digests(connection, gallery, state.line)
    named, missing = [], []
    for stored in held:
        digest = stored.certificate.digest
        try:
            evidence = read_evidence(context, stored, state.line)
        except CorruptFileError:  # there is no file
            missing.append(digest)
            continue
        redacted = evidence_files.redact(
            evidence.data, ids, f"the evidence of certificate {digest[:12]}"
        )
        if redacted is not None:
            file = None if made is None else made.add(_write(context, gallery, redacted.data))
            counts = (redacted.n_queries, redacted.n_hits)
            named.append(Mention(digest, evidence.digest, redacted.found, *counts, file))
    return Mentions(tuple(named), tuple(missing), seen)


def _write(context: Context, gallery: str, data: bytes) -> StoredFile:
    relative = f"certificates/{gallery}/{uuid.uuid4().hex}.parquet"
    return storage.write_bytes(context.storage, relative, data)


def present_digests(connection: Connection, gallery: str, line: Sequence[Event]) -> dict[str, str]:
    """Return the digest of the evidence of each of a gallery's certificates, by certificate."""
    found = {}
    for stored in certificates.of_gallery(connection, gallery):
        steps = find_redactions(line, stored.certificate)
        after = steps[-1].after if steps else stored.certificate.evidence_digest
        found[stored.certificate.digest] = after
    return found


def record_redactions(
    context: Context,
    connection: Connection,
    model: str,
    gallery: str,
    redactions: Sequence[Redaction],
) -> None:
    """Tell of new evidence in the caller's transaction, which holds the model line."""
    for step in redactions:
        payload: dict[str, Json] = {"gallery": gallery, **step.to_json()}
        context.record(connection, model_stream(model), EventKind.EVIDENCE_REDACTED, payload)


def check_not_erased(connection: Connection, gallery: str, evidence: bytes, since: int) -> None:
    """Refuse new evidence that names an item which was erased while it was measured.

    Args:
        connection: a transaction that holds the gallery.
        gallery: the gallery's name.
        evidence: the file's bytes.
        since: number of the last event of the gallery's stream when the measuring began.

    Raises:
        ConflictError: if it does.
        CorruptFileError: if something was erased and the evidence cannot be read.
    """
    entries = [
        Erasure.from_event(gallery, event)
        for event in events.in_stream(connection, gallery_stream(gallery))
        if event.sequence > since and event.kind is EventKind.ITEMS_ERASED
    ]
    if not entries:
        return
    named = evidence_files.named_ids(evidence, "the evidence")
    if any(entry.names(item) for entry in entries for item in named):
        raise ConflictError(
            f"the evidence names items that were erased from {gallery!r} while it was measured",
            hint="certify again",
        )
