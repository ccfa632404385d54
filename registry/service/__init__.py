"""The use cases: each one transaction, opened here."""

from .probes import ProbeRegistration
from .promotions import Change, PromotionOptions
from .registration import Parent, Registration
from .registry import Comparability, Registry, upgrade_database

__all__ = [
    "Change",
    "Comparability",
    "Parent",
    "ProbeRegistration",
    "PromotionOptions",
    "Registration",
    "Registry",
    "upgrade_database",
]
