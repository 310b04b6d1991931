"""Says what is going on while something takes longer than a second, and how long it took.

On a terminal one line is rewritten in place; elsewhere (a log, a pipe) a line appears now and then, so that nobody
has to wonder whether it still runs. Standard library only: this runs before anything is installed.
"""

import sys
import threading
import time
from types import TracebackType
from typing import Self, TextIO

PATIENCE_SECONDS = 1.0
"""How long a stage may take before it is spoken of."""
LOG_PACE_SECONDS = 10.0
"""How often a stage is spoken of where lines cannot be rewritten."""
NAME_WIDTH = 12


class Stage:
    """One stage of the work, as a context manager: its name while it runs, its result and its seconds when it ends."""

    def __init__(self, name: str, out: TextIO | None = None) -> None:
        """Speak of the stage as ``name`` on ``out``, which is standard output unless given."""
        self._name = name
        self._out = out or sys.stdout
        self._now = ""
        self._result = ""
        self._done = threading.Event()
        self._ticker = threading.Thread(target=self._tick, daemon=True)
        self._began = 0.0

    def now(self, doing: str) -> None:
        """Say what the stage is at."""
        self._now = doing

    def ends_with(self, result: str) -> None:
        """Say what the stage came to, for the line that stays."""
        self._result = result

    def __enter__(self) -> Self:
        """Start the clock."""
        self._began = time.monotonic()
        self._ticker.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the clock and leave one line behind; a failure leaves its own words to the one who catches it."""
        self._done.set()
        self._ticker.join()
        self._clear()
        if kind is None:
            seconds = self.seconds
            self._write(self._result + (f"  {seconds:.1f} s" if seconds > PATIENCE_SECONDS else ""), "\n")

    @property
    def seconds(self) -> float:
        """How long the stage has been running."""
        return time.monotonic() - self._began

    def _tick(self) -> None:
        terminal = self._out.isatty()
        pace = 0.2 if terminal else LOG_PACE_SECONDS
        wait = PATIENCE_SECONDS
        while not self._done.wait(wait):
            self._clear()
            self._write(f"{self.seconds:.0f} s  {self._now}".rstrip(), "" if terminal else " ...\n")
            wait = pace

    def _clear(self) -> None:
        if self._out.isatty():
            self._out.write("\r\x1b[2K")

    def _write(self, words: str, end: str) -> None:
        self._out.write(f"  {self._name:<{NAME_WIDTH}}  {words}{end}")
        self._out.flush()
