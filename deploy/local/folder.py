"""A state folder belongs to one run at a time: two servers on the same files would destroy them.

The lock is the kernel's (flock), so that no crash leaves it behind. Whoever keeps a server alive for us inherits it:
as long as a server of an earlier run is still stopping, its folder is not free.

What must never happen: that anything is removed which we have not made. A folder is emptied only if it carries our
marker, and a folder gets the marker only while nothing else is in it.
"""

import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from deploy.local.errors import LocalCode, LocalError
from deploy.local.progress import Progress, silent, waiting

LOCK = "lock"
LOG = "up.log"
MARKER = "emptied-by-relais"
STAYS = frozenset({LOCK, LOG, MARKER})
"""What is left when a folder is emptied."""
LEAVING_SECONDS = 20.0
"""How long the servers of a run that was killed may take to stop."""


def claim(folder: Path) -> None:
    """Make ``folder`` (mode 0700) when it is not there, and mark it as one that we may empty.

    Raises:
        LocalError: ``folder-not-ours`` when something is in it and we have not marked it before, ``folder-unusable``.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if is_ours(folder):
            return
        if any(folder.iterdir()):
            raise LocalError(
                LocalCode.FOLDER_NOT_OURS,
                f"{folder} holds files, and would be emptied; name an empty folder or a new one",
            )
        (folder / MARKER).write_text("relais up empties this folder each time it starts and ends\n", encoding="utf-8")
    except OSError as error:
        raise LocalError(LocalCode.FOLDER_UNUSABLE, f"{folder} cannot be used: {error.strerror}") from None


def is_ours(folder: Path) -> bool:
    """Tell whether ``folder`` is one that we may empty."""
    return (folder / MARKER).is_file()


def empty(folder: Path) -> None:
    """Remove what an earlier run has left in a folder that was claimed; the lock, the log and the marker stay.

    Raises:
        LocalError: ``folder-not-ours``.
        OSError: something cannot be removed.
    """
    if not is_ours(folder):
        raise LocalError(LocalCode.FOLDER_NOT_OURS, f"{folder} is not marked as ours, and nothing in it is removed")
    for left in folder.iterdir():
        if left.name in STAYS:
            continue
        if left.is_dir() and not left.is_symlink():
            shutil.rmtree(left)
        else:
            left.unlink()


@contextmanager
def hold(folder: Path, *, progress: Progress = silent) -> Iterator[int]:
    """Make ``folder`` (mode 0700) when it is not there, hold it alone, and give the descriptor that holds it.

    Raises:
        LocalError: ``node-already-running`` when another run holds it, ``folder-unusable`` when it cannot be made or
            written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise LocalError(LocalCode.FOLDER_UNUSABLE, f"{folder} cannot be used: {error.strerror}") from None
    try:
        with waiting(f"waiting for the servers of an earlier run in {folder} to stop …", progress):
            _take(descriptor, folder)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield descriptor
    finally:
        os.close(descriptor)


def _take(descriptor: int, folder: Path) -> None:
    deadline = time.monotonic() + LEAVING_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _holder(descriptor)
            if _is_alive(holder) or time.monotonic() > deadline:
                raise LocalError(
                    LocalCode.NODE_ALREADY_RUNNING,
                    f"{folder} is in use by process {holder}; stop that run first, or choose another folder",
                ) from None
            time.sleep(0.05)
        else:
            return


def _holder(descriptor: int) -> int:
    with suppress(ValueError):
        return int(os.pread(descriptor, 20, 0))
    return 0


def _is_alive(pid: int) -> bool:
    if pid == 0:
        return True  # taken a moment ago: its holder has not yet written its number
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
