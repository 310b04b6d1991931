"""The rules that ruff holds for us are switched on: each is tried with a line that breaks it."""

import subprocess
import sys

import pytest

from tests.architecture.tree import REPOSITORY

REFUSED = [
    ("T201", "shared/clock.py", 'print("x")'),
    ("T201", "tests/unit/test_x.py", 'print("x")'),
    ("S101", "services/intake/app.py", "assert True"),
    ("S608", "services/intake/routes/x.py", 'def read(name: str) -> str:\n    return f"SELECT 1 FROM {name}"'),
    ("S602", "deploy/local/x.py", "import subprocess\n\nsubprocess.run('ls', shell=True)"),
    ("S301", "shared/audit/log.py", "import pickle\n\npickle.loads(b'')"),
    ("DTZ005", "shared/audit/log.py", "from datetime import datetime\n\ndatetime.now()"),
    ("E722", "shared/audit/log.py", "try:\n    pass\nexcept:\n    pass"),
    ("BLE001", "shared/audit/log.py", "try:\n    pass\nexcept Exception:\n    pass"),
    ("ASYNC251", "shared/messaging/x.py", "import time\n\n\nasync def wait() -> None:\n    time.sleep(1)"),
    ("ANN001", "shared/messaging/x.py", "def decide(state) -> None:\n    ..."),
    ("D103", "shared/messaging/x.py", "def decide() -> None:\n    ..."),
    ("TID251", "shared/contracts/ids.py", "from uuid import uuid1\n\nuuid1()"),
    ("RUF100", "shared/contracts/ids.py", "x = 1  # noqa: E501"),
    ("PGH004", "shared/contracts/ids.py", "x = 1  # noqa"),
]


@pytest.mark.parametrize(("rule", "name", "lines"), REFUSED)
def test_a_line_that_breaks_the_rule_is_found(rule: str, name: str, lines: str) -> None:
    command = [sys.executable, "-m", "ruff", "check", "--output-format", "concise", "--stdin-filename", name, "-"]
    done = subprocess.run(command, input=lines + "\n", cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert f" {rule} " in done.stdout
