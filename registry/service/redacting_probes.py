"""Taking erased items out of registered probe sets, as `redacting` takes them out of evidence.

A set loses the queries, labels and judgements of an erased item; what is left is asked under the
same name from then on. A set that is left without a query stays as the name of what it was, and
nothing can be asked of it: an erasure is never in need of anybody's probe set.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..arrays import BoolArray, LabelArray
from ..db import probes
from ..db.session import Connection, read
from ..domain.erasures import ProbeErasure
from ..domain.events import Event, EventKind, model_stream
from ..domain.galleries import StoredFile
from ..domain.probe_redactions import ProbeRedaction, last_of
from ..domain.probe_sets import ProbeSet
from ..errors import CorruptFileError
from ..galleries import storage
from ..galleries.probe_files import RedactedProbe, redact_probe
from .context import Context
from .drafts import Draft
from .probe_contents import of_set, present, trusted_steps, write_file
from .views import GalleryState

_HINT = "restore it from a backup; or remove the file, which ends the set, and erase"


@dataclass(frozen=True, slots=True, eq=False)
class ProbeMention:
    """A probe set that names items.

    Attributes:
        before: the set as it is now.
        without: the same without them.
        file: the file of that, if it was written.
    """

    before: ProbeSet
    without: RedactedProbe
    file: StoredFile | None

    @property
    def erasure(self) -> ProbeErasure:
        """Return what the ledger tells of it."""
        one = self.without
        return ProbeErasure(self.before.name, one.n_queries, one.n_items, one.facts.n_queries)

    def redaction(self, file: StoredFile) -> ProbeRedaction:
        """Return what an event tells of it."""
        one = self.without
        counts = (int(one.found.sum()), one.n_queries, one.n_items)
        return ProbeRedaction(self.before, one.facts, file, *counts)


@dataclass(frozen=True, slots=True)
class ProbeMentions:
    """Where a gallery's probe sets name items.

    Attributes:
        named: the sets that do.
        missing: names of those whose file is not there.
        seen: the digest of every set's file at present, by name.
    """

    named: tuple[ProbeMention, ...]
    missing: tuple[str, ...]
    seen: dict[str, str]

    def found(self, ids: LabelArray) -> set[object]:
        """Return which of the ids are named."""
        masks: list[BoolArray] = [mention.without.found for mention in self.named]
        return {item for mask in masks for item in ids[mask].tolist()}

    @property
    def redactions(self) -> tuple[ProbeRedaction, ...]:
        """What the events tell of the new files."""
        return tuple(m.redaction(m.file) for m in self.named if m.file is not None)


def find_probe_mentions(
    context: Context, state: GalleryState, ids: LabelArray, made: Draft | None = None
) -> ProbeMentions:
    """Look for items in all of a gallery's probe sets.

    Args:
        context: the surroundings.
        state: the gallery as it was read.
        ids: distinct ids, int64 or str. Shape: (n,).
        made: takes the sets without them; None writes nothing.

    Raises:
        DigestMismatchError: if a set is not what was recorded.
        CorruptFileError: if its file cannot be read.
        SignatureError: if nobody trusted registered it, or redacted it before.
        StorageError: if the file system refuses.
    """
    gallery = state.gallery.name
    with read(context.engine) as connection:
        held = _of_gallery(connection, gallery)
    named, missing, seen = [], [], {}
    for registered in held:
        found = last_of(registered, trusted_steps(context.trust, state.line, registered))
        seen[found.name] = found.file.digest
        if not storage.resolve(context.storage, found.file.path).exists():
            missing.append(found.name)
            continue
        without = _without(context, found, ids)
        if without is not None:
            file = None if made is None else made.add(write_file(context, gallery, without.data))
            named.append(ProbeMention(found, without, file))
    return ProbeMentions(tuple(named), tuple(missing), seen)


def _of_gallery(connection: Connection, gallery: str) -> tuple[ProbeSet, ...]:
    return tuple(found for found in probes.all_sets(connection) if found.gallery == gallery)


def _without(context: Context, found: ProbeSet, ids: LabelArray) -> RedactedProbe | None:
    with of_set(found.name):
        data = storage.read_digested(context.storage, found.file.path, found.file.digest)
    try:
        return redact_probe(data, ids, f"the file of probe set {found.name!r}")
    except CorruptFileError as error:
        raise CorruptFileError(
            f"nobody can say if it names the items: {error}", hint=_HINT
        ) from error


def present_probes(connection: Connection, gallery: str, line: Sequence[Event]) -> dict[str, str]:
    """Return the digest of the file of each of a gallery's probe sets, by name."""
    held = _of_gallery(connection, gallery)
    return {found.name: present(line, found).file.digest for found in held}


def record_probe_redactions(
    context: Context, connection: Connection, model: str, redactions: Sequence[ProbeRedaction]
) -> None:
    """Tell of what is left of sets, in the caller's transaction, which holds the model line."""
    for step in redactions:
        context.record(connection, model_stream(model), EventKind.PROBE_REDACTED, step.to_json())
