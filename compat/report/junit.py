"""The report as JUnit XML: one test case for every finding and every planted control.

INCOMPATIBLE is a failure. INCONCLUSIVE is an error, as is a control that misbehaves: the test came
to no result, and a CI goes red on it as on a failure. What is wrong with the way back is skipped
with its verdict, because promotion does not need it and the exit code does not count it.
"""

from __future__ import annotations

from xml.etree import ElementTree as ET

from registry.domain.certificates import Control, Finding, Verdict
from registry.domain.conclusions import LEAKAGE

from . import words
from .contents import Entry, Report
from .text import plain, required, signed


def render_junit(report: Report) -> str:
    """Return the XML document, in the form that Jenkins, GitLab and GitHub's actions read."""
    suites = [_suite(place, entry, report) for place, entry in enumerate(report.entries)]
    root = ET.Element("testsuites", {"name": plain(words.title(report)), **_totals(suites)})
    root.extend(suites)
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _suite(place: int, entry: Entry, report: Report) -> ET.Element:
    is_needed = any(entry is claim for claim in report.claims)
    cases = [_finding(entry, found, is_needed=is_needed) for found in entry.certificate.findings]
    cases += [_control(entry, one, is_needed=is_needed) for one in entry.certificate.controls]
    suite = ET.Element(
        "testsuite",
        {
            "name": plain(words.heading(entry)),
            "id": str(place),
            "package": "samespace",
            "hostname": "localhost",
            "timestamp": f"{entry.certificate.issued_at:%Y-%m-%dT%H:%M:%S}",
            "time": "0",
            **_counts(cases),
        },
    )
    properties = ET.SubElement(suite, "properties")
    for name, value in _properties(entry, report).items():
        ET.SubElement(properties, "property", {"name": name, "value": plain(value)})
    suite.extend(cases)
    ET.SubElement(suite, "system-out").text = plain(entry.certificate.statement)
    ET.SubElement(suite, "system-err")
    return suite


def _finding(entry: Entry, found: Finding, *, is_needed: bool) -> ET.Element:
    case = _case(entry, f"{found.what} in {found.group}")
    said = (
        f"{found.verdict}: {found.what} in {found.group} went from {found.baseline:.4f} to "
        f"{found.candidate:.4f}, difference {signed(found.difference)}, bounds {signed(found.low)} "
        f"and {signed(found.high)}, required {required(found)}"
    )
    if found.verdict is not Verdict.COMPATIBLE:
        kind = "failure" if found.verdict is Verdict.INCOMPATIBLE else "error"
        _complain(case, kind if is_needed else "skipped", found.verdict, said)
    return case


def _control(entry: Entry, control: Control, *, is_needed: bool) -> ET.Element:
    case = _case(entry, f"control: {control.name}")
    if not control.is_passed:
        said = f"the control must be {control.expected} but was {control.found}"
        if control.name == LEAKAGE:
            said = f"{said}: {words.leakage(entry)}"
        _complain(case, "error" if is_needed else "skipped", control.found, said)
    return case


def _case(entry: Entry, name: str) -> ET.Element:
    place = f"samespace.{entry.certificate.gallery}.{entry.cell}"
    return ET.Element("testcase", {"name": plain(name), "classname": plain(place), "time": "0"})


def _complain(case: ET.Element, kind: str, verdict: Verdict, text: str) -> None:
    found = ET.SubElement(case, kind, {"message": plain(text)})
    if kind != "skipped":
        found.set("type", verdict.value)
        found.text = plain(text)


def _properties(entry: Entry, report: Report) -> dict[str, object]:
    made = entry.certificate
    return {
        "verdict": made.verdict,
        "certificate": "none: dry run" if report.is_dry_run else made.digest,
        "evidence": made.evidence_digest,
        "expires_at": made.expires_at.isoformat(),
        "state": entry.staleness or "holds",
        "needed_for_promotion": not entry.is_rollback,
        "leaked_queries": "not checked" if entry.leaks is None else len(entry.leaks.leaks),
    }


def _counts(cases: list[ET.Element]) -> dict[str, str]:
    kinds = {"failures": "failure", "errors": "error", "skipped": "skipped"}
    found = {name: sum(c.find(kind) is not None for c in cases) for name, kind in kinds.items()}
    return {"tests": str(len(cases)), **{name: str(n) for name, n in found.items()}}


def _totals(suites: list[ET.Element]) -> dict[str, str]:
    names = ("tests", "failures", "errors", "skipped")
    return {name: str(sum(int(suite.get(name, "0")) for suite in suites)) for name in names}
