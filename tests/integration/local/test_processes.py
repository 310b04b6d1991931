"""A kept program cannot outlive us, whatever becomes of it, of us or of its keeper."""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.local.errors import LocalCode, LocalError
from deploy.local.processes import Kept, Program
from tests.support.processes import alive, descendants, program
from tests.support.wait import until

FAMILY = """
import os, subprocess, sys, time
asleep = ["sleep", "1000"]
subprocess.Popen(asleep)
if os.fork() == 0:  # an orphan in a session of its own: a daemon
    os.setsid()
    os.execvp("sleep", asleep)
print("ready", flush=True)
time.sleep(1000)
"""
DEAF = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
time.sleep(1000)
"""
POLITE = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
print("ready", flush=True)
time.sleep(1000)
"""
OWNER = """
import signal, sys
from pathlib import Path
from deploy.local.processes import Kept, Program
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # whoever runs the tests may let it be ignored
kept = Kept(Program("family", [sys.executable, "-c", sys.argv[1]], {"PATH": "/usr/bin:/bin"}, Path(sys.argv[2])))
print(kept.pid, flush=True)
sys.stdin.read()
"""


def keep(text: str, log: Path, *, grace: float = 10.0) -> Kept:
    return Kept(Program("program", [sys.executable, "-c", text], {"PATH": "/usr/bin:/bin"}, log, grace=grace))


async def begun(kept: Kept) -> None:
    """Wait until the program has said that it is ready."""
    await until(lambda: "ready" in kept.program.log.read_text(), what="the program is ready")


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Give a log file."""
    return tmp_path / "log"


async def test_it_stops_in_its_own_way(log: Path) -> None:
    kept = keep(POLITE, log)
    await begun(kept)
    assert kept.is_running()
    assert kept.stop() == 7
    assert not kept.is_running()


async def test_it_is_killed_at_once(log: Path) -> None:
    kept = keep(POLITE, log)
    await begun(kept)
    assert kept.kill() == 128 + signal.SIGKILL


async def test_what_will_not_stop_is_killed_after_the_grace(log: Path) -> None:
    kept = keep(DEAF, log, grace=0.1)
    await begun(kept)
    assert kept.stop() == 128 + signal.SIGKILL


@pytest.mark.parametrize("end", [Kept.stop, Kept.kill])
async def test_its_children_and_daemons_end_with_it(log: Path, end: Callable[[Kept], int]) -> None:
    kept = keep(FAMILY, log)
    await begun(kept)
    family = descendants(os.getpid()) & ({kept.pid} | descendants(kept.pid))
    assert len(family) == 3
    end(kept)
    assert not [pid for pid in family if alive(pid)]


async def test_what_it_left_behind_ends_with_it_too(log: Path) -> None:
    """The program itself is gone first; its orphans are not forgotten."""
    kept = keep(FAMILY, log)
    await begun(kept)
    family = descendants(kept.pid)
    os.kill(kept.pid, signal.SIGKILL)
    await until(lambda: not kept.is_running(), what="the keeper has left")
    assert kept.stop() == 128 + signal.SIGKILL
    assert len(family) == 2
    assert not [pid for pid in family if alive(pid)]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
async def test_however_we_end_nothing_is_left(log: Path, how: signal.Signals) -> None:
    with program(OWNER, FAMILY, str(log)) as (owner, first):
        await until(lambda: "ready" in log.read_text(), what="the family is ready")
        below = descendants(owner.pid)
        assert int(first) in below
        assert len(below) == 4  # the keeper, the program, its child, its daemon
        owner.send_signal(how)
        owner.wait()
        await until(lambda: not [pid for pid in below if alive(pid)], what="all of it is gone")


async def test_a_killed_keeper_takes_its_program_along(log: Path) -> None:
    with program(OWNER, POLITE, str(log)) as (owner, first):
        keeper = next(pid for pid in descendants(owner.pid) if pid != int(first))
        os.kill(keeper, signal.SIGKILL)
        await until(lambda: not alive(int(first)), what="the program is gone")


def test_what_cannot_be_started_is_said(log: Path) -> None:
    with pytest.raises(LocalError) as refused:
        Kept(Program("nothing", ["/nowhere/at-all"], {}, log))
    assert refused.value.code is LocalCode.SERVER_UNUSABLE
    assert "/nowhere/at-all" in refused.value.sentence


async def test_stopping_twice_changes_nothing(log: Path) -> None:
    kept = keep(POLITE, log)
    await begun(kept)
    assert [kept.stop(), kept.stop(), kept.kill()] == [7, 7, 7]
