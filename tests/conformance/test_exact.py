from __future__ import annotations

from registry.domain.galleries import IndexSpec
from registry.galleries import _exact
from registry.testing import VectorIndexTestCase


class TestExact(VectorIndexTestCase):
    backend = _exact
    spec = IndexSpec("exact")
