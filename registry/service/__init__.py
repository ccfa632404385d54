"""The use cases: each one transaction, opened here."""

from .comparing import Comparability, Comparison
from .probes import ProbeRegistration
from .promotions import Change, PromotionOptions
from .registration import Parent, Registration
from .registry import Registry, upgrade_database
from .stored_vectors import ComparedVectors

__all__ = [
    "Change",
    "Comparability",
    "ComparedVectors",
    "Comparison",
    "Parent",
    "ProbeRegistration",
    "PromotionOptions",
    "Registration",
    "Registry",
    "upgrade_database",
]
