"""The sandbox that a file of tests shares."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from grading_kit import FAST

from grading.sandbox import Nursery


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    found = Nursery(FAST)
    found.ensure()
    yield found
    found.end()
