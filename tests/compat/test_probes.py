from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from compat.evaluation import Qrels
from compat.probes import Labels, Probe, align_labels, as_one_kind, digest_array
from registry import Embeddings, ModelVersion, SpaceDescription, VersionRef
from registry.errors import InvalidInputError


def version(number: int, dim: int = 4) -> ModelVersion:
    return ModelVersion(
        ref=VersionRef("products", number),
        fingerprint=f"declared:{number}",
        description=SpaceDescription({}, {}, normalised=False, dim=dim),
        artifact_path=None,
        artifact_digest=None,
        training={},
        created_at=datetime(2026, 5, 3, tzinfo=UTC),
        created_by="tester",
    )


V1, V2 = version(1), version(2)


def vectors(n: int = 3) -> Any:
    return np.arange(4.0 * n, dtype=np.float32).reshape(n, 4) + 1


def probe(**changes: Any) -> Probe:
    made = Probe(
        Labels(np.arange(3), np.array([5, 6, 5])),
        {V1.ref: Embeddings.numbered(vectors(), V1)},
        Labels(np.array(["a", "b"]), np.array([5, 6])),
    )
    return replace(made, **changes)


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        (np.array([1, 2], np.uint8), "i"),
        (np.array([1, 2], np.uint64), "i"),
        (np.array(["x", "yy"]), "U"),
        (np.array(["x", "yy"], dtype=object), "U"),
        (np.array([], dtype=object), "U"),
    ],
)
def test_labels_of_any_file_become_numbers_or_text(given: Any, kind: str) -> None:
    labels = Labels(np.arange(len(given)), given)
    assert labels.labels.dtype.kind == kind
    assert labels.labels.tolist() == given.tolist()
    assert Labels(given, np.arange(len(given))).ids.dtype.kind == kind


@pytest.mark.parametrize(
    "given",
    [
        np.array([1.0, 2.0]),
        np.array([[1], [2]]),
        np.array([1, "x"], dtype=object),
        np.array([None, "x"], dtype=object),
        np.array([2**64 - 1, 1], np.uint64),
    ],
)
def test_other_labels_are_refused(given: Any) -> None:
    with pytest.raises(InvalidInputError, match="must be one row of integers or strings"):
        Labels(np.arange(2), given)
    with pytest.raises(InvalidInputError, match="must be one row of integers or strings"):
        Labels(given, np.arange(2))


def test_lengths_must_agree() -> None:
    with pytest.raises(InvalidInputError, match=r"differ in length: \[2, 3\]"):
        Labels(np.arange(3), np.arange(2))
    with pytest.raises(InvalidInputError, match="differ in length"):
        Labels(np.arange(3), np.arange(3), np.arange(2))
    with pytest.raises(InvalidInputError, match="products@1 embedded 2 queries, but 3 are"):
        probe(query_vectors={V1.ref: Embeddings.numbered(vectors(2), V1)})


def test_names_compare_as_text_if_only_one_side_holds_numbers() -> None:
    numbers, texts = np.array([7, 10]), np.array(["10", "07"], dtype=object)
    a, b = as_one_kind(numbers, texts)
    assert (a == np.array(["7", "10"])).all()
    assert (b == np.array(["10", "07"])).all()
    same = as_one_kind(numbers, numbers)
    assert same[0] is numbers


@pytest.mark.parametrize("ids", [[3, 1, 2], ["3", "1", "2"]])
@pytest.mark.parametrize("known", [[1, 2, 3, 4], ["1", "2", "3", "4"]])
def test_labels_are_aligned_with_the_gallerys_order(ids: Any, known: Any) -> None:
    kind = object if isinstance(ids[0], str) else np.int64
    labels = Labels(np.array(known), np.array(["a", "b", "c", "d"]))
    found = align_labels(labels, np.array(ids, dtype=kind), "shop")
    assert found.tolist() == ["c", "a", "b"]


def test_items_without_a_label_are_named() -> None:
    labels = Labels(np.array(["01", "02"]), np.array([1, 2]))
    with pytest.raises(InvalidInputError) as caught:
        align_labels(labels, np.array([1, 2]), "shop")
    assert "2 of 2 items of gallery 'shop' have no label, for example '1'" in str(caught.value)
    assert "labelled are items such as '01'" in str(caught.value)
    with pytest.raises(InvalidInputError, match="such as none"):
        align_labels(Labels(np.array([], int), np.array([], int)), np.array([1]), "shop")


def test_an_item_has_one_label() -> None:
    twice = Labels(np.array([1, 2, 1]), np.array([5, 6, 5]))
    assert align_labels(twice, np.array([2, 1]), "shop").tolist() == [6, 5]
    with pytest.raises(InvalidInputError, match="item 1 has two labels, 5 and 7"):
        align_labels(Labels(np.array([1, 2, 1]), np.array([5, 6, 7])), np.array([1]), "shop")


def test_a_missing_version_is_told_how_to_be_added() -> None:
    with pytest.raises(InvalidInputError, match="no queries embedded by products@2") as caught:
        probe().vectors_of(V2.ref)
    assert caught.value.hint == "add them: --queries products@2=FILE"
    assert probe().vectors_of(V1.ref).version is V1


def test_groups_are_rows_by_name() -> None:
    assert {k: v.tolist() for k, v in probe().groups.items()} == {"all": [0, 1, 2]}
    grouped = probe(queries=Labels(np.arange(3), np.arange(3), np.array(["b", "a", "b"])))
    assert {k: v.tolist() for k, v in grouped.groups.items()} == {"a": [1], "b": [0, 2]}
    numbered = probe(queries=Labels(np.arange(3), np.arange(3), np.array([2, 1, 2])))
    assert {k: v.tolist() for k, v in numbered.groups.items()} == {"1": [1], "2": [0, 2]}


def test_the_digest_changes_with_everything_that_is_measured() -> None:
    base = probe()
    assert probe().digest == base.digest
    asked = base.queries
    others = [
        probe(queries=Labels(asked.ids + 1, asked.labels)),
        probe(queries=Labels(asked.ids, asked.labels + 1)),
        probe(queries=Labels(asked.ids, asked.labels, np.array(["a", "a", "b"]))),
        probe(query_vectors={V1.ref: Embeddings.numbered(vectors() + 1, V1)}),
        probe(query_vectors={V2.ref: Embeddings.numbered(vectors(), V2)}),
        probe(gallery_labels=Labels(np.array(["a", "c"]), np.array([5, 6]))),
        probe(gallery_labels=Labels(np.array(["a", "b"]), np.array([5, 7]))),
    ]
    assert len({base.digest, *(other.digest for other in others)}) == len(others) + 1


def test_text_has_one_digest_however_it_is_held() -> None:
    texts = ["x", "yy"]
    assert digest_array(np.array(texts)) == digest_array(np.array(texts, dtype=object))
    assert digest_array(np.array(["x", "y"])) != digest_array(np.array(["xy", ""]))


def test_a_probe_has_either_labels_or_judgements() -> None:
    qrels = Qrels(np.arange(3), np.array(["a", "b", "a"]), np.array([1.0, 2.0, 1.0]))
    judged = probe(queries=Labels.judged(np.arange(3), qrels), gallery_labels=None)
    other = Qrels(np.arange(3), np.array(["a", "b", "a"]), np.array([1.0, 3.0, 1.0]))
    changed = probe(queries=Labels.judged(np.arange(3), other), gallery_labels=None)
    assert len({judged.digest, changed.digest, probe().digest}) == 3
    for given in ({"gallery_labels": None}, {"queries": Labels.judged(np.arange(3), qrels)}):
        with pytest.raises(InvalidInputError, match=r"either labels .* or judgements"):
            probe(**given)


# --- seen and unseen classes


def asked(seen: Any, groups: Any = None) -> Labels:
    return Labels(np.arange(4), np.array([5, 6, 5, 7]), groups, seen=np.array(seen, np.bool_))


def as_lists(rows: Any) -> dict[str, list[int]]:
    return {name: found.tolist() for name, found in rows.items()}


def test_seen_and_unseen_classes_are_the_groups_if_none_were_declared() -> None:
    both = asked([True, False, True, False])
    apart = {"seen classes": [0, 2], "unseen classes": [1, 3]}
    assert as_lists(both.by_group) == apart
    assert as_lists(both.reported) == {"all": [0, 1, 2, 3], **apart}


@pytest.mark.parametrize("is_seen", [True, False])
def test_one_kind_alone_is_no_group(is_seen: bool) -> None:
    found = asked([is_seen] * 4)
    assert as_lists(found.by_group) == as_lists(found.reported) == {"all": [0, 1, 2, 3]}
    assert found.by_seen == {}


def test_declared_groups_stay_and_the_others_are_only_reported() -> None:
    found = asked([True, True, True, False], np.array(["b", "b", "a", "a"]))
    declared = {"a": [2, 3], "b": [0, 1]}
    apart = {"seen classes": [0, 1, 2], "unseen classes": [3]}
    assert as_lists(found.by_group) == declared
    assert as_lists(found.reported) == {"all": [0, 1, 2, 3], **declared, **apart}


def test_a_declared_group_of_just_the_seen_classes_is_not_repeated() -> None:
    found = asked([True, False, True, False], np.array(["x", "y", "x", "z"]))
    assert found.declared_as == {"seen classes": "x"}
    assert list(found.reported) == ["all", "x", "y", "z", "unseen classes"]
    both = asked([True, False, True, False], np.array(["x", "y", "x", "y"]))
    assert list(both.reported) == ["all", "x", "y"]
    assert asked([True, False, True, False]).declared_as == {}


def test_no_group_may_have_the_name_of_seen_or_unseen_classes() -> None:
    groups = np.array(["a", "a", "unseen classes", "a"])
    for seen in (None, np.array([True, False, True, False])):
        with pytest.raises(InvalidInputError, match="named 'unseen classes'"):
            Labels(np.arange(4), np.arange(4), groups, seen=seen)
    with pytest.raises(InvalidInputError, match="differ in length"):
        asked([True, False])


def test_what_was_trained_on_is_no_part_of_the_digest() -> None:
    """The same questions asked of two candidates are the same questions."""
    made = probe()
    marked = replace(made.queries, seen=np.array([True, False, True]))
    assert replace(made, queries=marked).digest == made.digest


def test_the_digest_of_an_array_is_of_its_bytes_in_c_order() -> None:
    array = np.arange(12, dtype=np.float32).reshape(3, 4)
    assert digest_array(array) == hashlib.sha256(array.tobytes()).hexdigest()
    assert digest_array(array.T) == hashlib.sha256(array.T.tobytes()).hexdigest()
    assert digest_array(np.empty(0)) == hashlib.sha256(b"").hexdigest()
