"""Files that are either wholly there or not at all, and never for a moment readable by somebody else."""

import os
from pathlib import Path
from secrets import token_hex
from typing import Final

SECRET_MODE: Final = 0o600
PUBLIC_MODE: Final = 0o644


def write_atomically(path: Path, content: bytes, mode: int) -> None:
    """Replace ``path`` by ``content``: written beside it with ``mode`` from the first moment, synced, then renamed.

    Raises:
        OSError: nothing has changed.
    """
    beside = path.with_name(f".{path.name}.{token_hex(8)}")
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
