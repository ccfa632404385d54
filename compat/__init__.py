"""samespace's compat: how a new model is made compatible, and how that is proved.

Certifying from vectors needs no torch; training and embedding do (in the checkout: ``pip install
-e '.[train]'``). Names are imported when they are asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .embedding import embed, embed_array
    from .encoder_files import load_encoder, save_encoder
    from .encoders import Encoder
    from .leakage import TrainingItems
    from .preprocessing import Preprocessing
    from .probe_files import Questions
    from .probes import Labels, Probe
    from .training import train
    from .training_options import TrainingData, TrainingOptions
    from .workflow.certifying import Certification, certify
    from .workflow.probe_sets import questions_for, register_questions

_HOMES = {
    "Certification": ".workflow.certifying",
    "Encoder": ".encoders",
    "Labels": ".probes",
    "Preprocessing": ".preprocessing",
    "Probe": ".probes",
    "Questions": ".probe_files",
    "TrainingData": ".training_options",
    "TrainingItems": ".leakage",
    "TrainingOptions": ".training_options",
    "certify": ".workflow.certifying",
    "embed": ".embedding",
    "embed_array": ".embedding",
    "load_encoder": ".encoder_files",
    "questions_for": ".workflow.probe_sets",
    "register_questions": ".workflow.probe_sets",
    "save_encoder": ".encoder_files",
    "train": ".training",
}

__all__ = [
    "Certification",
    "Encoder",
    "Labels",
    "Preprocessing",
    "Probe",
    "Questions",
    "TrainingData",
    "TrainingItems",
    "TrainingOptions",
    "certify",
    "embed",
    "embed_array",
    "load_encoder",
    "questions_for",
    "register_questions",
    "save_encoder",
    "train",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'compat' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name], __name__), name)
