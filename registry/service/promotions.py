"""Use cases of promotion: putting a version in charge of a gallery, and taking it back."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..db import galleries, versions
from ..db.session import Connection, read, write
from ..domain.canonical import Json
from ..domain.certificates import Certificate
from ..domain.events import Event, EventKind, model_stream
from ..domain.promotions import SAME_SPACE, Serving, fold_serving
from ..domain.refs import VersionRef
from ..domain.scales import promoted_scale, rolled_back_scale
from ..errors import (
    AliasMovedError,
    ConflictError,
    CorruptFileError,
    DigestMismatchError,
    InvalidInputError,
    NotCertifiedError,
    SignatureError,
    UndeclaredComparisonError,
)
from .context import Context, resolve
from .models import Models
from .pins import pin
from .standing import find_live
from .trust import Trust
from .views import GalleryState, read_state


@dataclass(frozen=True, slots=True)
class PromotionOptions:
    """How a promotion is made.

    Attributes:
        expect: the query version that must be in force now, or None for any.
        keep_writers: whether versions that write now may go on writing.
        waiver: reason for promoting without a certificate; it stays visible for ever.
        reason: why, for the audit trail.
        dry_run: make every check and change nothing.
    """

    expect: str | VersionRef | None = None
    keep_writers: bool = False
    waiver: str | None = None
    reason: str = ""
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """A promotion or rollback: from which version to which, and what is served since.

    Attributes:
        gallery: the gallery's name.
        before: the query version until now.
        after: the query version from now on.
        serving: the pointers from now on.
        lost: items that no query finds from now on, by version.
        event: the recorded event, or None after a dry run.
    """

    gallery: str
    before: VersionRef
    after: VersionRef
    serving: Serving
    lost: dict[VersionRef, int]
    event: Event | None


class Promotions:
    """The two pointers of each gallery."""

    def __init__(self, context: Context, models: Models) -> None:
        self._context = context
        self._models = models

    def promote(
        self, gallery: str, ref: str | VersionRef, options: PromotionOptions | None = None
    ) -> Change:
        """Put a version in charge of a gallery's queries and new items.

        Only metadata changes: the cost does not depend on how much the gallery holds.

        Raises:
            NotCertifiedError: if a version with live items lacks a live COMPATIBLE certificate;
                the message lists every missing pair.
            UndeclaredComparisonError: if nobody declared how a pair is compared.
            AliasMovedError: if the query version is not the expected one.
            DigestMismatchError: if the version's artifact, a certificate, its evidence or an event
                was changed.
            SignatureError: if a certificate or an event is signed by nobody trusted.
            NotFoundError: if there is no signing key.
        """
        chosen = options or PromotionOptions()
        if chosen.waiver is not None and not chosen.waiver.strip():
            raise InvalidInputError("a waiver needs a reason", hint='--waive "why"')
        target = self._models.get(ref)
        if target.artifact_path is not None:
            self._models.verify_artifact(target)
        with read(self._context.engine) as connection:
            seen = read_state(connection, gallery).query_version.ref
        with write(self._context.engine) as connection:
            state = self._locked_state(connection, gallery)
            _check_expected(connection, state, chosen.expect or seen, self._context.trust)
            if target.ref.model != state.gallery.model:
                raise InvalidInputError(
                    f"gallery {gallery!r} is embedded by {state.gallery.model!r}, "
                    f"not by {target.ref.model!r}"
                )
            if target.ref == state.query_version.ref:
                raise InvalidInputError(f"{target.ref} is the query version of {gallery!r} already")
            serving = self._promoted(connection, state, target.ref, chosen)
            change = Change(gallery, state.query_version.ref, target.ref, serving, {}, None)
            if chosen.dry_run:
                return change
            return self._record(connection, EventKind.PROMOTED, state, change, chosen.reason)

    def rollback(
        self, gallery: str, *, accept_loss: bool = False, reason: str = "", dry_run: bool = False
    ) -> Change:
        """Put the previous query version back in charge.

        Raises:
            ConflictError: if there is nothing to roll back to.
            NotCertifiedError: if that version was not shown fit to search newer items, unless
                their loss is accepted; the message says how many items that is.
        """
        with write(self._context.engine) as connection:
            state = self._locked_state(connection, gallery)
            stack = fold_serving(state.line, gallery)
            if len(stack) < 2:
                raise ConflictError(
                    f"gallery {gallery!r} has no promotion to roll back",
                    hint=f"see 'samespace audit {gallery}'",
                )
            change = self._rolled_back(connection, state, stack[-2])
            if change.lost and not accept_loss:
                raise _loss_error(change)
            if dry_run:
                return change
            return self._record(connection, EventKind.ROLLED_BACK, state, change, reason)

    def history(self, gallery: str) -> tuple[Serving, ...]:
        """Return the states that a rollback can walk back through, the current one last."""
        with read(self._context.engine) as connection:
            state = read_state(connection, gallery)
        return fold_serving(state.line, gallery)

    def _locked_state(self, connection: Connection, gallery: str) -> GalleryState:
        state = read_state(connection, gallery)
        versions.model_id(connection, state.gallery.model, lock=True)
        galleries.lock_gallery(connection, gallery)  # nobody adds while the basis is worked out
        locked = read_state(connection, gallery)
        self._context.trust.check_active()
        _ = self._context.trust.ring.signing
        self._context.trust.check_line(locked.line)
        return locked

    def _promoted(
        self,
        connection: Connection,
        state: GalleryState,
        target: VersionRef,
        options: PromotionOptions,
    ) -> Serving:
        kept = state.serving.write_versions if options.keep_writers else ()
        held = {ref.number for ref in state.gallery.versions()} | set(kept)
        basis, missing = {target.number: SAME_SPACE}, []
        proofs: dict[int, Certificate] = {}
        for number in sorted(held - {target.number}):
            version = VersionRef(target.model, number)
            proof, problem = self._basis(connection, state, target, version)
            why = proof.digest if proof else None
            if proof is not None:
                proofs[number] = proof
            elif options.waiver is not None:
                why = f"waiver: {options.waiver.strip()}"
            if why is None:
                missing.append(f"{target} on {version} ({problem})")
            else:
                basis[number] = why
        if missing:
            raise NotCertifiedError(
                f"{target} cannot be promoted on {state.gallery.name!r}: no live COMPATIBLE "
                f"certificate for {'; '.join(missing)}",
                hint=f"samespace certify {state.gallery.name} {target} …",
            )
        writers = (target.number, *(n for n in kept if n != target.number))
        is_proved = len(proofs) == len(basis) - 1
        stack = fold_serving(state.line, state.gallery.name)
        maps = promoted_scale(stack, target.number, proofs) if is_proved else {}
        return Serving(target.number, writers, basis, calibration=maps)

    def _basis(
        self, connection: Connection, state: GalleryState, query: VersionRef, held: VersionRef
    ) -> tuple[Certificate | None, str]:
        pair = (state.versions[query.number], state.versions[held.number])
        if versions.get_contract(connection, *pair) is None:
            raise UndeclaredComparisonError(
                f"nobody declared how {query} is compared with the vectors of {held} "
                f"in {state.gallery.name!r}",
                hint=f"samespace model declare {query} {held} --dims N, then certify",
            )
        return find_live(self._context, connection, state, query, held)

    def _rolled_back(self, connection: Connection, state: GalleryState, earlier: Serving) -> Change:
        target = VersionRef(state.gallery.model, earlier.query_version)
        basis = {target.number: SAME_SPACE}
        lost: dict[VersionRef, int] = {}
        proofs: dict[int, Certificate] = {}
        for held in state.gallery.versions():
            if held == target:
                continue
            found = self._proof(connection, state, target, held)
            if found is not None:
                proofs[held.number] = found
            why = found.digest if found else earlier.basis.get(held.number)
            if why is None:
                lost[held] = sum(s.n_items for s in state.gallery.segments if s.version == held)
            else:
                basis[held.number] = why
        writers = earlier.write_versions
        basis |= {n: earlier.basis[n] for n in writers if n not in basis}
        excluded = tuple(sorted(ref.number for ref in lost))
        maps = rolled_back_scale(earlier, proofs)
        serving = Serving(target.number, writers, basis, excluded, maps)
        return Change(state.gallery.name, state.query_version.ref, target, serving, lost, None)

    def _proof(
        self, connection: Connection, state: GalleryState, query: VersionRef, held: VersionRef
    ) -> Certificate | None:
        """Return the live certificate of a pair; damage is none, for it must not bar a way back."""
        try:
            return find_live(self._context, connection, state, query, held)[0]
        except (CorruptFileError, DigestMismatchError, SignatureError):
            return None

    def _record(
        self,
        connection: Connection,
        kind: EventKind,
        state: GalleryState,
        change: Change,
        reason: str,
    ) -> Change:
        payload: dict[str, Json] = {
            "gallery": change.gallery,
            "from": change.before.number,
            "to": change.after.number,
            "serving": change.serving.to_json(),
            "lost": {str(ref.number): n for ref, n in change.lost.items()},
            "reason": reason,
            "pinned": pin(connection, state.versions, state.gallery.metric, change.serving),
        }
        stream = model_stream(state.gallery.model)
        event = self._context.record(connection, stream, kind, payload)
        return replace(change, event=event)


def _check_expected(
    connection: Connection, state: GalleryState, expect: str | VersionRef | None, trust: Trust
) -> None:
    if expect is None:
        return
    expected, found = resolve(connection, expect, trust).ref, state.query_version.ref
    if expected != found:
        raise AliasMovedError(
            f"gallery {state.gallery.name!r} is queried by {found}, not by {expected} as expected",
            hint="somebody promoted meanwhile: look at 'samespace status' and decide again",
        )


def _loss_error(change: Change) -> NotCertifiedError:
    lost = ", ".join(f"{n} items of {ref}" for ref, n in change.lost.items())
    return NotCertifiedError(
        f"{change.after} was not shown fit to search {lost} in {change.gallery!r}: "
        "a rollback would hide them",
        hint="certify that direction, or accept the loss: samespace rollback --accept-loss",
    )
