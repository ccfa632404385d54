from __future__ import annotations

from compat.report.heat_map import between_versions, versions_of


def test_only_pairs_of_versions_are_on_the_map() -> None:
    means = {"all": {"mAP": 0.5}}
    cells = ("p@2 -> p@1", "p@2 -> mixed 25%", "p@2 -> p@1 (served: faiss IVF4,Flat)")
    matrix = dict.fromkeys(cells, means)
    assert list(between_versions(matrix)) == ["p@2 -> p@1"]
    assert versions_of(matrix)[1][-1] == "mixed 25%"
