"""JUnit XML: what turns a CI red, and the form that its readers expect."""

from __future__ import annotations

import re
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest

from compat.report import Report, render_junit
from registry.domain.certificates import Verdict
from tests.compat.report.builders import (
    GOOD,
    HOSTILE,
    NOW,
    bad_report,
    good_report,
    hostile_report,
    make_entry,
    open_report,
)

KINDS = ("failure", "error", "skipped")


def read(report: Report) -> ET.Element:
    return ET.fromstring(render_junit(report))


def outcomes(suite: ET.Element) -> dict[str, str]:
    return {
        str(case.get("name")): next((kind for kind in KINDS if case.find(kind) is not None), "ok")
        for case in suite.iter("testcase")
    }


def test_every_finding_and_control_is_a_case() -> None:
    report = good_report()
    suites = read(report).findall("testsuite")
    for suite, entry in zip(suites, report.entries, strict=True):
        made = entry.certificate
        assert list(outcomes(suite)) == [
            *(f"{f.metric} in {f.group}" for f in made.findings),
            *(f"control: {c.name}" for c in made.controls),
        ]


def test_a_compatible_version_is_green_even_if_the_way_back_is_not() -> None:
    forward, back = read(good_report()).findall("testsuite")
    assert set(outcomes(forward).values()) == {"ok"}
    assert "skipped" in outcomes(back).values()
    assert {"failure", "error"}.isdisjoint(outcomes(back).values())


@pytest.mark.parametrize(("report", "kind"), [(bad_report(), "failure"), (open_report(), "error")])
def test_incompatible_fails_and_inconclusive_is_an_error(report: Report, kind: str) -> None:
    (suite,) = read(report).findall("testsuite")
    assert kind in outcomes(suite).values()
    found = suite.find(f".//{kind}")
    assert found is not None
    assert found.get("type") == report.verdict
    assert "difference" in str(found.get("message"))
    total = read(report).get({"failure": "failures", "error": "errors"}[kind])
    assert int(str(total)) > 0


def test_a_control_that_misbehaves_is_an_error() -> None:
    entry = make_entry(GOOD)
    control = replace(entry.certificate.controls[0], found=Verdict.COMPATIBLE)
    made = replace(entry.certificate, controls=(control,))
    (suite,) = read(Report((replace(entry, certificate=made),), NOW)).findall("testsuite")
    assert outcomes(suite)["control: random model"] == "error"


@pytest.mark.parametrize("report", [good_report(), bad_report(), open_report(), hostile_report()])
def test_the_form_is_that_of_the_usual_schema(report: Report) -> None:
    """As in Jenkins' junit-10.xsd and the stricter one of Ant: attributes, order and counts."""
    root = read(report)
    assert root.tag == "testsuites"
    counts = ("tests", "failures", "errors", "skipped")
    for suite in root:
        assert suite.tag == "testsuite"
        needed = {"name", "id", "package", "hostname", "timestamp", "time", *counts}
        assert set(suite.attrib) == needed
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", str(suite.get("timestamp")))
        tags = [child.tag for child in suite]
        n_cases = tags.count("testcase")
        assert tags == ["properties", *["testcase"] * n_cases, "system-out", "system-err"]
        assert all(set(p.attrib) == {"name", "value"} for p in suite.iter("property"))
        for case in suite.iter("testcase"):
            assert set(case.attrib) == {"name", "classname", "time"}
            assert [child.tag for child in case] in ([], *([kind] for kind in KINDS))
        found = list(outcomes(suite).values())
        assert len(found) <= n_cases == int(str(suite.get("tests")))
    for name in counts:
        assert int(str(root.get(name))) == sum(int(str(suite.get(name))) for suite in root)


def test_names_from_outside_are_values() -> None:
    text = render_junit(hostile_report())
    assert "<script" not in text
    shown = HOSTILE.replace("\x07", "\ufffd").replace("\u202e", "\ufffd")
    names = [str(case.get("name")) for case in ET.fromstring(text).iter("testcase")]
    assert all(shown in name for name in names)


def test_a_dry_run_names_no_certificate() -> None:
    report = replace(bad_report(), is_dry_run=True)
    properties = {p.get("name"): p.get("value") for p in read(report).iter("property")}
    assert properties["certificate"] == "none: dry run"
    assert properties["needed_for_promotion"] == "True"
