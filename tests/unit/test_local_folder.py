"""A folder is emptied only if it is ours: nothing is removed, or written over, that somebody else has put there."""

from pathlib import Path

import pytest

from deploy.cli import updown
from deploy.local import supervisor
from deploy.local.errors import LocalCode, LocalError
from deploy.local.folder import LOCK, LOG, MARKER, STAYS, claim, empty


def contents(folder: Path) -> dict[str, bytes]:
    """Return every file under a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """Give a folder that somebody keeps files in, some of them under names that we use as well."""
    folder = tmp_path / "theirs"
    (folder / "safe").mkdir(parents=True)
    for name in ("safe/referral.keys", LOCK, LOG, supervisor.RUNNING):
        (folder / name).write_text("theirs")
    return folder


def test_a_new_folder_and_an_empty_one_become_ours(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "a" / "new", tmp_path / "empty"):
        claim(folder)
        (folder / "node").mkdir()
        (folder / "node" / "file").touch()
        (folder / "elsewhere").symlink_to(tmp_path)
        claim(folder)
        empty(folder)
        assert [path.name for path in folder.iterdir()] == [MARKER]
    assert (tmp_path / "a" / "new").stat().st_mode & 0o077 == 0


def test_what_tells_of_the_run_stays(tmp_path: Path) -> None:
    claim(tmp_path)
    for name in STAYS:
        (tmp_path / name).touch()
    empty(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == STAYS


def test_a_folder_with_anything_in_it_is_refused_and_left_alone(foreign: Path) -> None:
    before = contents(foreign.parent)
    for step in (claim, empty):
        with pytest.raises(LocalError) as refused:
            step(foreign)
        assert refused.value.code is LocalCode.FOLDER_NOT_OURS
    assert contents(foreign.parent) == before


def test_up_and_down_leave_a_foreign_folder_as_it_is(foreign: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = contents(foreign.parent)
    assert updown.up(folder=foreign) == 1
    assert supervisor.main(["--folder", str(foreign)]) == 1
    told = capsys.readouterr()
    assert (told.out + told.err).count(f"folder-not-ours: {foreign} ") == 2
    assert updown.down(folder=foreign) == 0
    assert contents(foreign.parent) == before


def test_a_folder_that_cannot_be_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LocalError) as refused:
        claim(tmp_path / "file")
    assert refused.value.code is LocalCode.FOLDER_UNUSABLE
