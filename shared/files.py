"""Files that are either wholly there or not at all, and never for a moment readable by somebody else."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from typing import IO, Final

SECRET_MODE: Final = 0o600
PUBLIC_MODE: Final = 0o644


def write_private(path: Path, text: str) -> None:
    """Replace ``path`` by ``text``, for our own user alone, whoever could read what was there before.

    Raises:
        OSError: nothing has changed.
    """
    write_atomically(path, text.encode(), SECRET_MODE)


def write_atomically(path: Path, content: bytes, mode: int) -> None:
    """Replace ``path`` by ``content``, as ``replacing`` does.

    Raises:
        OSError: nothing has changed.
    """
    with replacing(path, mode) as file:
        file.write(content)


@contextmanager
def replacing(path: Path, mode: int) -> Iterator[IO[bytes]]:
    """Open what comes in the place of ``path``: beside it, with ``mode`` from the first moment; synced, then renamed.

    Raises:
        OSError: nothing has changed; nor has it when the block raises.
    """
    beside = path.with_name(f".{path.name}.{token_hex(8)}")
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)
            yield file
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
