"""Who descends from the keeper is found whatever other processes of the machine do meanwhile."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.local import keeper


def test_a_process_that_ends_while_it_is_read_hides_no_child(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Linux answers ESRCH for a path below a process that has just ended; a keeper that stops there leaves orphans."""
    for pid, parent in ((7, 42), (8, 42), (9, 1)):
        (tmp_path / str(pid)).mkdir()
        (tmp_path / str(pid) / "stat").write_text(f"{pid} (a (strange) name) S {parent} 0 0")
    (tmp_path / "version").touch()

    def gone(path: Path) -> bool:
        return path.parent.name == "7"

    monkeypatch.setattr(keeper, "PROC", tmp_path)
    monkeypatch.setattr(Path, "stat", _unless(gone, Path.stat))
    monkeypatch.setattr(Path, "open", _unless(gone, Path.open))
    assert keeper.children(42) == [8]


def _unless(gone: Callable[[Path], bool], answer: Callable[..., object]) -> Callable[..., object]:
    def ask(path: Path, *args: object, **options: object) -> object:
        if gone(path):
            raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH))
        return answer(path, *args, **options)

    return ask
