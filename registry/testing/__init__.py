"""What those who extend samespace test their extensions with. It needs no pytest to be imported."""

from .index_conformance import VectorIndexTestCase

__all__ = ["VectorIndexTestCase"]
