"""How samespace is installed, and whether another distribution ships one of its three names."""

from __future__ import annotations

from importlib.metadata import packages_distributions

NAMES = ("registry", "compat", "cli")
DISTRIBUTION = "samespace"


def extra_hint(extra: str) -> str:
    """Return how to install an optional part; samespace is installed from a checkout."""
    return f"in samespace's checkout: pip install -e '.[{extra}]'"


def find_name_clashes() -> tuple[str, ...]:
    """Return, in words, which of our names other installed distributions ship too."""
    owners = packages_distributions()
    return tuple(
        f"{other} ships a package {name!r} too: install samespace in an environment of its own"
        for name in NAMES
        for other in sorted(set(owners.get(name, ())) - {DISTRIBUTION})
    )
