"""The objectives that can be named in a configuration, built in or from other distributions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

from torch import nn

from registry.catalog import Catalog
from registry.errors import InvalidInputError

from ..options import build_options
from .protocol import Objective, ObjectiveModule, Setting

# An objective is a module of the form of `ObjectiveModule`.
OBJECTIVES: Final = Catalog(
    kind="objective",
    built_in={
        "bct": "compat.objectives.bct",
        "bt2": "compat.objectives.bt2",
        "cores": "compat.objectives.cores",
        "dsimplex-hoc": "compat.objectives.dsimplex_hoc",
        "independent": "compat.objectives.independent",
        "memory-contrast": "compat.objectives.memory_contrast",
        "oca": "compat.objectives.oca",
        "two-level": "compat.objectives.two_level",
    },
    group="samespace.objectives",
    extra="train",
    offers=("Options", "build"),
)


def build_objective(name: str, options: Mapping[str, object], setting: Setting) -> Objective:
    """Return an objective of the catalog for a setting.

    One that does not keep its options as ``options`` carries them as ``catalog_options``, so that
    a run with others is told apart.

    Args:
        name: its name in the catalog.
        options: its options by name.
        setting: dimensions, classes and, where there is an old model, its features.

    Raises:
        NotFoundError: if the name or an option is unknown; near names are listed.
        InvalidInputError: if an option has a wrong value, the objective and the setting do not fit,
            or a plug-in cannot be imported or gives no network.
    """
    module = cast("ObjectiveModule", OBJECTIVES.load(name))
    chosen = build_options(module.Options, options, f"objective {name!r}")
    built = module.build(chosen, setting)
    if not isinstance(built, nn.Module):
        raise InvalidInputError(f"objective {name!r} gave a {type(built).__name__}, not a network")
    if getattr(built, "options", None) != chosen:
        vars(built)["catalog_options"] = chosen
    return built


def uses_slots(name: str) -> bool:
    """Return whether an objective gives every class a vertex that it keeps in all versions.

    Its module then says ``USES_SLOTS = True``, and settings carry `Setting.slots`.

    Raises:
        NotFoundError: if the name is unknown; near names are listed.
        InvalidInputError: if a plug-in cannot be imported, or lacks an objective's form.
    """
    return bool(getattr(OBJECTIVES.load(name), "USES_SLOTS", False))


def build_head(name: str, options: Mapping[str, object]) -> nn.Module:
    """Return the head that an objective deploys, for trained weights to be loaded into.

    Args:
        name: the objective's name in the catalog.
        options: the head's options by name; see `compat.objectives.protocol.Head`.

    Raises:
        NotFoundError: if the name or an option is unknown; near names are listed.
        InvalidInputError: if an option has a wrong value, or the objective deploys no head.
    """
    module: Any = OBJECTIVES.load(name)
    if not hasattr(module, "build_head") or not hasattr(module, "HeadOptions"):
        raise InvalidInputError(f"objective {name!r} deploys no head of its own")
    built = module.build_head(build_options(module.HeadOptions, options, f"head of {name!r}"))
    if not isinstance(built, nn.Module):
        raise InvalidInputError(f"objective {name!r} gave a {type(built).__name__}, not a network")
    return built
