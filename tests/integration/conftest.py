"""What the tests of every service may ask for."""

from collections.abc import Iterator
from io import StringIO

import pytest

from shared.telemetry import logs


@pytest.fixture
def lines() -> Iterator[StringIO]:
    """Give what this process logs during a test."""
    stream = StringIO()
    logs.configure("debug", "json", stream)
    yield stream
    logs.restore()
