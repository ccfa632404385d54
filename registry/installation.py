"""Whether another distribution ships one of samespace's three top-level names."""

from __future__ import annotations

from importlib.metadata import packages_distributions

NAMES = ("registry", "compat", "cli")
DISTRIBUTION = "samespace"


def find_name_clashes() -> tuple[str, ...]:
    """Return, in words, which of our names other installed distributions ship too."""
    owners = packages_distributions()
    return tuple(
        f"{other} ships a package {name!r} too: install samespace in an environment of its own"
        for name in NAMES
        for other in sorted(set(owners.get(name, ())) - {DISTRIBUTION})
    )
