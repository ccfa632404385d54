"""Backbones: networks that give (n, dim) features, by name or from the user's own code."""

from .catalog import BACKBONES, build_backbone
from .own import import_factory

__all__ = ["BACKBONES", "build_backbone", "import_factory"]
