"""The compatibility matrix as a heat map: query version by gallery version."""

from __future__ import annotations

import re
from collections.abc import Collection

from .contents import Matrix
from .svg import figure
from .text import Html, join, tag

Rgb = tuple[float, float, float]

_STOPS: tuple[Rgb, ...] = ((241, 246, 252), (106, 163, 216), (12, 59, 117))
_INKS = {"#000000": (0.0, 0.0, 0.0), "#ffffff": (255.0, 255.0, 255.0)}
_PAIR = re.compile(r"\S+@\d+ -> \S+@\d+")
_LEFT, _TOP, _WIDTH, _HEIGHT = 34, 22, 66, 36


def versions_of(matrix: Matrix) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the query versions and the gallery versions of a matrix, older ones first."""
    pairs = [cell.split(" -> ") for cell in matrix]
    queries, galleries = ({pair[place] for pair in pairs} for place in (0, 1))
    return tuple(sorted(queries, key=_age)), tuple(sorted(galleries, key=_age))


def between_versions(matrix: Matrix) -> Matrix:
    """Return the cells of one version's queries on one version's vectors, searched exactly.

    Mixed galleries and what an index of its own finds are no such cells.
    """
    return {cell: of for cell, of in matrix.items() if _PAIR.fullmatch(cell)}


def metrics_of(matrix: Matrix) -> tuple[str, ...]:
    """Return the metrics that were measured, each once, sorted by name and depth."""
    found = {m for by_group in matrix.values() for means in by_group.values() for m in means}
    return tuple(sorted(found, key=_depth))


def groups_of(matrix: Matrix) -> tuple[str, ...]:
    """Return the groups that were measured, each once, all queries first."""
    found = {group for by_group in matrix.values() for group in by_group}
    return tuple(sorted(found, key=lambda group: (group != "all", group)))


def cells_of(matrix: Matrix) -> tuple[str, ...]:
    """Return the measured cells, row by row."""
    queries, galleries = versions_of(matrix)
    named = [f"{query} -> {gallery}" for query in queries for gallery in galleries]
    return tuple(cell for cell in named if cell in matrix)


def heat_map(matrix: Matrix, group: str, metric: str, certified: Collection[str] = ()) -> Html:
    """Return the map of one metric in one group; colours go from 0 to 1, numbers are in the cells.

    Args:
        matrix: means by cell, group and metric.
        group: whose queries.
        metric: which number.
        certified: cells that a certificate speaks of; they are outlined.
    """
    queries, galleries = versions_of(matrix)
    heads = [
        _label(_LEFT + (x + 0.5) * _WIDTH, _TOP - 8, v, "middle") for x, v in enumerate(galleries)
    ]
    heads += [
        _label(_LEFT - 8, _TOP + (y + 0.5) * _HEIGHT + 4, v, "end") for y, v in enumerate(queries)
    ]
    cells = [
        _cell(x, y, matrix.get(name, {}).get(group, {}).get(metric), is_certified=name in certified)
        for y, query in enumerate(queries)
        for x, gallery in enumerate(galleries)
        for name in (f"{query} -> {gallery}",)
    ]
    width, height = _LEFT + _WIDTH * len(galleries) + 2, _TOP + _HEIGHT * len(queries) + 2
    title = f"{metric}, {'all queries' if group == 'all' else group}"
    drawn = figure(title, "Rows: queries. Columns: vectors.", height, *heads, *cells, css="heat")
    return Html(drawn.replace('width="100%"', f'width="{width}"', 1))


def fill_of(value: float) -> Rgb:
    """Return the colour of a value in [0, 1]."""
    place = min(1.0, max(0.0, value)) * (len(_STOPS) - 1)
    first = min(int(place), len(_STOPS) - 2)
    share = place - first
    low, high = _STOPS[first], _STOPS[first + 1]
    red, green, blue = (a + share * (b - a) for a, b in zip(low, high, strict=True))
    return red, green, blue


def ink_of(fill: Rgb) -> str:
    """Return the colour of letters that is read best on a colour."""
    return max(_INKS, key=lambda ink: contrast(fill, _INKS[ink]))


def contrast(first: Rgb, second: Rgb) -> float:
    """Return the contrast ratio of two colours as WCAG 2 defines it, from 1 to 21."""
    low, high = sorted((_luminance(first), _luminance(second)))
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: Rgb) -> float:
    parts = [part / 255 for part in colour]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return sum(weight * p for weight, p in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def _cell(x: int, y: int, value: float | None, *, is_certified: bool) -> Html:
    left, top = _LEFT + x * _WIDTH, _TOP + y * _HEIGHT
    box: dict[str, object] = {"x": left + 1, "y": top + 1, "rx": 3}
    box |= {"width": _WIDTH - 2, "height": _HEIGHT - 2}
    at: dict[str, object] = {"x": left + _WIDTH / 2, "y": top + _HEIGHT / 2 + 5}
    if value is None:
        said = tag("text", "–", at | {"class": "middle muted"})
        return join((tag("rect", "", box | {"class": "empty"}), said))
    fill = fill_of(value)
    colour = "#" + "".join(f"{round(part):02x}" for part in fill)
    css = "certified" if is_certified else "measured"
    ink = {"class": "middle number", "style": f"fill:{ink_of(fill)}"}
    number = tag("text", f"{value:.4f}", at | ink)
    return join((tag("rect", "", box | {"fill": colour, "class": css}), number))


def _label(x: float, y: float, version: str, css: str) -> Html:
    return tag("text", "@" + version.rpartition("@")[2], {"x": x, "y": y, "class": css})


def _age(version: str) -> tuple[str, int, str]:
    model, _, number = version.rpartition("@")  # without one, a mixed gallery: behind all versions
    return model or "~", int(number) if number.isdigit() else 0, number


def _depth(metric: str) -> tuple[str, int, str]:
    family, _, k = metric.partition("@")
    return family.casefold(), int(k) if k.isdigit() else 0, metric
