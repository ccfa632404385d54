from __future__ import annotations

import pytest

from registry.domain.certificates import Criterion
from registry.domain.policies import Policy
from registry.domain.requirements import Requirement
from registry.domain.score_metrics import parse_score_metric
from registry.errors import InvalidInputError


@pytest.mark.parametrize(
    ("name", "measured", "value", "ratio"),
    [
        ("TAR@FAR=0.01", "TAR@FAR=0.01", 0.01, None),
        ("TPIR@FPIR=1e-3", "TPIR@FPIR=1e-3", 0.001, None),
        ("TAR@score=-1.5", "TAR@score=-1.5", -1.5, None),
        ("TRR@score=.62", "TRR@score=.62", 0.62, None),
        ("FAR<=1.5x@score=0.62", "TRR@score=0.62", 0.62, 1.5),
        ("FAR<=1x@score=0", "TRR@score=0", 0.0, 1.0),
    ],
)
def test_what_can_be_required(name: str, measured: str, value: float, ratio: float | None) -> None:
    found = parse_score_metric(name)
    assert found is not None
    assert (found.measured, found.value, found.max_ratio) == (measured, value, ratio)
    assert found.point == name.partition("@")[2]
    assert found.is_about_rejecting == measured.startswith("TRR")
    assert Requirement(name, Criterion.NON_INFERIORITY, 0.01).metric == name


@pytest.mark.parametrize(
    "name",
    [
        *("mAP", "hit@1", "TAR", "TAR@", "TAR@0.01", "TAR@FAR=", "TAR@FAR=x", "TAR@FAR=nan"),
        *("TAR@FPIR=0.1", "TPIR@FAR=0.1", "TRR@FAR=0.1", "FAR<=2x@FAR=0.1", "TAR<=2x@score=1"),
        "FAR<=x@score=1",
    ],
)
def test_other_names_mean_nothing(name: str) -> None:
    assert parse_score_metric(name) is None


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("FNIR@FPIR=0.01", "TPIR@FPIR=0.01: TPIR is 1 - FNIR"),
        ("FNMR@FMR=0.01", "TAR@FAR=0.01: TAR is 1 - FNMR"),
        ("FRR@FAR=0.01", "TAR@FAR=0.01: TAR is 1 - FRR"),
        ("FNMR@score=0.6", "TAR@score=0.6: TAR is 1 - FNMR"),
        ("FMR@score=0.6", "TRR@score=0.6: TRR is 1 - FMR"),
        ("FAR@score=0.6", "TRR@score=0.6: TRR is 1 - FAR"),
    ],
)
def test_error_rates_are_refused_with_the_name_to_use(name: str, instead: str) -> None:
    rule = {"metric": name, "criterion": "non-inferiority", "margin": 0.1}
    with pytest.raises(InvalidInputError, match="in a policy larger is better") as caught:
        Policy.from_json({"requirements": [rule]})
    assert caught.value.hint == f"write {instead}"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("TAR@FAR=0", r"must be in \(0, 1\), not 0"),
        ("TAR@FAR=1", r"must be in \(0, 1\), not 1"),
        ("TPIR@FPIR=-0.1", r"must be in \(0, 1\), not -0.1"),
        ("TAR@score=1e999", "must be finite, not 1e999"),
        ("FAR<=0.5x@score=0.6", r"ratio must be in \[1, 1000\], not 0.5"),
    ],
)
def test_numbers_out_of_range_are_refused(name: str, says: str) -> None:
    with pytest.raises(InvalidInputError, match=says):
        Requirement(name, Criterion.SUPERIORITY)


def test_a_ratio_is_said_in_words_that_fit_it() -> None:
    margins = {0.0: "FAR<=2x@score=0.6", 0.01: "FAR<=2x@score=0.6, missed by at most 0.01"}
    for margin, said in margins.items():
        assert str(Requirement("FAR<=2x@score=0.6", Criterion.NON_INFERIORITY, margin)) == said
