"""Thresholds from the shell: asked for, measured, refused, replayed and reported."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.cli.worlds import CERTIFY, NEW_DIM, OLD_DIM, Run, float32, snapshot

RANKINGS = """
n_resamples = 400

[[requirements]]
metric = "mAP"
criterion = "non-inferiority"
margin = 0.2
"""
INNER = tuple("inner" if word == "shop" else word for word in CERTIFY)


def asking(tmp_path: Path, *metrics: str, margin: float = 0.2) -> None:
    rules = [
        f'[[requirements]]\nmetric = "{metric}"\ncriterion = "non-inferiority"\nmargin = {margin}\n'
        for metric in metrics
    ]
    (tmp_path / "policy.toml").write_text("\n".join([RANKINGS, *rules]))


def test_thresholds_are_measured_certified_and_told(shop: Run, tmp_path: Path) -> None:
    asking(tmp_path, "TAR@FAR=0.06", "TPIR@FPIR=0.3", "TAR@score=0.5", "FAR<=2x@score=0.5")
    found = shop(*CERTIFY, "--report", "it.html")
    assert found.code == 0
    for words in (
        "TPIR@FPIR=0.3",
        "FAR<=2x@score=",  # folded
        "thresholds: measured, no claims with a bound",
        "times as many",
        "Of FAR<=rx the value before is what it allows",
    ):
        assert words in found.out
    data = shop(*CERTIFY, "--json").data["certificates"][0]
    points = data["operating_points"]["products@2 -> products@1"]
    assert [point["name"] for point in points] == ["FAR=0.06", "FPIR=0.3", "score=0.5"]
    assert [len(point["halves"]) for point in points] == [2, 2, 0]
    assert shop("certificate", "replay", data["digest"]).out.startswith("REPLAYED")
    assert "Scores and thresholds" in (tmp_path / "it.html").read_text("utf-8")
    assert "TAR@FAR=0.06" in shop("certificate", "show", data["digest"]).out
    markdown = shop("report", "shop", "--format", "markdown").out
    assert "Thresholds and false accepts, measured" in markdown


def test_scores_that_shift_under_a_deployed_threshold_are_caught(shop: Run, tmp_path: Path) -> None:
    """Half the scores, the same rankings: what was deployed accepts hardly anybody any more."""
    old = np.load(tmp_path / "queries_old.npy")
    half = np.hstack([old / 2, np.ones((len(old), NEW_DIM - OLD_DIM))])
    np.save(tmp_path / "queries_new.npy", float32(half))
    made = ("gallery", "create", "inner", "products@1", "--metric", "inner-product")
    assert shop(*made).code == 0
    assert (
        shop("gallery", "add", "inner", "--vectors", "items.npy", "--ids", "item_ids.txt").code == 0
    )
    asking(tmp_path, "TAR@FAR=0.06")
    assert shop(*INNER, "--dry-run").code == 0
    threshold = float(np.quantile((old @ np.load(tmp_path / "items.npy").T).max(axis=1), 0.02))
    asking(tmp_path, f"TAR@score={threshold:.2f}", margin=0.1)
    found = shop(*INNER, "--dry-run", "--json")
    assert found.code == 1
    verdicts = {f["metric"]: f["verdict"] for f in found.data["certificates"][0]["findings"]}
    assert list(verdicts.values()) == ["COMPATIBLE", "INCOMPATIBLE"]


@pytest.mark.parametrize(
    ("metric", "words", "hint"),
    [
        (
            "TAR@FAR=0.001",
            "a FAR of 0.0566 or more: 60 independent units, 28320 impostor pairs",
            "ask for TAR@FAR=0.0566, or measure on at least 3492 units and 30000 impostor pairs",
        ),
        (
            "TPIR@FPIR=0.01",
            "a FPIR of 0.25 or more: 60 independent units, 120 searches",
            "measure on at least 348 units and 3000 searches",
        ),
        ("FNIR@FPIR=0.3", "in a policy larger is better", "write TPIR@FPIR=0.3: TPIR is 1 - FNIR"),
        ("TAR@score=62", "under cosine a score is in [-1, 1]", "as a search gives its scores"),
        ("TAR@FAR", "no metric is named 'TAR@FAR'", "TAR@FAR=f"),
    ],
)
def test_what_cannot_be_shown_is_one_line_and_nothing_is_recorded(
    shop: Run, tmp_path: Path, metric: str, words: str, hint: str
) -> None:
    asking(tmp_path, metric)
    before = snapshot(tmp_path)
    found = shop(*CERTIFY, "--report", "it.html")
    assert found.code == 2
    assert words in found.error.splitlines()[0]
    assert hint in found.error.splitlines()[1]
    assert "takes about" not in found.err  # nothing is planned that cannot be measured
    assert snapshot(tmp_path) == before


def test_a_policy_that_a_model_which_finds_nothing_would_meet_is_refused(
    cli: Run, tmp_path: Path
) -> None:
    rule = 'metric = "TRR@score=0.5"\ncriterion = "non-inferiority"\nmargin = 0.01\n'
    (tmp_path / "policy.toml").write_text(f"[[requirements]]\n{rule}")
    found = cli("policy", "check", "policy.toml")
    assert found.code == 2
    assert "alone is met by a model that finds nothing" in found.error
    asking(tmp_path, "TRR@score=0.5", margin=0.01)
    said = cli("policy", "check", "policy.toml").out
    assert "  TRR@score=0.5 not worse by more than 0.01" in said
