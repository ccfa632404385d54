"""Tables in HTML: a caption, headed columns, and rows that may be wider than a phone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .text import Html, join, tag


def table(caption: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Html:
    """Return a table whose first cell in each row names the row.

    Columns whose name begins with ``#`` are right-aligned numbers.
    """
    head = [
        tag("th", name.removeprefix("#"), {"scope": "col"} | _alignment(name)) for name in columns
    ]
    body = [tag("tr", join(_row(columns, row), "")) for row in rows]
    content = (
        tag("caption", caption),
        tag("thead", tag("tr", join(head, ""))),
        tag("tbody", join(body)),
    )
    return _scrolled(caption, tag("table", join(content)))


def facts(caption: str, rows: Iterable[tuple[str, object]]) -> Html:
    """Return a table of named facts."""
    body = [
        tag("tr", join((tag("th", name, {"scope": "row"}), tag("td", value)), ""))
        for name, value in rows
    ]
    content = (tag("caption", caption), tag("tbody", join(body)))
    return _scrolled(caption, tag("table", join(content), {"class": "facts"}))


def _row(columns: Sequence[str], row: Sequence[object]) -> list[Html]:
    first, *others = row
    cells = [tag("th", first, {"scope": "row"} | _alignment(columns[0]))]
    return cells + [
        tag("td", value, _alignment(name)) for name, value in zip(columns[1:], others, strict=True)
    ]


def _alignment(column: str) -> dict[str, object]:
    return {"class": "number"} if column.startswith("#") else {}


def _scrolled(caption: str, content: Html) -> Html:
    shape = {"class": "scroll", "tabindex": 0, "role": "region", "aria-label": caption}
    return tag("div", content, shape)
