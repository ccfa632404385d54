"""The backbones that can be named in a configuration, built in or from other distributions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from torch import nn

from registry.catalog import Catalog
from registry.errors import InvalidInputError

from ..options import build_options

# A backbone is a module with a dataclass `Options` and `build(options) -> nn.Module`.
BACKBONES: Final = Catalog(
    kind="backbone",
    built_in={
        "mlp": "compat.backbones.mlp",
        "resnet32": "compat.backbones.resnet32",
        "small_convnet": "compat.backbones.small_convnet",
        "stacked": "compat.backbones.stacked",
        "transformers": "compat.backbones.auto_model",
    },
    group="samespace.backbones",
    extra="train",
    offers=("Options", "build"),
)


def build_backbone(name: str, options: Mapping[str, object]) -> nn.Module:
    """Return a backbone of the catalog, with fresh weights from torch's global generator.

    Args:
        name: its name in the catalog.
        options: its options by name, as in ``{"dim": 64}``.

    Raises:
        NotFoundError: if the name or an option is unknown; near names are listed.
        InvalidInputError: if an option has a wrong value, or a plug-in cannot be imported or gives
            no network.
    """
    module = BACKBONES.load(name)
    built = module.build(build_options(module.Options, options, f"backbone {name!r}"))
    if not isinstance(built, nn.Module):
        raise InvalidInputError(f"backbone {name!r} gave a {type(built).__name__}, not a network")
    return built
