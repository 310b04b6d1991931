"""Server processes of our own: they end when we end, however we end.

Nothing here daemonises. Each server has a keeper (keeper.py) between it and us, and a pipe from us to the keeper;
when the pipe closes, because we asked or because we are gone, the keeper stops the server and all that descends from
it.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from deploy.local import keeper
from deploy.local.errors import LocalCode, LocalError, log_tail

GRACE_SECONDS = 10.0
"""How long a server may take to stop by itself before it is killed."""


@dataclass(frozen=True, slots=True)
class Program:
    """What to run: ``command`` with ``environment`` alone, output to ``log``, ended by ``stop_signal``."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    stop_signal: signal.Signals = signal.SIGTERM
    grace: float = GRACE_SECONDS


class Kept:
    """A running server that cannot outlive us."""

    def __init__(self, program: Program, *, holding: Sequence[int] = ()) -> None:
        """Start ``program``.

        Args:
            program: what to run.
            holding: descriptors that stay open until the server is gone, such as the lock on its folder.

        Raises:
            LocalError: ``server-unusable`` when it cannot be started at all.
        """
        self.program = program
        with program.log.open("ab") as log:
            self._keeper = subprocess.Popen(
                [
                    *(sys.executable, "-I", "-S", keeper.__file__),
                    *(str(program.grace), str(int(program.stop_signal)), *program.command),
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=dict(program.environment),
                start_new_session=True,
                pass_fds=tuple(holding),
            )
        if self._keeper.stdout is None or self._keeper.stdin is None:  # both were asked for
            raise AssertionError
        self._orders = self._keeper.stdin
        with self._keeper.stdout as answers:
            first = answers.readline()
        if not first:
            self._keeper.wait()
            self._orders.close()
            raise self.failure(LocalCode.SERVER_UNUSABLE, "cannot be started")
        self.pid = int(first)
        """The server's own process id, not its keeper's."""

    def is_running(self) -> bool:
        """Say whether the server runs."""
        return self._keeper.poll() is None

    def stop(self) -> int:
        """Let the server end in order, kill it if it will not, and return its exit status once all of it is gone."""
        self._order(b"")
        return self._keeper.wait()

    def kill(self) -> int:
        """SIGKILL the server and all its children; return once nothing of it is left."""
        self._order(keeper.KILL)
        return self._keeper.wait()

    def failure(self, code: LocalCode, what: str) -> LocalError:
        """Return an error that says what the program did, with the end of what it printed."""
        log = self.program.log
        return LocalError(code, f"{self.program.name} {what}; the end of {log}:\n{log_tail(log)}")

    def _order(self, word: bytes) -> None:
        if self._orders.closed:
            return
        with suppress(BrokenPipeError):
            os.write(self._orders.fileno(), word)
        with suppress(BrokenPipeError):
            self._orders.close()
