"""Reports as files: with the certification, and later from the registry."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from registry.errors import StorageError
from tests.cli.worlds import CERTIFY, Run, snapshot

RANDOM = tuple(word.replace("queries_new", "queries_random") for word in CERTIFY)
FILES = ("--report", "r.html", "--markdown", "r.md", "--junit", "r.xml")
WRITTEN = {"html": "r.html", "markdown": "r.md", "junit": "r.xml"}


@pytest.mark.parametrize(
    ("words", "verdict", "code"), [(CERTIFY, "COMPATIBLE", 0), (RANDOM, "INCOMPATIBLE", 1)]
)
def test_certifying_writes_what_was_asked_for(
    shop: Run, tmp_path: Path, words: tuple[str, ...], verdict: str, code: int
) -> None:
    found = shop(*words, *FILES, "--json").data
    assert (found["reports"], found["exit_code"]) == (WRITTEN, code)
    digest = found["certificates"][0]["digest"]
    page, text, xml = ((tmp_path / name).read_text("utf-8") for name in WRITTEN.values())
    assert f"<title>{verdict}: May products@2" in page
    assert f" {verdict}: May products" in text.splitlines()[0]
    assert (ET.fromstring(xml).get("failures") == "0") == (code == 0)
    assert all(digest in document for document in (page, text, xml))
    assert not [path for path in tmp_path.iterdir() if path.name.endswith(".tmp")]


def test_people_are_told_where_it_is(shop: Run) -> None:
    assert shop(*CERTIFY, "--report", "r.html").out.endswith("wrote r.html\n")
    assert "wrote" not in shop(*CERTIFY).out
    assert shop(*CERTIFY, "--json").data["reports"] == {}


def test_a_dry_run_writes_reports_that_say_so(shop: Run, tmp_path: Path) -> None:
    before = snapshot(tmp_path)
    assert shop(*CERTIFY, *FILES, "--dry-run").code == 0
    for name in WRITTEN.values():
        assert "ry run" in (tmp_path / name).read_text("utf-8")
        (tmp_path / name).unlink()
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("option", ["--report", "--markdown", "--junit"])
def test_a_folder_that_is_missing_is_told_before_anything_is_measured(
    shop: Run, tmp_path: Path, option: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def measured(*_: object, **__: object) -> None:
        pytest.fail("it was measured")

    monkeypatch.setattr("compat.workflow.certifying.certify", measured)
    before = snapshot(tmp_path)
    found = shop(*CERTIFY, option, "missing/r.html")
    assert found.code == 2
    assert f"Invalid value for '{option}': there is no folder 'missing'" in found.error
    assert shop("report", "shop", "-o", "missing/r.html").code == 2
    assert snapshot(tmp_path) == before


def test_what_cannot_be_written_leaves_the_old_file_and_the_certificate(
    shop: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "r.html").write_text("old")

    def full(_self: Path, _target: Path) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", full)
        found = shop(*CERTIFY, "--report", "r.html")
    assert found.code == StorageError.exit_code
    assert "cannot write the report r.html: No space left on device" in found.error
    assert (tmp_path / "r.html").read_text() == "old"
    assert not list(tmp_path.glob(".r.html*"))
    assert shop("report", "shop", "-o", "r.html").code == 0


def test_the_registry_writes_it_later(shop: Run, tmp_path: Path) -> None:
    shop(*CERTIFY, *FILES)
    for form, name in WRITTEN.items():
        found = shop("report", "shop", "-o", f"later-{name}", "--json").data
        assert (found["format"], found["verdict"]) == (form, "COMPATIBLE")
        first, later = ((tmp_path / n).read_text("utf-8") for n in (name, f"later-{name}"))
        assert first.partition("<footer>")[0] == later.partition("<footer>")[0]


def test_the_format_may_be_said_and_no_file_means_stdout(shop: Run) -> None:
    shop(*CERTIFY)
    assert shop("report", "shop", "--format", "junit").out.startswith("<?xml")
    assert shop("report", "shop", "--format", "markdown").out.startswith("## ✓ COMPATIBLE")
    assert shop("report", "shop").out.startswith("<!DOCTYPE html>")
    assert shop("report", "shop", "-o", "x.md", "--format", "html", "--json").data["format"] == (
        "html"
    )
    refused = shop("report", "shop", "--json")
    assert refused.code == 2


def test_one_certificate_by_the_beginning_of_its_digest(shop: Run) -> None:
    first = shop(*CERTIFY, "--json").data["certificates"][0]["digest"]
    shop(*RANDOM)
    assert "INCOMPATIBLE" in shop("report", "shop", "--format", "markdown").out.splitlines()[0]
    found = shop("report", "shop", "--certificate", first[:12], "-o", "r.html", "--json").data
    assert (found["certificates"], found["verdict"]) == ([first], "COMPATIBLE")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("nowhere",), "no gallery is named 'nowhere'"),
        (("shop",), "gallery 'shop' holds no certificate"),
        (("shop", "--certificate", "abc"), "no certificate begins with 'abc'"),
    ],
)
def test_what_is_not_there_is_told_in_one_line(
    shop: Run, words: tuple[str, ...], said: str
) -> None:
    found = shop("report", *words)
    assert found.code == 2
    assert said in found.error


def test_evidence_with_a_flipped_bit_makes_no_report(shop: Run, tmp_path: Path) -> None:
    shop(*CERTIFY)
    (path,) = (tmp_path / ".samespace" / "certificates" / "shop").iterdir()
    data = path.read_bytes()
    path.write_bytes(data[:-9] + bytes([data[-9] ^ 1]) + data[-8:])
    found = shop("report", "shop", "-o", "r.html")
    assert found.code == 6
    assert "is not the file that was recorded" in found.error
    assert not (tmp_path / "r.html").exists()
