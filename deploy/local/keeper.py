"""Stands between us and one server, so that the server never outlives us: a program of its own, standard library only.

    python -I keeper.py GRACE_SECONDS STOP_SIGNAL COMMAND…

Standard input is a pipe from whoever started us. ``kill`` on it means: SIGKILL, all of it, now. Its end means: stop.
The kernel closes a pipe whatever becomes of the other side, SIGKILL included, so nobody has to promise to tidy up.
Stopping is the server's own signal first, then, after the grace, SIGKILL for everything that descends from it, also
what has made itself a daemon: on Linux the keeper adopts orphans (prctl(2), PR_SET_CHILD_SUBREAPER). Standard output
gets one line, the server's process id. The keeper leaves last, with the server's own exit status.

What must never happen: that the keeper ends while anything it started runs. Should it be killed itself, the kernel
kills the server (PR_SET_PDEATHSIG).
"""

import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
PROC = Path("/proc")
KILL = b"kill\n"
LINUX = sys.platform.startswith("linux")


def main() -> int:
    """Run the command until it ends or is to end; return its exit status as a shell gives it."""
    grace, stop_signal, command = float(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    wake = _wake_on_child()
    libc = ctypes.CDLL(None, use_errno=True) if LINUX else None
    if libc is not None:
        libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)

    def begin() -> None:
        for restored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(restored, signal.SIG_DFL)
        if libc is not None:
            libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)

    server = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr,
        start_new_session=True,
        preexec_fn=begin,  # noqa: PLW1509 - no threads here
    )
    os.write(sys.stdout.fileno(), f"{server.pid}\n".encode())
    status = _keep(server, wake, grace, stop_signal)
    _end_descendants(server.pid)
    return status if status >= 0 else 128 - status


def _wake_on_child() -> int:
    """Return a descriptor that becomes readable when a child ends."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    return reader


def _keep(server: subprocess.Popen[bytes], wake: int, grace: float, stop_signal: int) -> int:
    """Wait for the server's end, or for the word to end it."""
    orders = sys.stdin.fileno()
    watched, deadline = [orders, wake], None
    while True:
        status = _reap(server)
        if status is not None:
            return status
        timeout = None if deadline is None else max(0.0, deadline - time.monotonic())
        ready, _, _ = select.select(watched, [], [], timeout)
        if wake in ready:
            os.read(wake, 4096)
        if orders in ready:
            watched = [wake]
            if KILL in os.read(orders, 64):
                return _kill(server)
            deadline = time.monotonic() + grace
            with suppress(ProcessLookupError):
                os.kill(server.pid, stop_signal)
        if deadline is not None and time.monotonic() >= deadline:
            return _kill(server)


def _reap(server: subprocess.Popen[bytes]) -> int | None:
    """Bury orphans that have ended, and return the server's status once it has."""
    status = server.poll()
    for orphan in children(os.getpid()):
        if orphan != server.pid:
            with suppress(ChildProcessError):
                os.waitpid(orphan, os.WNOHANG)
    return status


def _kill(server: subprocess.Popen[bytes]) -> int:
    """Kill the server first, so that it can start nothing new; what descends from it follows."""
    server.kill()
    return server.wait()


def _end_descendants(group: int) -> None:
    """Kill and bury everything that is still ours, until nothing is."""
    if not LINUX:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)
    while left := children(os.getpid()):
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            with suppress(ChildProcessError):
                os.waitpid(pid, 0)


def children(parent: int) -> list[int]:
    """Return the process ids whose parent is ``parent``; none where there is no /proc.

    Any process of the machine may end while we read, at any step of it: ENOENT, or ESRCH, which pathlib lets through.
    So names are listed once and nothing but the reading asks about one of them.
    """
    found = []
    for entry in PROC.iterdir() if LINUX else ():
        with suppress(OSError, ValueError, IndexError):
            # the name, in parentheses, may hold anything; what follows its last parenthesis is state and parent
            stat = (entry / "stat").read_text(errors="replace") if entry.name.isdecimal() else ""
            if int(stat.rpartition(")")[2].split()[1]) == parent:
                found.append(int(entry.name))
    return found


if __name__ == "__main__":
    sys.exit(main())
