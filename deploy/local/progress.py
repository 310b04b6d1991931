"""What a person sees while something takes longer than a second: one line that says what is being waited for."""

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

Progress: TypeAlias = Callable[[str], None]
"""Takes one line, without a line end."""

PATIENCE_SECONDS = 1.0


def silent(_line: str) -> None:
    """Say nothing."""


def on_screen(line: str) -> None:
    """Show the line at once, on standard error."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


@contextmanager
def waiting(line: str, progress: Progress, *, patience: float = PATIENCE_SECONDS) -> Iterator[None]:
    """Say ``line`` once, if the block is not done after ``patience`` seconds."""
    timer = threading.Timer(patience, progress, (line,))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
