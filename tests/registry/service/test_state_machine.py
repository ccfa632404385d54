"""Random histories of a registry against a model of it in plain Python."""

import shutil
import tempfile
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from registry import Contract, ModelVersion, PromotionOptions, Registry
from registry.domain.certificates import Verdict
from registry.domain.galleries import SegmentState
from registry.domain.promotions import SAME_SPACE
from registry.errors import (
    AlreadyExistsError,
    ConflictError,
    NotCertifiedError,
    NotFoundError,
    SegmentStateError,
    SpaceMismatchError,
    UndeclaredComparisonError,
)
from tests.conftest import Clock, declared
from tests.registry.service.builders import asked, certify, compatible, embedded, make_evidence

GALLERY = "shop"
DIMS = (8, 12, 12, 16)
versions = st.integers(1, len(DIMS))
items = st.integers(0, 300)


@dataclass(frozen=True)
class Pointers:
    query: int
    writers: tuple[int, ...]
    basis: frozenset[int]
    excluded: frozenset[int] = frozenset()


@dataclass
class Model:
    """What a gallery should hold and serve."""

    n_versions: int = 1
    live: dict[int, int] = field(default_factory=dict)  # item to version
    rows: Counter[int] = field(default_factory=Counter)  # ever stored, by version
    verdicts: dict[tuple[int, int], tuple[Verdict, int, int]] = field(default_factory=dict)
    stack: list[Pointers] = field(default_factory=lambda: [Pointers(1, (1,), frozenset({1}))])
    unsealed: set[int] = field(default_factory=set)  # versions with an open segment

    @property
    def now(self) -> Pointers:
        return self.stack[-1]

    def held(self) -> set[int]:
        return set(self.live.values())

    def count(self, version: int) -> int:
        return sum(v == version for v in self.live.values())

    def is_live(self, query: int, held: int) -> bool:
        verdict, measured, rows = self.verdicts.get((query, held), (None, 0, 0))
        n = self.count(held)
        n_new = self.rows[held] - rows
        is_same = not rows or (n_new <= (1.1 - 1) * measured and n >= (2 - 1.1) * measured)
        return verdict is Verdict.COMPATIBLE and n <= 1.1 * measured and is_same

    def visible(self) -> set[int]:
        return {item for item, v in self.live.items() if v not in self.now.excluded}


class Registries(RuleBasedStateMachine):
    """Each rule makes one step in the registry and the same one in the model."""

    template: Path

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="samespace-state-"))
        self.clock = Clock()
        self.model = Model()
        shutil.copytree(self.template, self.folder, dirs_exist_ok=True)
        self.registry = self._open()
        self.versions = [declared(self.registry, "products", "1", dim=DIMS[0])]
        self.registry.galleries.create(GALLERY, self.versions[0].ref)
        for number in (2, 3):
            self.versions.append(
                compatible(self.registry, str(number), self.versions[-1], dim=DIMS[number - 1])
            )

    def _open(self) -> Registry:
        return Registry.open(self.folder, actor="tester", clock=self.clock)

    def teardown(self) -> None:
        self.check_chains_and_files()
        self.registry.close()
        shutil.rmtree(self.folder)

    def version(self, number: int) -> ModelVersion:
        return self.versions[(number - 1) % len(self.versions)]

    # --- rules

    @precondition(lambda self: len(self.versions) < len(DIMS))
    @rule(is_compatible=st.booleans())
    def register(self, is_compatible: bool) -> None:
        number = len(self.versions) + 1
        dim = DIMS[number - 1]
        if is_compatible:
            made = compatible(self.registry, str(number), self.versions[-1], dim=dim)
        else:
            made = declared(self.registry, "products", str(number), dim=dim)
        assert made.ref.number == number
        self.versions.append(made)
        again = declared(self.registry, "products", "1", dim=DIMS[0])
        assert again == self.versions[0]

    @rule(first=st.integers(0, 200), n=st.integers(1, 6), writer=st.integers(0, 2))
    def add_as_a_writer(self, first: int, n: int, writer: int) -> None:
        writers = self.model.now.writers
        free = [item for item in range(first, first + 100) if item not in self.model.live]
        self.add(writers[writer % len(writers)], set(free[:n]))

    @rule(number=versions, ids=st.sets(items, min_size=1, max_size=3))
    def add_as_anybody(self, number: int, ids: set[int]) -> None:
        self.add(number, ids)

    def add(self, number: int, ids: set[int]) -> None:
        version = self.version(number)
        batch = embedded(version, sorted(ids))
        if version.ref.number not in self.model.now.writers:
            with pytest.raises(SpaceMismatchError):
                self.registry.add(GALLERY, batch)
        elif ids & set(self.model.live):
            with pytest.raises(AlreadyExistsError):
                self.registry.add(GALLERY, batch)
        else:
            added = self.registry.add(GALLERY, batch)
            self.model.live |= dict.fromkeys(ids, version.ref.number)
            self.model.rows[version.ref.number] += len(ids)
            self.model.unsealed.add(version.ref.number)
            assert added.n_items_after == len(self.model.live)

    @rule(ids=st.sets(items, min_size=1, max_size=3), writer=st.integers(0, 2))
    def upsert_as_a_writer(self, ids: set[int], writer: int) -> None:
        writers = self.model.now.writers
        self.upsert(writers[writer % len(writers)], ids)

    @precondition(lambda self: self.model.live)
    @rule(data=st.data(), number=versions)
    def upsert_what_is_there(self, data: st.DataObject, number: int) -> None:
        live = st.sampled_from(sorted(self.model.live))
        self.upsert(number, data.draw(st.sets(live, min_size=1, max_size=4)))

    def upsert(self, number: int, ids: set[int]) -> None:
        version = self.version(number)
        number, in_force = version.ref.number, self.model.now.query
        batch = embedded(version, sorted(ids))
        known = ids & set(self.model.live)
        held = {self.model.live[item] for item in known}
        if number not in self.model.now.writers:
            with pytest.raises(SpaceMismatchError):
                self.registry.galleries.upsert(GALLERY, batch)
        elif number != in_force and any(n > number or n == in_force for n in held):
            with pytest.raises(AlreadyExistsError):
                self.registry.galleries.upsert(GALLERY, batch)
        else:
            done = self.registry.galleries.upsert(GALLERY, batch)
            assert (done.n_superseded, done.n_new) == (len(known), len(ids - known))
            self.model.live |= dict.fromkeys(ids, number)
            self.model.rows[number] += len(ids)
            self.model.unsealed.add(number)

    @precondition(lambda self: self.model.live)
    @rule(data=st.data())
    def erase_some(self, data: st.DataObject) -> None:
        live = st.sampled_from(sorted(self.model.live))
        ids = data.draw(st.sets(live, min_size=1, max_size=3))
        self.registry.galleries.erase(GALLERY, np.array(sorted(ids)), "a test")
        for item in ids:
            del self.model.live[item]
        self.check_nowhere(ids)

    @rule(item=items)
    def erase_anything(self, item: int) -> None:
        """What was deleted may lie in the files still, or be named in evidence, or not."""
        if item not in self.model.live:
            with suppress(NotFoundError):
                self.registry.galleries.erase(GALLERY, np.array([item]), "a test")
            self.check_nowhere({item})

    def check_nowhere(self, ids: set[int]) -> None:
        """Neither files nor evidence hold them: to erase them again is refused."""
        for item in ids:
            with pytest.raises(NotFoundError, match="nowhere"):
                self.registry.galleries.check_erase(GALLERY, np.array([item]), "a test")

    @rule()
    def compact(self) -> None:
        self.registry.galleries.compact(GALLERY)
        segments = self.registry.galleries.get(GALLERY).segments
        assert all(s.n_deleted == 0 and len(s.parts) <= 1 for s in segments)

    @precondition(lambda self: self.model.live)
    @rule(data=st.data())
    def delete_some(self, data: st.DataObject) -> None:
        live = st.sampled_from(sorted(self.model.live))
        self.delete(data.draw(st.sets(live, min_size=1, max_size=4)))

    @rule(ids=st.sets(items, min_size=1, max_size=2))
    def delete_anything(self, ids: set[int]) -> None:
        self.delete(ids)

    def delete(self, ids: set[int]) -> None:
        wanted = np.array(sorted(ids))
        if ids <= set(self.model.live):
            assert self.registry.galleries.delete(GALLERY, wanted) == len(ids)
            for item in ids:
                del self.model.live[item]
        else:
            with pytest.raises(NotFoundError):
                self.registry.galleries.delete(GALLERY, wanted)

    @rule()
    def seal(self) -> None:
        segments = self.registry.galleries.get(GALLERY).segments
        empty = {
            s.version.number for s in segments if s.state is SegmentState.OPEN and not s.n_rows
        }
        ready = self.model.unsealed - empty  # one that was emptied stays open
        if not ready:
            with pytest.raises(SegmentStateError):
                self.registry.galleries.seal(GALLERY)
            return
        sealed = self.registry.galleries.seal(GALLERY)
        assert {s.version.number for s in sealed} == ready
        self.model.unsealed -= ready

    @rule(query=versions, held=versions, verdict=st.sampled_from(list(Verdict)))
    def certify_anything(self, query: int, held: int, verdict: Verdict) -> None:
        self.certify(query, held, verdict)

    def certify(self, query: int, held: int, verdict: Verdict) -> None:
        pair = (self.version(query), self.version(held))
        if pair[0] == pair[1]:
            return
        refs = (pair[0].ref, pair[1].ref)
        if self._contract(*pair) is None:
            with pytest.raises(UndeclaredComparisonError):
                certify(self.registry, GALLERY, *refs, verdict=verdict)
            return
        certify(self.registry, GALLERY, *refs, verdict=verdict, evidence=self.evidence())
        key = (refs[0].number, refs[1].number)
        measured = self.model.count(refs[1].number)
        self.model.verdicts[key] = (verdict, measured, self.model.rows[refs[1].number])

    def evidence(self) -> bytes:
        """Evidence that names some of the items."""
        named = sorted(self.model.live)[:3]
        return make_evidence([str(item) for item in named], [named[::-1] for _ in named])

    def _contract(self, query: ModelVersion, held: ModelVersion) -> Contract | None:
        return self.registry.models.contract(query.ref, held.ref)

    @rule(number=versions, keep=st.booleans())
    def certify_and_promote(self, number: int, keep: bool) -> None:
        target = self.version(number).ref.number
        for held in self.model.held() | set(self.model.now.writers if keep else ()):
            self.certify(target, held, Verdict.COMPATIBLE)
        self.promote(number, keep=keep, waive=False, dry=False)

    @rule(number=versions, keep=st.booleans(), waive=st.booleans(), dry=st.booleans())
    def promote_anything(self, number: int, keep: bool, waive: bool, dry: bool) -> None:
        self.promote(number, keep=keep, waive=waive, dry=dry)

    @rule()
    def certify_a_way_back(self) -> None:
        if len(self.model.stack) > 1:
            for held in self.model.held():
                self.certify(self.model.stack[-2].query, held, Verdict.COMPATIBLE)

    def promote(self, number: int, *, keep: bool, waive: bool, dry: bool) -> None:
        target = self.version(number)
        chosen = target.ref.number
        if chosen == self.model.now.query:
            return
        kept = self.model.now.writers if keep else ()
        held = (self.model.held() | set(kept)) - {chosen}
        options = PromotionOptions(
            keep_writers=keep, waiver="a test" if waive else None, dry_run=dry
        )
        if any(self._contract(target, self.version(h)) is None for h in held):
            with pytest.raises((UndeclaredComparisonError, NotCertifiedError)):
                self.registry.promote(GALLERY, target.ref, options)
            return
        if not waive and not all(self.model.is_live(chosen, h) for h in held):
            with pytest.raises(NotCertifiedError):
                self.registry.promote(GALLERY, target.ref, options)
            return
        self.registry.promote(GALLERY, target.ref, options)
        if not dry:
            writers = (chosen, *(n for n in kept if n != chosen))
            self.model.stack.append(Pointers(chosen, writers, frozenset(held | {chosen})))

    @rule(accept=st.booleans())
    def rollback(self, accept: bool) -> None:
        if len(self.model.stack) < 2:
            with pytest.raises(ConflictError):
                self.registry.rollback(GALLERY, accept_loss=accept)
            return
        earlier = self.model.stack[-2]
        target = self.version(earlier.query)
        kept: set[int] = {earlier.query}
        lost: set[int] = set()
        for held in self.model.held() - {earlier.query}:
            is_served = held in earlier.basis or (
                self._contract(target, self.version(held)) is not None
                and self.model.is_live(earlier.query, held)
            )
            (kept if is_served else lost).add(held)
        if lost and not accept:
            with pytest.raises(NotCertifiedError):
                self.registry.rollback(GALLERY)
            return
        change = self.registry.rollback(GALLERY, accept_loss=accept)
        assert {ref.number for ref in change.lost} == lost
        basis = frozenset(kept | set(earlier.writers))
        self.model.stack[-2:] = [replace(earlier, basis=basis, excluded=frozenset(lost))]

    @rule()
    def reopen(self) -> None:
        self.check_chains_and_files()
        self.registry.close()
        self.registry = self._open()

    # --- what always holds

    @invariant()
    def the_fold_equals_the_model(self) -> None:
        history = self.registry.promotions.history(GALLERY)
        assert len(history) == len(self.model.stack)
        for found, expected in zip(history, self.model.stack, strict=True):
            assert found.query_version == expected.query
            assert found.write_versions == expected.writers
            assert set(found.basis) == expected.basis
            assert set(found.excluded) == expected.excluded
            assert found.basis[expected.query] == SAME_SPACE

    @invariant()
    def the_alias_points_to_the_version_in_force(self) -> None:
        champion = self.registry.models.get("products:champion")
        assert champion == self.version(self.model.now.query)
        for ref in self.registry.models.aliases("products").values():
            assert self.registry.models.get(ref) in self.versions

    @invariant()
    def exactly_the_live_items_are_found_and_each_with_a_basis(self) -> None:
        visible = self.model.visible()
        assert self.registry.galleries.get(GALLERY).n_items == len(self.model.live)
        if not visible:
            return
        queries = asked(self.version(self.model.now.query), sorted(visible)[:3])
        hits = self.registry.search(GALLERY, queries, len(visible))
        basis = self.registry.galleries.state(GALLERY).serving.basis
        for row, made_by in zip(hits.ids.tolist(), hits.versions.tolist(), strict=True):
            assert set(row) == visible
            assert [self.model.live[item] for item in row] == made_by
            assert set(made_by) <= set(basis)
        assert hits.ids[:, 0].tolist() == sorted(visible)[:3]

    def check_chains_and_files(self) -> None:
        assert self.registry.find_tampering() == ()
        self.registry.galleries.verify_files(GALLERY)
        assert self.registry.integrity.find_replaced(GALLERY) == ()
        self.registry.certificates.verify_all(GALLERY)
        assert self.registry.galleries.litter(older_than_hours=-1e6) == ()

    @invariant()
    def rows_that_were_ever_stored_are_counted_on(self) -> None:
        ever: Counter[int] = Counter()
        for segment in self.registry.galleries.get(GALLERY).segments:
            ever[segment.version.number] += segment.n_ever
        assert +ever == +self.model.rows

    @invariant()
    def open_segments_are_those_that_were_written_since(self) -> None:
        segments = self.registry.galleries.get(GALLERY).segments
        is_open = {s.version.number for s in segments if s.state is SegmentState.OPEN}
        assert is_open == self.model.unsealed


def run(template: Path, examples: int, steps: int) -> None:
    Registries.template = template
    checks = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]
    run_state_machine_as_test(
        Registries,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=checks,
            print_blob=True,
        ),
    )


def test_random_histories(template: Path) -> None:
    run(template, examples=8, steps=25)


@pytest.mark.slow
def test_many_long_random_histories(template: Path) -> None:
    run(template, examples=150, steps=60)
