"""A state folder belongs to one run at a time."""

import os
import signal
from pathlib import Path

import pytest

from deploy.local.errors import LocalCode, LocalError
from deploy.local.folder import hold
from tests.support.processes import program

HOLDER = """
import sys
from pathlib import Path
from deploy.local.folder import hold
with hold(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""
SLOW_LEAVER = """
import os, sys
from pathlib import Path
from deploy.local.folder import hold
from deploy.local.processes import Kept, Program
with hold(Path(sys.argv[1])) as lock:
    log = Path(sys.argv[1]) / "log"
    deaf = ["sh", "-c", "trap : TERM; echo ready; while true; do sleep 1; done"]
    kept = Kept(Program("deaf", deaf, {"PATH": "/usr/bin:/bin"}, log, grace=0.5), holding=[lock])
    while "ready" not in log.read_text():
        pass
    print(kept.pid, flush=True)
    sys.stdin.read()
"""


def test_a_second_run_is_refused_while_the_first_goes_on(tmp_path: Path) -> None:
    with program(HOLDER, str(tmp_path)) as (holder, first):
        assert first == "held"
        with pytest.raises(LocalError) as refused, hold(tmp_path):
            pass
    assert refused.value.code is LocalCode.NODE_ALREADY_RUNNING
    assert str(holder.pid) in refused.value.sentence


def test_the_same_run_cannot_hold_it_twice_but_again_later(tmp_path: Path) -> None:
    with hold(tmp_path), pytest.raises(LocalError), hold(tmp_path):
        pass
    with hold(tmp_path):
        pass


def test_the_servers_of_a_run_that_was_killed_are_waited_for(tmp_path: Path) -> None:
    said: list[str] = []
    with program(SLOW_LEAVER, str(tmp_path)) as (owner, server):
        owner.send_signal(signal.SIGKILL)
        owner.wait()
        with hold(tmp_path, progress=said.append), pytest.raises(ProcessLookupError):
            os.kill(int(server), 0)


def test_it_is_made_for_our_eyes_only(tmp_path: Path) -> None:
    with hold(tmp_path / "a" / "b"):
        assert (tmp_path / "a" / "b").stat().st_mode & 0o077 == 0


def test_a_folder_that_cannot_be_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LocalError) as refused, hold(tmp_path / "file"):
        pass
    assert refused.value.code is LocalCode.FOLDER_UNUSABLE
