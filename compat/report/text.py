"""Text that may go into a document: escaped once, by type, wherever it came from."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping

from registry.domain.certificates import Criterion, Finding, Verdict

# what XML cannot hold, and marks that change the direction in which a line is read
_UNFIT = re.compile(
    "[\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f-\\x9f\\ud800-\\udfff\\ufffe\\uffff"
    "\\u200e\\u200f\\u202a-\\u202e\\u2066-\\u2069]"
)

SYMBOLS = {Verdict.COMPATIBLE: "✓", Verdict.INCOMPATIBLE: "✗", Verdict.INCONCLUSIVE: "?"}


class Html(str):
    """Markup that was made here. Any other text is escaped before it becomes part of one."""

    __slots__ = ()


def plain(value: object) -> str:
    """Return a value as text without characters that a document cannot hold or show."""
    return _UNFIT.sub("\ufffd", str(value))


def escape(value: object) -> Html:
    """Return a value as markup: as it is if it is markup already, escaped otherwise."""
    return value if isinstance(value, Html) else Html(html.escape(plain(value)))


def join(parts: Iterable[object], separator: str = "\n") -> Html:
    """Return several values as one piece of markup."""
    return Html(separator.join(escape(part) for part in parts))


def tag(name: str, content: object = "", attributes: Mapping[str, object] | None = None) -> Html:
    """Return an element; its content and its attributes are escaped."""
    given = "".join(f' {key}="{escape(value)}"' for key, value in (attributes or {}).items())
    return Html(f"<{name}{given}>{escape(content)}</{name}>")


def signed(value: float) -> str:
    """Return a difference, with a real minus sign."""
    return f"{value:+.4f}".replace("-", "−")


def percent(share: float) -> str:
    """Return a share of 1 in per cent."""
    return f"{100 * share:.1f} %"


def required(finding: Finding) -> str:
    """Return what a finding had to show."""
    if finding.criterion is Criterion.SUPERIORITY:
        return "above 0"
    return f"not below −{finding.margin:g}" if finding.margin else "not below 0"
