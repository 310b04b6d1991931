"""Values: frozen for mypy, plain and quick at run time, and otherwise as the standard library's."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest

from shared.values import dataclass


@dataclass(frozen=True, slots=True)
class Point:
    """Two numbers."""

    x: int
    y: int = 0


def test_values_are_compared_hashed_shown_and_replaced_as_frozen_ones_are() -> None:
    assert Point(1) == Point(1, 0)
    assert len({Point(1), Point(1), Point(2)}) == 2
    assert repr(Point(1)) == "Point(x=1, y=0)"
    assert dataclasses.replace(Point(1), y=3) == Point(1, 3)
    with pytest.raises(AttributeError):
        Point(1).z = 1  # type: ignore[attr-defined]


def test_mypy_refuses_to_change_one(tmp_path: Path) -> None:
    changing = tmp_path / "changing.py"
    changing.write_text(
        "from shared.values import dataclass\n\n"
        "@dataclass(frozen=True, slots=True)\n"
        "class Point:\n    x: int\n\n"
        "Point(1).x = 2\n"
    )
    command = [sys.executable, "-m", "mypy", "--cache-dir", str(tmp_path / "cache"), "--no-incremental", str(changing)]
    checked = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert 'Property "x" defined in "Point" is read-only' in checked.stdout
