"""What the types hold is held: mypy is given lines that break it, and refuses each.

A rule is applied to what it is a rule for, and a decision says what its service says.
"""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.tree import REPOSITORY, Breach, sources, write

COMMANDS = "services/referral/commands.py"

LINES = """
from services.intake.domain.admission import Admission
from services.referral.commands import Command
from services.referral.domain import casework, reading, reports, sending
from services.referral.domain.cases import CLOCK, Case
from services.referral.domain.ruling import Ruling, Tell
from shared.contracts.codes import WithdrawReason
from shared.contracts.facts import Fact
from shared.contracts.ids import ReferralId

REASON = WithdrawReason.NO_LONGER_NEEDED

def commands(referral: ReferralId) -> None:
    Command.about_report(CLOCK, lambda known, act: reports.open_case(known.thing, act))
    Command.about_case(CLOCK, lambda known, act: reports.open_case(known.thing, act))  # refused
    Command.about_referral(CLOCK, lambda known, act: reports.open_case(known.thing, act))  # refused
    Command.about_case(CLOCK, lambda known, act: reading.read_case(known.thing, act))
    Command.about_report(CLOCK, lambda known, act: reading.read_case(known.thing, act))  # refused
    Command.about_referral(CLOCK, lambda known, act: sending.withdraw(known.thing, act, REASON))
    Command.about_case(CLOCK, lambda known, act: sending.withdraw(known.thing, act, REASON))  # refused
    Command.offering(CLOCK, referral, lambda known, act: reading.read_case(known.thing, act))  # refused

def sayings(tell: Tell, fact: Fact) -> tuple[Ruling[Case], ...]:
    Admission(says=(fact,))  # refused
    return Ruling(says=(tell, fact)), Ruling(says=("a word",))  # refused
"""


def refused(folder: Path, text: str) -> list[int]:
    """Return the lines of ``text`` that mypy refuses."""
    write(folder, "lines.py", text)
    command = [sys.executable, "-m", "mypy", "--no-error-summary", str(folder / "lines.py")]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    return [int(line.split(":")[1]) for line in done.stdout.splitlines() if ": error: " in line]


def made_elsewhere(root: Path) -> list[Breach]:
    """Return where a command is made without a constructor that knows what its rule is for."""
    return [
        Breach(name, node.lineno, "makes a command by hand")
        for name, tree in sources(root, "services/", "shared/", "deploy/")
        if name != COMMANDS
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Command"
    ]


@pytest.mark.timeout(300)
def test_a_line_that_breaks_it_is_refused(tmp_path: Path) -> None:
    expected = [number for number, line in enumerate(LINES.splitlines(), start=1) if line.endswith("# refused")]
    assert sorted(set(refused(tmp_path, LINES))) == expected


def test_every_command_is_made_by_its_constructor() -> None:
    assert made_elsewhere(REPOSITORY) == []


def test_a_command_that_is_made_by_hand_is_found(tmp_path: Path) -> None:
    write(tmp_path, "services/referral/routes/x.py", "Command(by, About.CASE, rule)\nCommand.about_case(by, rule)\n")
    assert [each.line for each in made_elsewhere(tmp_path)] == [1]
