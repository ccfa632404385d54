"""Reports from the registry: which certificates, and that they are what was recorded."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from compat.report import render_html, render_junit, render_markdown
from compat.workflow.certifying import certify
from compat.workflow.reporting import read_report, report_of
from registry.domain.certificates import Criterion
from registry.domain.requirements import Requirement
from registry.errors import CorruptFileError, DigestMismatchError, NotFoundError
from tests.compat.workflow.builders import POLICY, World


def test_the_registry_gives_the_very_report_that_certifying_gave(world: World) -> None:
    made = certify(world.registry, "shop", "products@2", world.probe(again=True), POLICY)
    fresh = report_of(made, world.registry.now())
    later = replace(read_report(world.registry, "shop"), written_at=fresh.written_at)
    assert [e.is_rollback for e in later.entries] == [False, True]
    for render in (render_html, render_markdown, render_junit):
        assert render(later) == render(fresh)


def test_curves_come_from_what_was_measured(world: World) -> None:
    asked = Requirement("TAR@FAR=0.1", Criterion.NON_INFERIORITY, 0.3)
    policy = replace(POLICY, requirements=(*POLICY.requirements, asked))
    made = certify(world.registry, "shop", "products@2", world.probe(again=True), policy)
    fresh = report_of(made, world.registry.now())
    later = replace(read_report(world.registry, "shop"), written_at=fresh.written_at)
    assert [curve.cell for curve in later.roc] == [
        "products@1 -> products@1",
        "products@2 -> products@1",
        "products@1 -> products@2",
    ]
    assert [len(curve.points) for curve in later.backfill] == [5, 2, 5, 2]
    assert (
        "Score distributions and verification errors (ROC) were not measured." not in later.limits
    )
    for render in (render_html, render_markdown, render_junit):
        assert render(later) == render(fresh)
    certify(world.registry, "shop", "products@2", world.probe(), POLICY)
    plain = read_report(world.registry, "shop")
    assert (plain.roc, plain.backfill) == ((), ())


def test_a_dry_run_says_so(world: World) -> None:
    made = certify(world.registry, "shop", "products@2", world.probe(), POLICY, dry_run=True)
    report = report_of(made, world.registry.now())
    assert report.is_dry_run
    assert "Dry run: nothing was recorded" in render_html(report)
    with pytest.raises(NotFoundError, match="holds no certificate"):
        read_report(world.registry, "shop")


def test_the_last_certification_is_reported_and_each_pair_once(world: World) -> None:
    for probe in (world.probe(), world.probe(again=True)):  # two probes: other noise
        for _ in range(2):
            certify(world.registry, "shop", "products@2", probe, POLICY)
    entries = read_report(world.registry, "shop").entries
    recorded = [s.certificate for s in world.registry.certificates.of_gallery("shop")]
    assert len(recorded) == 2 + 4
    assert [entry.certificate for entry in entries] == recorded[-2:]


def test_one_certificate_can_be_asked_for(world: World) -> None:
    made = certify(world.registry, "shop", "products@2", world.probe(again=True), POLICY)
    way_back = made[1].certificate
    (entry,) = read_report(world.registry, "shop", way_back.digest[:10]).entries
    assert entry.certificate == way_back
    assert entry.is_rollback
    world.registry.galleries.create("other", world.v1.ref)
    with pytest.raises(NotFoundError, match="gallery 'other' holds no certificate"):
        read_report(world.registry, "other", way_back.digest)


def test_a_certificate_that_holds_no_longer_says_why(world: World) -> None:
    probe = world.probe()
    certify(world.registry, "shop", "products@2", probe, POLICY)
    assert "holds no longer" not in render_html(read_report(world.registry, "shop"))
    world.registry.galleries.delete("shop", np.arange(40))
    assert "holds no longer" in render_html(read_report(world.registry, "shop"))


def test_evidence_that_was_changed_or_lost_makes_no_report(world: World) -> None:
    certify(world.registry, "shop", "products@2", world.probe(), POLICY)
    (path,) = (world.registry.storage / "certificates" / "shop").iterdir()
    data = path.read_bytes()
    path.write_bytes(data[:99] + bytes([data[99] ^ 1]) + data[100:])
    with pytest.raises(DigestMismatchError, match="not the file that was recorded"):
        read_report(world.registry, "shop")
    path.unlink()
    with pytest.raises(CorruptFileError, match="is missing"):
        read_report(world.registry, "shop")
