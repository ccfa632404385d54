import errno
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from registry import (
    Contract,
    ContractKind,
    ModelVersion,
    Parent,
    Registry,
    SpaceDescription,
    VersionRef,
)
from registry.artifacts import WEIGHTS
from registry.domain.events import EventKind
from registry.domain.versions import LineageEdge, Provenance
from registry.errors import (
    ConflictError,
    CorruptFileError,
    DigestMismatchError,
    InvalidInputError,
    InvalidRefError,
    NotFoundError,
    StorageError,
)
from registry.service import registration
from tests.conftest import declared
from tests.registry.service.builders import Site, artifact, compatible, on_sqlite

PREFIX = ContractKind.PREFIX


def describe(dim: int = 8) -> SpaceDescription:
    return SpaceDescription({}, {}, normalised=False, dim=dim)


# --- registering


def test_versions_are_numbered_from_1_and_read_back(registry: Registry) -> None:
    first = declared(registry, "products", "one")
    second = declared(registry, "products", "two", dim=12)
    other = declared(registry, "faces", "three")
    assert [str(v.ref) for v in (first, second, other)] == ["products@1", "products@2", "faces@1"]
    assert registry.models.get("products@2") == second
    assert registry.models.get(VersionRef("faces", 1)) == other
    assert registry.models.list("products") == (first, second)
    assert registry.models.list() == (other, first, second)
    assert first.created_by == "tester"
    assert first.provenance is Provenance.DECLARED


def test_the_same_vectors_registered_again_are_the_same_version(registry: Registry) -> None:
    first = registry.models.register_vectors("m", describe(), {"made_by": "x", "on": 3})
    before = registry.audit()
    again = registry.models.register_vectors("m", describe(), {"on": 3, "made_by": "x"})
    assert (first.is_new, again.is_new) == (True, False)
    assert again.version == first.version
    assert registry.audit() == before


@pytest.mark.parametrize(
    ("description", "identity"),
    [
        (describe(), {"made_by": "y"}),
        (describe(9), {"made_by": "x"}),
        (SpaceDescription({}, {}, normalised=True, dim=8), {"made_by": "x"}),
        (SpaceDescription({"n": 1}, {}, normalised=False, dim=8), {"made_by": "x"}),
        (SpaceDescription({}, {"prefix": "query: "}, normalised=False, dim=8), {"made_by": "x"}),
    ],
)
@on_sqlite
def test_whatever_determines_the_space_makes_another_version(
    registry: Registry, description: SpaceDescription, identity: dict[str, Any]
) -> None:
    registry.models.register_vectors("m", describe(), {"made_by": "x"})
    found = registry.models.register_vectors("m", description, identity)
    assert found.is_new
    assert found.version.ref == VersionRef("m", 2)


def test_an_artifact_is_copied_and_known_by_its_tensors(registry: Registry, tmp_path: Path) -> None:
    made = artifact(tmp_path / "made")
    first = registry.register("m", made, training={"objective": "oca", "loss": 0.5})
    assert first.version.provenance is Provenance.ARTIFACT
    assert first.version.training == {"objective": "oca", "loss": 0.5}
    shutil.rmtree(made)
    kept = registry.models.artifact_directory(first.version)
    assert kept.is_relative_to(registry.storage)
    resaved = artifact(tmp_path / "resaved", metadata="the same tensors, another file")
    assert (resaved / WEIGHTS).read_bytes() != (kept / WEIGHTS).read_bytes()
    again = registry.register("m", resaved)
    assert not again.is_new
    assert again.version == first.version
    assert registry.register("m", artifact(tmp_path / "other", seed=1)).version.ref.number == 2


def test_one_artifact_may_be_a_version_of_two_lines(registry: Registry, tmp_path: Path) -> None:
    made = artifact(tmp_path / "made")
    first, second = registry.register("a", made), registry.register("b", made)
    assert first.version.fingerprint == second.version.fingerprint
    registry.models.artifact_directory(first.version)
    registry.models.artifact_directory(second.version)


@on_sqlite
def test_only_the_artifacts_own_files_are_kept(registry: Registry, tmp_path: Path) -> None:
    made = artifact(tmp_path / "made")
    (made / "checkpoints").mkdir()
    (made / "checkpoints" / "1.pt").write_bytes(b"big")
    (made / "notes.txt").write_text("private")
    kept = registry.models.artifact_directory(registry.register("m", made).version)
    assert sorted(p.name for p in kept.iterdir()) == ["model.json", "model.safetensors"]
    assert [p.name for p in kept.parent.iterdir()] == [kept.name]


@on_sqlite
def test_an_artifact_that_is_damaged_in_the_storage_is_mended_by_a_good_copy(
    registry: Registry, tmp_path: Path
) -> None:
    made = artifact(tmp_path / "made")
    version = registry.register("a", made).version
    kept = registry.models.artifact_directory(version)
    shutil.copytree(kept, registry.storage / "models" / "b" / kept.name)
    (registry.storage / "models" / "b" / kept.name / WEIGHTS).write_bytes(b"half")
    second = registry.register("b", made).version
    registry.models.artifact_directory(second)
    assert [p.name for p in (registry.storage / "models" / "b").iterdir()] == [kept.name]


@on_sqlite
def test_a_copy_that_another_process_finished_first_is_left_alone(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = artifact(tmp_path / "made")
    copy = registration._copy

    def copy_while_another_one_finishes(source: Path, temporary: Path, digest: str) -> None:
        copy(source, temporary, digest)
        target = temporary.with_name(digest[:16])
        copy(source, target, digest)
        (target / WEIGHTS).chmod(0o444)

    monkeypatch.setattr(registration, "_copy", copy_while_another_one_finishes)
    kept = registry.models.artifact_directory(registry.register("m", made).version)
    assert (kept / WEIGHTS).stat().st_mode & 0o777 == 0o444, "it was replaced"
    assert [p.name for p in kept.parent.iterdir()] == [kept.name]


@on_sqlite
def test_an_artifact_that_changes_while_it_is_copied_is_refused(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, other = artifact(tmp_path / "made"), artifact(tmp_path / "other", seed=1)
    copy = registration._copy
    monkeypatch.setattr(registration, "_copy", lambda _, t, d: copy(other, t, d))
    with pytest.raises(DigestMismatchError, match="changed while it was copied"):
        registry.register("m", made)
    assert registry.models.list() == ()
    assert list((registry.storage / "models" / "m").iterdir()) == []


@pytest.mark.parametrize("where", ["copyfile", "fsync"])
@on_sqlite
def test_a_full_disk_leaves_no_artifact_and_no_version(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    made = artifact(tmp_path / "made")

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(shutil if where == "copyfile" else os, where, refuse)
        with pytest.raises(StorageError, match="No space left"):
            registry.register("m", made)
    assert registry.models.list() == ()
    assert list((registry.storage / "models" / "m").iterdir()) == []
    assert registry.register("m", made).is_new


@on_sqlite
def test_what_is_no_artifact_is_refused(registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="is no model artifact"):
        registry.register("m", tmp_path / "nowhere")
    made = artifact(tmp_path / "made")
    (made / WEIGHTS).write_bytes((made / WEIGHTS).read_bytes()[:-5])
    with pytest.raises(CorruptFileError, match=r"model\.safetensors"):
        registry.register("m", made)
    assert registry.models.list() == ()
    assert not (registry.storage / "models" / "m").exists()


@pytest.mark.parametrize("name", ["", "a/b", "../a", "a b", "a@1", "ä"])
@on_sqlite
def test_a_name_that_is_none_is_refused(registry: Registry, tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidInputError, match="cannot name a model"):
        registry.models.register_vectors(name, describe(), {})
    with pytest.raises(InvalidInputError, match="cannot name a model"):
        registry.register(name, artifact(tmp_path / "made"))


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), np.float32(1), {1, 2}, "\udc80", b"bytes"]
)
@on_sqlite
def test_a_record_that_json_cannot_say_is_refused(
    registry: Registry, tmp_path: Path, value: Any
) -> None:
    with pytest.raises(InvalidInputError, match="cannot be kept as JSON"):
        registry.models.register_vectors("m", describe(), {"x": value})
    with pytest.raises(InvalidInputError, match="cannot be kept as JSON"):
        registry.register("m", artifact(tmp_path / "made"), training={"x": value})
    assert registry.models.list() == ()
    assert registry.audit() == ()


def test_text_in_any_script_is_kept(registry: Registry) -> None:
    made = registry.models.register_vectors("m", describe(), {"by": "zoë 模型 🙂 \x00"})
    assert registry.models.get("m@1") == made.version
    assert registry.find_tampering() == ()


# --- addressing


def test_unknown_names_come_with_near_matches(registry: Registry, v1: ModelVersion) -> None:
    with pytest.raises(NotFoundError, match="no model is named 'prodcts'") as caught:
        registry.models.get("prodcts@1")
    assert "did you mean 'products'?" in str(caught.value.hint)
    with pytest.raises(NotFoundError, match="no model version is named 'products@7'") as caught:
        registry.models.get("products@7")
    assert "products@1" in str(caught.value.hint)
    with pytest.raises(NotFoundError, match="no alias is named 'products:champoin'") as caught:
        registry.models.get("products:champoin")
    with pytest.raises(NotFoundError, match="no model is named 'prodcts'"):
        registry.models.get("prodcts:champion")
    for step in (registry.models.list, registry.models.aliases, registry.models.lineage):
        with pytest.raises(NotFoundError, match="prodcts"):
            step("prodcts")
    with pytest.raises(InvalidRefError):
        registry.models.get("products")


def test_a_registry_without_models_says_so(registry: Registry) -> None:
    with pytest.raises(NotFoundError) as caught:
        registry.models.get("products@1")
    assert "there is no model yet" in str(caught.value.hint)


def test_aliases_are_folded_from_what_happened(registry: Registry, v1: ModelVersion) -> None:
    assert registry.models.aliases("products") == {}
    registry.galleries.create("shop", v1.ref)
    assert registry.models.aliases("products") == {"champion": v1.ref}
    assert registry.models.get("products:champion") == v1
    v2 = compatible(registry, "two", v1, dim=12)
    registry.promote("shop", v2.ref)
    assert registry.models.get("products:champion") == v2
    assert registry.models.get("products:previous") == v1
    registry.rollback("shop")
    assert registry.models.get("products:champion") == v1
    assert registry.models.get("products:previous") == v2


def test_another_gallery_of_an_old_version_moves_no_alias(
    registry: Registry, v1: ModelVersion, v2: ModelVersion
) -> None:
    registry.galleries.create("shop", v1.ref)
    registry.promote("shop", v2.ref)
    registry.galleries.create("window", v1.ref)
    assert registry.models.get("products:champion") == v2
    assert registry.models.get("products:previous") == v1


# --- lineage and contracts


def test_a_contract_holds_in_both_directions_and_with_itself(
    registry: Registry, v1: ModelVersion
) -> None:
    v2 = compatible(registry, "two", v1, dim=12)
    assert registry.models.contract(v2.ref, v1.ref) == Contract(PREFIX, 8)
    assert registry.models.contract(v1.ref, v2.ref) == Contract(PREFIX, 8)
    assert registry.models.contract(v2.ref, v2.ref) == Contract(ContractKind.SAME_SPACE, 12)
    assert registry.models.lineage("products") == (LineageEdge(v2.ref, v1.ref, "compatible: test"),)


def test_contracts_are_inherited_along_the_chain(registry: Registry, v1: ModelVersion) -> None:
    v2 = compatible(registry, "two", v1, dim=12)
    beside = declared(registry, "products", "beside", dim=12)
    v4 = compatible(registry, "four", v2, dim=16)
    assert registry.models.contract(v4.ref, v2.ref) == Contract(PREFIX, 12)
    assert registry.models.contract(v4.ref, v1.ref) == Contract(PREFIX, 8), "the shorter prefix"
    assert registry.models.contract(v1.ref, v4.ref) == Contract(PREFIX, 8)
    assert registry.models.contract(v4.ref, beside.ref) is None
    v5 = compatible(registry, "five", v4, dim=16, dims=6)
    assert registry.models.contract(v5.ref, v4.ref) == Contract(PREFIX, 6)
    assert registry.models.contract(v5.ref, v2.ref) == Contract(PREFIX, 6)
    assert registry.models.contract(v5.ref, v1.ref) == Contract(PREFIX, 6)


def test_a_parent_without_contract_is_lineage_only(registry: Registry, v1: ModelVersion) -> None:
    made = registry.models.register_vectors(
        "products", describe(), {"n": 2}, parents=[Parent(v1.ref, "trained beside")]
    ).version
    assert registry.models.contract(made.ref, v1.ref) is None
    assert registry.models.lineage("products")[0].relation == "trained beside"


def test_two_parents_of_one_chain_may_both_be_named(registry: Registry, v1: ModelVersion) -> None:
    v2 = compatible(registry, "two", v1, dim=12)
    v3 = registry.models.register_vectors(
        "products",
        describe(16),
        {"n": 3},
        parents=[
            Parent(v2.ref, "compatible: oca", Contract(PREFIX, 12)),
            Parent(v1.ref, "compatible: oca", Contract(PREFIX, 7)),
        ],
    ).version
    assert registry.models.contract(v3.ref, v2.ref) == Contract(PREFIX, 12)
    assert registry.models.contract(v3.ref, v1.ref) == Contract(PREFIX, 7), "what was said"
    v4 = registry.models.register_vectors(
        "products",
        describe(16),
        {"n": 4},
        parents=[
            Parent(v3.ref, "compatible: oca", Contract(PREFIX, 16)),
            Parent(v2.ref, "compatible: oca", Contract(PREFIX, 12)),
        ],
    ).version
    assert registry.models.contract(v4.ref, v1.ref) == Contract(PREFIX, 7), "the shorter one"


def test_a_version_may_be_comparable_with_others_than_its_parents(
    registry: Registry, v1: ModelVersion, tmp_path: Path
) -> None:
    """What is said of a pair goes before what follows from a parent's contract."""
    v2 = compatible(registry, "two", v1, dim=12)
    made = registry.register(
        "products",
        artifact(tmp_path / "made", dim=16),
        parents=[Parent(v2.ref, "compatible: oca", Contract(PREFIX, 12))],
        contracts={v1.ref: Contract(PREFIX, 5), v2.ref: Contract(PREFIX, 4)},
    ).version
    for query, gallery, dims in ((made, v1, 5), (v1, made, 5), (made, v2, 12), (v2, made, 12)):
        assert registry.models.contract(query.ref, gallery.ref) == Contract(PREFIX, dims)
    assert [e.parent for e in registry.models.lineage("products") if e.child == made.ref] == [
        v2.ref
    ]


def test_a_contract_that_cannot_be_is_refused_before_anything_is_kept(
    registry: Registry, v1: ModelVersion, tmp_path: Path
) -> None:
    before, made = registry.audit(), artifact(tmp_path / "made", dim=16)
    for ref, dims, words in (
        (v1.ref, 9, "first 9 dimensions cannot be compared"),
        (VersionRef("products", 9), 4, "products@9"),
        (VersionRef("x", 1), 4, "x@1 is not of the line 'products'"),
    ):
        with pytest.raises((InvalidInputError, NotFoundError), match=words):
            registry.register("products", made, contracts={ref: Contract(PREFIX, dims)})
    assert registry.audit() == before
    assert not (registry.storage / "models" / "products").exists()


@pytest.mark.parametrize(
    ("contract", "says"),
    [
        (Contract(PREFIX, 9), "first 9 dimensions cannot be compared"),
        (Contract(ContractKind.SAME_SPACE, 8), "one space has one dimension"),
    ],
)
def test_a_parent_that_cannot_be_is_refused_whole(
    registry: Registry, v1: ModelVersion, contract: Contract, says: str
) -> None:
    before = registry.audit()
    with pytest.raises(InvalidInputError, match=says):
        registry.models.register_vectors(
            "products", describe(12), {}, parents=[Parent(v1.ref, "x", contract)]
        )
    for ref, error in ((VersionRef("products", 9), NotFoundError), (VersionRef("x", 1), None)):
        with pytest.raises(error or InvalidInputError):
            registry.models.register_vectors(
                "products", describe(12), {}, parents=[Parent(ref, "x")]
            )
    assert registry.models.list() == (v1,)
    assert registry.audit() == before


def test_a_contract_is_declared_once(registry: Registry, v1: ModelVersion) -> None:
    other = declared(registry, "products", "other", dim=12)
    registry.models.declare_contract(other.ref, v1.ref, Contract(PREFIX, 8))
    assert registry.models.contract(other.ref, v1.ref) == Contract(PREFIX, 8)
    assert registry.models.contract(v1.ref, other.ref) is None, "a direction is not its reverse"
    with pytest.raises(ConflictError):
        registry.models.declare_contract(other.ref, v1.ref, Contract(PREFIX, 7))
    assert registry.models.contract(other.ref, v1.ref) == Contract(PREFIX, 8)
    kinds = [event.kind for event in registry.audit("model:products")]
    assert kinds.count(EventKind.CONTRACT_DECLARED) == 1


def test_contracts_are_declared_together_or_not_at_all(
    registry: Registry, v1: ModelVersion
) -> None:
    other = declared(registry, "products", "other", dim=12)
    pairs = [(other.ref, v1.ref), (v1.ref, other.ref)]
    registry.models.declare_contract(v1.ref, other.ref, Contract(PREFIX, 7))
    before = registry.audit()
    for step in (registry.models.declare_contracts, registry.models.check_contracts):
        with pytest.raises(ConflictError, match=r"products@1 .* products@2 already, by the first"):
            step(pairs, Contract(PREFIX, 8))
    assert registry.models.contract(other.ref, v1.ref) is None
    assert registry.audit() == before
    third = declared(registry, "products", "third", dim=12)
    pairs = [(third.ref, v1.ref), (v1.ref, third.ref)]
    registry.models.check_contracts(pairs, Contract(PREFIX, 8))
    assert registry.models.contract(third.ref, v1.ref) is None
    registry.models.declare_contracts(pairs, Contract(PREFIX, 8))
    assert [registry.models.contract(*pair) for pair in pairs] == [Contract(PREFIX, 8)] * 2
    assert registry.find_tampering() == ()


def test_a_contract_that_cannot_hold_is_refused(registry: Registry, v1: ModelVersion) -> None:
    other = declared(registry, "products", "other", dim=12)
    same = declared(registry, "products", "same size")
    far = declared(registry, "faces", "far")
    for query, held, contract, says in (
        (other, v1, Contract(PREFIX, 9), "compares 9 dimensions, but they have 12 and 8"),
        (other, v1, Contract(ContractKind.SAME_SPACE, 8), "one space has one dimension"),
        (same, v1, Contract(ContractKind.SAME_SPACE, 5), "of which 5 are compared"),
        (v1, v1, Contract(PREFIX, 8), "always comparable with itself"),
        (
            other,
            v1,
            Contract(ContractKind.OWN_ENCODER, 12),
            "own queries have 8 dimensions, not 12",
        ),
        (far, v1, Contract(PREFIX, 8), "two model lines"),
    ):
        with pytest.raises(InvalidInputError, match=says):
            registry.models.declare_contract(query.ref, held.ref, contract)
    assert registry.models.contract(far.ref, v1.ref) is None
    with pytest.raises(NotFoundError):
        registry.models.declare_contract(VersionRef("products", 9), v1.ref, Contract(PREFIX, 8))
    registry.models.declare_contract(same.ref, v1.ref, Contract(ContractKind.SAME_SPACE, 8))
    assert registry.models.contract(same.ref, v1.ref) == Contract(ContractKind.SAME_SPACE, 8)


def test_an_own_encoder_is_not_inherited(registry: Registry, v1: ModelVersion) -> None:
    """That old queries search old vectors says nothing of how a later version lines up."""
    second = declared(registry, "products", "second", dim=12)
    own = Contract(ContractKind.OWN_ENCODER, v1.dim)
    registry.models.declare_contract(second.ref, v1.ref, own)
    third = compatible(registry, "third", second, dim=14)
    assert registry.models.contract(second.ref, v1.ref) == own
    assert registry.models.contract(third.ref, second.ref) == Contract(PREFIX, 12)
    assert registry.models.contract(third.ref, v1.ref) is None


# --- artifacts that were changed


@pytest.mark.parametrize("name", ["model.safetensors", "model.json"])
@on_sqlite
def test_a_changed_artifact_is_refused(registry: Registry, tmp_path: Path, name: str) -> None:
    version = registry.register("m", artifact(tmp_path / "made")).version
    path = registry.models.artifact_directory(version) / name
    data = bytearray(path.read_bytes())
    data[-2] ^= 1
    path.write_bytes(data)
    with pytest.raises(DigestMismatchError, match="the artifact of m@1"):
        registry.models.artifact_directory(version)
    path.unlink()
    with pytest.raises(DigestMismatchError, match="missing or was changed"):
        registry.models.artifact_directory(version)


@on_sqlite
def test_canaries_that_were_slipped_in_are_noticed(registry: Registry, tmp_path: Path) -> None:
    version = registry.register("m", artifact(tmp_path / "made")).version
    (registry.models.artifact_directory(version) / "canaries.safetensors").write_bytes(b"x")
    with pytest.raises(DigestMismatchError):
        registry.models.artifact_directory(version)


def test_a_version_of_vectors_only_has_no_artifact(registry: Registry, v1: ModelVersion) -> None:
    with pytest.raises(NotFoundError, match="only its vectors are known"):
        registry.models.artifact_directory(v1)


def test_another_registry_of_the_same_place_sees_what_was_registered(
    registry: Registry, site: Site
) -> None:
    with site.open(actor="other") as second:
        version = declared(registry, "products", "one")
        assert second.models.get("products@1") == version
        assert declared(second, "products", "one") == version
        made = declared(second, "products", "two")
        assert made.created_by == "other"
        assert registry.models.get("products@2") == made
