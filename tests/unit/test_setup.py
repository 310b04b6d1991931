"""The set-up picks a Python that really is one, and says what it is doing while it takes long."""

import io
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.setup import __main__ as setup
from deploy.setup.progress import Stage
from tests.architecture.tree import REPOSITORY

PICK = REPOSITORY / "deploy" / "setup" / "python.sh"


class Terminal(io.StringIO):
    """Somewhere that lines can be rewritten."""

    def isatty(self) -> bool:
        """Say so."""
        return True


def program(folder: Path, name: str, lines: str) -> None:
    """Put a small program on a path of its own."""
    file = folder / name
    file.write_text(f"#!/bin/sh\n{lines}\n")
    file.chmod(0o755)


def pick(path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Pick a Python where only ``path`` is searched."""
    return subprocess.run(
        ["/bin/sh", str(PICK)], env={"PATH": str(path), **environment}, capture_output=True, text=True, check=False
    )


def test_a_python_that_works_is_picked_over_a_shim_that_does_not(tmp_path: Path) -> None:
    program(tmp_path, "python3.11", "echo 'no such version' >&2; exit 127")
    program(tmp_path, "python3.12", f'exec "{sys.executable}" "$@"')
    assert pick(tmp_path).stdout.strip() == str(tmp_path / "python3.12")


def test_the_python_that_is_named_comes_first(tmp_path: Path) -> None:
    program(tmp_path, "python3.11", f'exec "{sys.executable}" "$@"')
    program(tmp_path, "mine", f'exec "{sys.executable}" "$@"')
    assert pick(tmp_path, PYTHON=str(tmp_path / "mine")).stdout.strip() == str(tmp_path / "mine")


def test_without_a_python_the_command_that_helps_is_said(tmp_path: Path) -> None:
    program(tmp_path, "python3", "exit 1")
    done = pick(tmp_path)
    assert done.returncode == 1
    assert "apt install python3" in done.stderr


def test_a_quick_stage_leaves_one_line_without_seconds() -> None:
    out = io.StringIO()
    with Stage("packages", out) as stage:
        stage.ends_with("109 from requirements.lock")
    assert out.getvalue() == "  packages      109 from requirements.lock\n"


def test_a_stage_that_fails_leaves_its_words_to_the_one_who_catches_it() -> None:
    out = Terminal()
    with pytest.raises(setup.SetupError), Stage("packages", out):
        raise setup.SetupError
    assert "\n" not in out.getvalue()


def test_a_command_that_fails_is_told_with_its_last_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setup, "ROOT", tmp_path)
    monkeypatch.setattr(setup, "LOG", tmp_path / "setup.log")
    command = [sys.executable, "-c", "print('no space left'); raise SystemExit(1)"]
    with pytest.raises(setup.SetupError, match="no space left") as refused, Stage("packages", io.StringIO()) as stage:
        setup.run(command, stage, "pip failed.")
    assert "setup.log" in str(refused.value)
    assert "no space left" in (tmp_path / "setup.log").read_text()


def test_the_relais_command_runs_this_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = tmp_path / "lib" / "python3.11" / "site-packages"
    site.mkdir(parents=True)
    for name, path in (("ENVIRONMENT", tmp_path), ("COMMAND", tmp_path / "relais"), ("ROOT", tmp_path)):
        monkeypatch.setattr(setup, name, path)
    monkeypatch.setattr(setup, "PYTHON", Path("/bin/echo"))
    setup.command()
    said = subprocess.run([tmp_path / "relais", "audit", "a b"], capture_output=True, text=True, check=True).stdout
    assert said == "-m deploy.cli audit a b\n"
    assert (site / "relais.pth").read_text() == f"{tmp_path}\n"
