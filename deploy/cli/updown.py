"""``relais up`` and ``relais down``: the two nodes of the demo, left running, and stopped."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Final

from cyclopts import Parameter

from deploy.local.errors import LocalError, log_tail
from deploy.local.folder import LOCK, LOG, claim, is_ours
from deploy.local.network import Processes
from deploy.local.progress import on_screen, waiting
from deploy.local.supervisor import RUNNING, STATE

READY_SECONDS: Final = 120.0
STOP_SECONDS: Final = 60.0
LOOK_SECONDS: Final = 0.1


def up(
    *,
    empty: Annotated[bool, Parameter(negative="")] = False,
    one_process: Annotated[bool, Parameter(negative="")] = False,
    folder: Path = STATE,
) -> int:
    """Start two nodes and leave them running.

    Args:
        empty: do not hand a person over at once, which gives something to look at.
        one_process: run each node as one process, and not as three.
        folder: where they are: an empty folder, a new one, or one that an earlier run has made; it is emptied.
    """
    try:
        claim(folder)
    except LocalError as error:
        on_screen(str(error))
        return 1
    if _holder(folder):
        on_screen(f"node-already-running: the two nodes of {folder} run already; stop them with: make down")
        _show(folder)
        return 1
    (folder / RUNNING).unlink(missing_ok=True)
    processes = Processes.ONE if one_process else Processes.THREE
    log_path = folder / LOG
    with log_path.open("wb") as log:
        keeper = subprocess.Popen(
            [
                *(sys.executable, "-m", "deploy.local.supervisor", "--folder", str(folder)),
                *("--processes", processes, *(["--empty"] if empty else [])),
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        with waiting("starting PostgreSQL, RabbitMQ and the services of two nodes …", on_screen):
            found = _await(keeper, folder)
    except KeyboardInterrupt:
        _stop(keeper.pid, folder)
        on_screen("stopped")
        return 130
    if found is None or "error" in found:
        on_screen(found["error"] if found else f"it ended; the end of {log_path}:\n{log_tail(log_path)}")
        return 1
    _show(folder)
    return 0


def down(*, folder: Path = STATE) -> int:
    """Stop what ``relais up`` started.

    Args:
        folder: where it runs.
    """
    holder = _holder(folder)
    if not holder:
        on_screen(f"nothing runs in {folder}")
        return 0
    with waiting("stopping …", on_screen):
        stopped = _stop(holder, folder)
    on_screen("stopped" if stopped else f"process {holder} does not stop")
    return 0 if stopped else 1


def _await(keeper: "subprocess.Popen[bytes]", folder: Path) -> dict[str, Any] | None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        with suppress(FileNotFoundError):
            found: dict[str, Any] = json.loads((folder / RUNNING).read_text(encoding="utf-8"))
            return found
        if keeper.poll() is not None:
            return None
        time.sleep(LOOK_SECONDS)
    _stop(keeper.pid, folder)
    return None


def _holder(folder: Path) -> int:
    """Return the process that holds ``folder``, or 0: the kernel's lock says so, not a number in a file."""
    if not is_ours(folder):
        return 0
    try:
        descriptor = os.open(folder / LOCK, os.O_RDWR)
    except OSError:
        return 0
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return int(os.pread(descriptor, 20, 0) or 0)
    else:
        return 0
    finally:
        os.close(descriptor)


def _stop(holder: int, folder: Path) -> bool:
    """Tell ``holder`` to stop, and wait until it has let the folder go."""
    with suppress(ProcessLookupError):
        os.kill(holder, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    while _holder(folder) and time.monotonic() < deadline:
        time.sleep(LOOK_SECONDS)
    return not _holder(folder)


def _show(folder: Path) -> None:
    """Say where everything is."""
    with suppress(FileNotFoundError):
        found = json.loads((folder / RUNNING).read_text(encoding="utf-8"))
        for name, node in found.get("nodes", {}).items():
            sys.stdout.write(f"{name}\n")
            sys.stdout.writelines(f"  {service:9} {address}\n" for service, address in node["addresses"].items())
            sys.stdout.writelines(f"  {'token':9} {token}  ({who})\n" for who, token in node["staff"].items())
        sys.stdout.write(f"traces      {found['traces']}\n")
        sys.stdout.write(f"mail        {found['mail']}\n")
        sys.stdout.write("stop with   make down\n")
