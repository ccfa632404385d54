from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from registry import Embeddings, ModelVersion, PromotionOptions, Registry, SpaceDescription
from registry.arrays import Float32Array
from registry.errors import (
    DimensionMismatchError,
    InvalidInputError,
    NotFoundError,
    SpaceMismatchError,
)
from registry.integrations.retriever import Checks, GalleryRetriever, Retrieved, take_canaries
from registry.vector_files import write_vectors
from tests.registry.service.builders import compatible, vector_of

DIM = 32
TEXTS = [f"text {i}" for i in range(300)]
CANARIES = ["a short one", "a longer one, with a comma", "ünïcödé"]
_SPECTRUM = np.linspace(2, 0.2, DIM) ** 2  # directions that the model uses more and less


@dataclass
class Provider:
    """Embeds texts, until somebody changes it."""

    turn: Float32Array = field(default_factory=lambda: np.eye(DIM, dtype=np.float32))
    n_texts: int = 0

    def __call__(self, texts: Sequence[str]) -> Float32Array:
        self.n_texts += len(texts)
        rows = np.array([vector_of(text, DIM) * _SPECTRUM for text in texts])
        return np.asarray(rows @ self.turn, np.float32)

    def becomes_another(self) -> None:
        turned, _ = np.linalg.qr(np.random.default_rng(3).normal(size=(DIM, DIM)))
        self.turn = turned.astype(np.float32)

    def changes_a_little(self, by: float) -> None:
        self.turn = np.eye(DIM, dtype=np.float32) * np.float32(1 + by)


class LangChainStyle:
    def __init__(self, provider: Provider) -> None:
        self.provider = provider

    def embed_query(self, text: str) -> list[float]:
        return [float(x) for x in self.provider([text])[0]]

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        raise AssertionError(f"queries are no documents: {texts}")


@pytest.fixture
def provider() -> Provider:
    return Provider()


@pytest.fixture
def v1(registry: Registry) -> ModelVersion:
    space = SpaceDescription({}, {}, normalised=False, dim=DIM)
    return registry.models.register_vectors("notes", space, {"made_by": "provider"}).version


@pytest.fixture
def notes(registry: Registry, v1: ModelVersion) -> str:
    registry.galleries.create("notes", v1.ref)
    registry.add("notes", Embeddings(np.array(TEXTS), Provider()(TEXTS), v1))
    return "notes"


def fetch(ids: Sequence[int | str]) -> list[str]:
    return [f"document of {item}" for item in ids]


Make = Callable[..., GalleryRetriever[str]]


@pytest.fixture
def make(registry: Registry, notes: str, v1: ModelVersion, provider: Provider) -> Make:
    def made(embed: Any = provider, **options: Any) -> GalleryRetriever[str]:
        given = {"version": v1.ref, "fetch": fetch, **options}
        return GalleryRetriever(registry, notes, embed, **given)

    return made


def test_the_nearest_documents_come_best_first(make: Make, v1: ModelVersion) -> None:
    found = make().retrieve("text 7", k=3)
    assert len(found) == 3
    best = found[0]
    assert best == Retrieved("text 7", best.score, v1.ref, "document of text 7")
    assert best.score == pytest.approx(1)
    assert found[0].score >= found[1].score >= found[2].score
    assert make().invoke("text 7", k=3) == [one.document for one in found]
    assert len(make().invoke("text 7")) == 4


def test_what_langchain_calls_embeddings_will_do(make: Make, provider: Provider) -> None:
    assert make(LangChainStyle(provider)).retrieve("text 9", k=1)[0].id == "text 9"
    assert make(lambda texts: provider(texts).tolist()).invoke("text 9", k=1) == [
        "document of text 9"
    ]


def test_hits_of_older_versions_say_so(
    registry: Registry, notes: str, v1: ModelVersion, provider: Provider
) -> None:
    v2 = compatible(registry, "two", v1, dim=DIM)
    registry.promote(notes, v2.ref, PromotionOptions(waiver="a test"))
    registry.add(notes, Embeddings(np.array(["new"]), provider(["new"]), v2))
    made = GalleryRetriever(registry, notes, provider, version="notes:champion", fetch=list)
    assert [(one.id, one.version) for one in made.retrieve("new", k=1)] == [("new", v2.ref)]
    assert made.retrieve("text 3", k=1)[0].version == v1.ref


def test_a_promotion_to_another_version_is_noticed_at_once(
    registry: Registry, notes: str, make: Make, v1: ModelVersion
) -> None:
    made = make()
    v2 = compatible(registry, "two", v1, dim=DIM)
    registry.promote(notes, v2.ref, PromotionOptions(waiver="a test"))
    with pytest.raises(SpaceMismatchError, match="is queried by notes@2, not by notes@1"):
        made.retrieve("text 1")
    with pytest.raises(SpaceMismatchError, match="is queried by notes@2, not by notes@1"):
        make()
    registry.rollback(notes)
    assert made.retrieve("text 1", k=1)[0].id == "text 1"


def test_what_does_not_exist_is_named(make: Make, registry: Registry, provider: Provider) -> None:
    with pytest.raises(NotFoundError, match="notes@9"):
        make(version="notes@9")
    with pytest.raises(NotFoundError, match="other"):
        GalleryRetriever(registry, "other", provider, version="notes@1", fetch=fetch)


# --- canaries


def test_canaries_are_embedded_again_at_first_and_every_so_many_queries(
    make: Make, v1: ModelVersion, provider: Provider
) -> None:
    canaries = take_canaries(provider, CANARIES, v1)
    provider.n_texts = 0
    made = make(checks=Checks(canaries, every=3))
    assert provider.n_texts == 3
    for _ in range(7):
        made.retrieve("text 1")
    assert provider.n_texts == 3 + 7 + 2 * 3


def test_a_model_that_became_another_is_refused_from_the_next_check_on(
    make: Make, v1: ModelVersion, provider: Provider
) -> None:
    canaries = take_canaries(provider, CANARIES, v1)
    made = make(checks=Checks(canaries, every=3))
    provider.becomes_another()
    for _ in range(2):
        made.retrieve("text 1")
    for _ in range(2):  # and it goes on being refused
        with pytest.raises(SpaceMismatchError, match="is not notes@1 any more: canary") as caught:
            made.retrieve("text 1")
    assert "pin what it was" in str(caught.value.hint)
    with pytest.raises(SpaceMismatchError, match=r"of its length, more than 0\.05"):
        make(checks=Checks(canaries))
    provider.turn = np.eye(DIM, dtype=np.float32)
    assert made.retrieve("text 1", k=1)[0].id == "text 1"


@pytest.mark.parametrize(("by", "is_refused"), [(0.0, False), (0.01, False), (0.1, True)])
def test_rounding_is_no_other_model(
    make: Make, v1: ModelVersion, provider: Provider, by: float, is_refused: bool
) -> None:
    canaries = take_canaries(provider, CANARIES, v1)
    provider.changes_a_little(by)
    if is_refused:
        with pytest.raises(SpaceMismatchError, match=r"is off by 0.1 of its length"):
            make(checks=Checks(canaries))
        make(checks=Checks(canaries, tolerance=0.2))
    else:
        make(checks=Checks(canaries))


def test_canaries_are_kept_in_a_file_that_names_its_space(
    make: Make, v1: ModelVersion, provider: Provider, tmp_path: Path
) -> None:
    write_vectors(tmp_path / "canaries.parquet", take_canaries(provider, CANARIES, v1))
    table = pq.read_table(tmp_path / "canaries.parquet")
    canaries = Embeddings.from_arrow(table, v1)
    assert canaries.ids.tolist() == CANARIES
    make(checks=Checks(canaries))
    other = replace(v1, fingerprint="declared:another")
    with pytest.raises(SpaceMismatchError, match="says it was made by notes@1"):
        Embeddings.from_arrow(table, other)
    with pytest.raises(SpaceMismatchError, match="canaries were taken of notes@1"):
        make(checks=Checks(replace(canaries, version=other)))


def test_canaries_pass_through_the_door_of_queries(
    make: Make, v1: ModelVersion, provider: Provider
) -> None:
    style = LangChainStyle(provider)
    make(style, checks=Checks(take_canaries(style, CANARIES, v1)))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"every": 0}, "after 1 query or more"),
        ({"tolerance": 0.0}, "tolerance between 0 and 1"),
        ({"tolerance": float("nan")}, "tolerance between 0 and 1"),
    ],
)
def test_checks_that_check_nothing_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInputError, match=words):
        Checks(**options)


def test_canaries_that_are_none_are_refused(v1: ModelVersion, provider: Provider) -> None:
    none = Embeddings(np.array([], object), np.empty((0, DIM), np.float32), v1)
    numbered = Embeddings.numbered(provider(["a"]), v1)
    for wrong in (none, numbered):
        with pytest.raises(InvalidInputError, match="with the texts as ids"):
            Checks(wrong)
    with pytest.raises(InvalidInputError, match="all zero"):
        Checks(Embeddings(np.array(["a"]), np.zeros((1, DIM), np.float32), v1))
    with pytest.raises(InvalidInputError, match="more than once"):
        take_canaries(provider, ["a", "a"], v1)
    with pytest.raises(InvalidInputError, match="there are no texts"):
        take_canaries(provider, [], v1)


# --- without canaries


def test_another_model_is_noticed_by_the_space_of_its_queries(
    make: Make, provider: Provider
) -> None:
    made = make(checks=Checks(every=140))
    for i in range(140):  # of one model: there is nothing to notice
        made.retrieve(f"question {i}", k=1)
    provider.becomes_another()
    for i in range(139):
        made.retrieve(f"question {i}", k=1)
    for _ in range(2):  # and it goes on being refused
        with pytest.raises(
            SpaceMismatchError, match="the latest queries: the vectors do not"
        ) as no:
            made.retrieve("text 1", k=1)
        assert "pin what it was" in str(no.value.hint)


def test_few_queries_say_nothing_of_their_space(make: Make, provider: Provider) -> None:
    made = make(checks=Checks(every=1))
    provider.becomes_another()
    for i in range(100):
        made.retrieve(f"question {i}", k=1)


def test_it_says_what_it_can_notice(
    registry: Registry, make: Make, v1: ModelVersion, notes: str, provider: Provider
) -> None:
    canaries = take_canaries(provider, CANARIES, v1)
    assert make().checked_by == ("recent queries", "dimensions")
    assert make(checks=Checks(canaries)).checked_by == ("canaries", "recent queries", "dimensions")
    v2 = compatible(registry, "two", v1, dim=DIM)
    registry.promote(notes, v2.ref, PromotionOptions(waiver="a test"))
    assert make(version=v2.ref).checked_by == ("dimensions",)


# --- what users hand over


@pytest.mark.parametrize(
    ("embed", "kind", "words"),
    [
        (lambda _: np.ones((1, DIM + 1)), DimensionMismatchError, "have 33 dimensions but .* 32"),
        (lambda _: np.ones((2, DIM)), InvalidInputError, r"shape \(2, 32\) for 1 texts"),
        (lambda _: np.ones(DIM), InvalidInputError, r"shape \(32,\) for 1 texts"),
        (lambda _: ["vector"], InvalidInputError, "embed gave no vectors: ValueError"),
        (lambda _: None, InvalidInputError, "embed gave no vectors: TypeError"),
        (lambda _: [[np.nan] * DIM], InvalidInputError, "NaN or Inf"),
        (lambda _: [[1e300] * DIM], InvalidInputError, "NaN or Inf"),
        (lambda _: np.zeros((1, DIM)), InvalidInputError, "all zero"),
    ],
)
def test_what_embed_gives_is_checked(
    make: Make, embed: Any, kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind, match=words):
        make(embed).retrieve("text 1")


def test_an_error_of_the_provider_is_its_own(make: Make) -> None:
    def broken(texts: Sequence[str]) -> Float32Array:
        raise ConnectionError("no route")

    with pytest.raises(ConnectionError, match="no route"):
        make(broken).retrieve("text 1")


def test_a_document_is_needed_for_each_hit(make: Make) -> None:
    with pytest.raises(InvalidInputError, match="fetch gave 0 documents for 4 ids"):
        make(fetch=lambda _: []).retrieve("text 1")


def test_more_documents_than_items_are_refused(make: Make) -> None:
    with pytest.raises(InvalidInputError, match="k is 301 but only 300"):
        make().retrieve("text 1", k=301)


def test_several_threads_may_retrieve(make: Make, v1: ModelVersion, provider: Provider) -> None:
    made = make(checks=Checks(take_canaries(provider, CANARIES, v1), every=5))
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda text: made.retrieve(text, k=1)[0].id, TEXTS[:60]))
    assert found == TEXTS[:60]
