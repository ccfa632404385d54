"""What a policy requires elsewhere than on the old vectors, and in which groups."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from compat.evidence import read_evidence
from compat.replay import replay
from compat.report import render_html
from compat.workflow.certifying import Certification, certify
from compat.workflow.reporting import report_of
from registry import Embeddings, IndexSpec
from registry.domain.certificates import Certificate, Criterion, Finding, Verdict
from registry.domain.conclusions import check_conclusion
from registry.domain.policies import Policy
from registry.domain.requirements import Requirement
from registry.errors import InvalidInputError
from tests.compat.workflow.builders import N_QUERIES, POLICY, World, stored

NO_WORSE = Criterion.NON_INFERIORITY


def requiring(*rules: Requirement) -> Policy:
    return replace(POLICY, requirements=(*POLICY.requirements, *rules))


def made(world: World, policy: Policy, *, again: bool = False) -> tuple[Certification, ...]:
    return certify(world.registry, "shop", "products@2", world.probe(again=again), policy)


def on(certificate: Certificate, place: str) -> list[Finding]:
    return [finding for finding in certificate.findings if finding.on == place]


def check_replayed(one: Certification) -> None:
    evidence = read_evidence(one.evidence, one.certificate.evidence_digest, "it")
    assert replay(one.certificate, evidence).difference is None


def test_mixed_galleries_are_required_at_every_share_and_both_ways(world: World) -> None:
    policy = replace(
        requiring(Requirement("mAP", NO_WORSE, 0.3, "mixed")), mixed=(0.1, 0.5), n_resamples=1000
    )
    forward, back = made(world, policy, again=True)
    for one, query in ((forward, "products@2"), (back, "products@1")):
        certificate = one.certificate
        for share in ("10%", "50%"):
            (finding,) = on(certificate, f"mixed {share}")
            cell = certificate.matrix[f"{query} -> mixed {share}"]
            assert finding.candidate == pytest.approx(cell["all"]["mAP"])
            assert finding.baseline == certificate.findings[0].baseline
            assert finding.what == f"mAP on mixed {share}"
        assert not [cell for cell in certificate.matrix if "25%" in cell]
        check_replayed(one)


def test_a_drop_in_a_mixed_gallery_alone_is_not_compatible(world: World) -> None:
    """The items embedded again are of a model that turned its last dimensions."""
    strict = requiring(Requirement("mAP", Criterion.SUPERIORITY, on="mixed"))
    harsh = replace(world, centres=world.centres * np.r_[np.ones(12), -np.ones(4)])
    probe = replace(world.probe(), reembedded=harsh.again())
    found = certify(world.registry, "shop", "products@2", probe, strict)[0].certificate
    assert {finding.verdict for finding in on(found, "old")} == {Verdict.COMPATIBLE}
    assert Verdict.COMPATIBLE not in {finding.verdict for finding in on(found, "mixed 75%")}
    assert found.verdict is not Verdict.COMPATIBLE


def test_without_the_items_embedded_again_nothing_is_measured(world: World) -> None:
    policy = requiring(Requirement("mAP", NO_WORSE, 0.3, "mixed"))
    with pytest.raises(InvalidInputError, match="no re-embedded items were given") as caught:
        made(world, policy)
    assert "--reembedded" in str(caught.value.hint)


SERVED = (
    Requirement("hit@3", NO_WORSE, 0.3, "served"),
    Requirement("kept@3", NO_WORSE, 0.3, "served"),
    Requirement("index-recall@12", NO_WORSE, 0.3, "served"),
)


def test_the_index_that_serves_is_held_against_itself_with_old_queries(world: World) -> None:
    approximate = IndexSpec("faiss", "IVF4,Flat", {"nprobe": 2})
    registry = world.registry
    registry.galleries.create("shop2", world.v1.ref, index=approximate)
    registry.add("shop2", Embeddings(*stored(registry, world.v1), world.v1))
    registry.galleries.seal("shop2")
    one, *_ = certify(registry, "shop2", "products@2", world.probe(), requiring(*SERVED))
    hit, kept, recall = on(one.certificate, "served")
    assert hit.baseline < 1
    assert 0 < recall.candidate < 1
    assert kept.candidate < kept.baseline == 1
    check_replayed(one)


def test_an_exact_index_has_full_recall_and_the_numbers_of_the_exact_search(world: World) -> None:
    one, *_ = made(world, requiring(*SERVED, Requirement("hit@3", NO_WORSE, 0.3)))
    hit, _, recall = on(one.certificate, "served")
    exact = next(f for f in on(one.certificate, "old") if f.metric == "hit@3")
    assert (hit.baseline, hit.candidate) == (exact.baseline, exact.candidate)
    assert (recall.baseline, recall.candidate) == (1.0, 1.0)
    check_replayed(one)


def test_on_the_way_back_nothing_is_served_yet(world: World) -> None:
    forward, back = made(world, requiring(SERVED[0]), again=True)
    assert on(forward.certificate, "served")
    assert not on(back.certificate, "served")
    check_replayed(back)


def test_a_report_says_where_each_requirement_must_hold(world: World) -> None:
    made_here = made(
        world, requiring(*SERVED, Requirement("mAP", NO_WORSE, 0.3, "mixed")), again=True
    )
    page = render_html(report_of(made_here, world.registry.now()))
    for words in ("index-recall@12 on served not worse", "mAP on mixed not worse"):
        assert words in page
    said = " ".join(made_here[0].certificate.limits)
    assert "Planted controls were tried by exact search on the old vectors only" in said


def test_a_certificate_that_left_out_a_place_does_not_hold_together(world: World) -> None:
    one, *_ = made(world, requiring(SERVED[0]))
    check_conclusion(one.certificate)
    fewer = replace(one.certificate, findings=tuple(on(one.certificate, "old")))
    with pytest.raises(InvalidInputError, match="not the requirements of its policy"):
        check_conclusion(fewer)


GROUPS = np.where(np.arange(N_QUERIES) % 4 < 2, "left", "right")


def test_the_policy_says_beforehand_which_groups_count(world: World) -> None:
    policy = replace(POLICY, groups=("all", "left"))
    one = certify(world.registry, "shop", "products@2", world.probe(groups=GROUPS), policy)[0]
    assert [f.group for f in one.certificate.findings] == ["all", "left"] * 2
    assert set(one.certificate.matrix["products@2 -> products@1"]) == {"all", "left", "right"}
    check_replayed(one)


def test_a_group_that_is_required_and_not_there_is_refused(world: World) -> None:
    policy = replace(POLICY, groups=("unseen",))
    with pytest.raises(InvalidInputError, match="no query belongs to group 'unseen'; the probe"):
        certify(world.registry, "shop", "products@2", world.probe(groups=GROUPS), policy)


def test_bca_may_be_chosen_and_is_named_for_what_it_is(world: World) -> None:
    one = made(world, replace(POLICY, bound="bca", n_resamples=1000))[0]
    gaffke = made(world, replace(POLICY, n_resamples=1000))[0]
    assert one.certificate.findings != gaffke.certificate.findings
    (said,) = [limit for limit in one.certificate.limits if "BCa" in limit]
    assert "too sure of itself" in said
    assert not [limit for limit in gaffke.certificate.limits if "BCa" in limit]
    check_replayed(one)


def test_unseen_classes_may_be_required_beside_declared_groups(world: World) -> None:
    probe = world.probe(groups=GROUPS)
    queries = replace(probe.queries, seen=np.arange(N_QUERIES) < N_QUERIES // 2)
    policy = replace(POLICY, groups=("unseen classes",))
    found = certify(world.registry, "shop", "products@2", replace(probe, queries=queries), policy)[
        0
    ].certificate
    assert {f.group for f in found.findings} == {"unseen classes"}


def test_a_group_that_is_named_all_is_refused_before_anything_is_measured(world: World) -> None:
    with pytest.raises(InvalidInputError, match="named 'all', which is every query"):
        world.probe(groups=np.where(GROUPS == "left", "all", "right"))
