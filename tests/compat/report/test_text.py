from __future__ import annotations

from dataclasses import replace

import pytest

from compat.report.text import Html, escape, join, percent, plain, required, signed, tag
from registry.domain.certificates import Criterion
from tests.compat.report.builders import GOOD, make_entry


def test_text_is_escaped_and_markup_is_not_escaped_again() -> None:
    assert tag("b", "<i>&\"'") == "<b>&lt;i&gt;&amp;&quot;&#x27;</b>"
    assert tag("p", tag("b", "a & b")) == "<p><b>a &amp; b</b></p>"
    assert escape(Html("<b>")) == "<b>"
    assert join(("<", Html("<br>")), "") == "&lt;<br>"


def test_no_attribute_can_be_left_by_its_value() -> None:
    made = tag("a", "x", {"href": '" onclick="alert(1)', "n": 3})
    assert made == '<a href="&quot; onclick=&quot;alert(1)" n="3">x</a>'


@pytest.mark.parametrize("unfit", ["\x00", "\x1b", "\ud800", "\ufffe", "\u202e", "\u2066", "\x85"])
def test_letters_that_no_document_can_hold_or_show_are_replaced(unfit: str) -> None:
    assert plain(f"a{unfit}b") == "a\ufffdb"
    plain(unfit).encode("utf-8")


def test_tabs_breaks_and_foreign_letters_stay() -> None:
    assert plain("a\tb\nç 漢 ✓") == "a\tb\nç 漢 ✓"


def test_numbers_have_a_sign_that_is_not_a_hyphen() -> None:
    assert (signed(-0.5), signed(0.25), percent(0.1234)) == ("−0.5000", "+0.2500", "12.3 %")


@pytest.mark.parametrize(("margin", "said"), [(0.0, "not below 0"), (0.02, "not below −0.02")])
def test_a_margin_of_nothing_has_no_sign(margin: float, said: str) -> None:
    found = make_entry(GOOD).certificate.findings[-1]
    assert found.criterion is Criterion.NON_INFERIORITY
    assert required(replace(found, margin=margin)) == said
