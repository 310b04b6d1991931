"""What runs below a process, and whether a process still runs: read from /proc, so Linux only."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def alive(pid: int) -> bool:
    """Say whether ``pid`` runs; what only waits to be buried does not."""
    with suppress(OSError):
        return _stat(pid)[0] != "Z"
    return False


def descendants(pid: int) -> set[int]:
    """Return every process below ``pid``, at any depth."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        with suppress(OSError, ValueError):
            parents[int(entry.name)] = int(_stat(int(entry.name))[1])
    found, last = {pid}, set[int]()
    while found != last:
        last = set(found)
        found |= {child for child, parent in parents.items() if parent in last}
    return found - {pid}


@contextmanager
def program(text: str, *arguments: str) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """Run the Python program ``text`` until the block ends; give the process and the first line it printed."""
    process = subprocess.Popen(
        [sys.executable, "-c", text, *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with process:
        try:
            yield process, process.stdout.readline().strip() if process.stdout else ""
        finally:
            process.kill()


def _stat(pid: int) -> list[str]:
    """Return state, parent and what follows; the name before them may hold anything."""
    return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
