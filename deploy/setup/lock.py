"""Writes the locks anew from ``pyproject.toml``: ``make lock``.

``requirements.lock`` is everything a contributor needs; ``deploy/requirements.lock`` is the part of it that a running
node needs, at the same versions. Both carry hashes and name no package index, so that they hold wherever packages
come from.
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RESOLVE = ["uv", "pip", "compile", "--universal", "--python-version", "3.11", "--generate-hashes"]
QUIETLY = ["--no-annotate", "--no-header", "--quiet"]
HEADER = "# Made by `make lock` from pyproject.toml; do not edit.\n"


def compile_lock(output: Path, *arguments: str) -> None:
    """Resolve ``pyproject.toml`` into ``output``, keeping the versions that it already names where they still fit."""
    command = [sys.executable, "-m", *RESOLVE, *QUIETLY, *arguments, "pyproject.toml", "-o", str(output)]
    subprocess.run(command, cwd=ROOT, check=True)
    output.write_text(HEADER + output.read_text())


def main() -> int:
    """Write both locks."""
    whole = ROOT / "requirements.lock"
    compile_lock(whole, "--group", "dev")
    compile_lock(ROOT / "deploy" / "requirements.lock", "--constraints", str(whole))
    return 0


if __name__ == "__main__":
    sys.exit(main())
