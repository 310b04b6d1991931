"""A private file is whole or not there at all, and for its owner alone, whoever could read what was there before."""

from pathlib import Path

import pytest

from shared.files import SECRET_MODE, replacing, write_private


def test_what_others_could_read_they_cannot_read_afterwards(tmp_path: Path) -> None:
    path = tmp_path / "tokens.json"
    path.write_text("before")
    path.chmod(0o644)
    write_private(path, "after")
    assert path.read_text() == "after"
    assert path.stat().st_mode & 0o777 == SECRET_MODE
    assert list(tmp_path.iterdir()) == [path]


def half_written(path: Path) -> None:
    """Begin to write, and break off."""
    with replacing(path, SECRET_MODE) as file:
        file.write(b"aft")
        raise TypeError


def test_what_is_not_finished_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "tokens.json"
    write_private(path, "before")
    with pytest.raises(TypeError):
        half_written(path)
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]
