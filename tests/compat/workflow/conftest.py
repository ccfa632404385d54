from __future__ import annotations

import pytest

from registry import Registry
from tests.compat.workflow.builders import World, make_world


@pytest.fixture
def world(registry: Registry) -> World:
    return make_world(registry)
