"""Keeps two nodes running in the background: ``python -m deploy.local.supervisor``, started by ``relais up``.

It holds the folder's lock while it runs, so that there is one at a time and ``relais down`` knows whom to tell. What it
has brought up, or why it could not, it writes to one file. The folder is its own, or it touches nothing: each time it
begins from nothing, and unless told otherwise with one person who has been handed over, so that there is something to
look at.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from deploy.local.errors import LocalError
from deploy.local.folder import claim, empty, hold
from deploy.local.network import ACCUEIL, SERVICES, Network, Processes, network
from deploy.local.partner import REFERRALS
from deploy.local.progress import on_screen
from deploy.local.staff import DemoError
from deploy.local.stopping import until_told
from deploy.local.story import Story
from shared.files import write_private
from shared.sealing.codes import SealingError

STATE: Final = Path(".relais") / "up"
RUNNING: Final = "running.json"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until told to stop; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m deploy.local.supervisor")
    parser.add_argument("--folder", type=Path, default=STATE)
    parser.add_argument("--processes", type=Processes, default=Processes.THREE)
    parser.add_argument("--empty", action="store_true")
    asked = parser.parse_args(arguments)
    try:
        claim(asked.folder)
    except LocalError as error:
        on_screen(str(error))
        return 1
    try:
        with until_told(), hold(asked.folder) as held:
            os.dup(
                held
            )  # the kernel lets the folder go when this process has ended, and not before: who waits, waits for it
            empty(asked.folder)
            with (
                suppress(KeyboardInterrupt),
                network(asked.folder, processes=asked.processes, progress=on_screen) as net,
            ):
                if not asked.empty:
                    asyncio.run(Story(net, _untold).play(sorted(REFERRALS.glob("*.json"))[:1]))
                write_private(asked.folder / RUNNING, json.dumps(_addresses(net), indent=2))
                while True:
                    signal.pause()
            empty(asked.folder)
    except (LocalError, DemoError, SealingError, OSError) as error:
        with suppress(OSError):
            write_private(asked.folder / RUNNING, json.dumps({"error": str(error)}, indent=2))
        return 1
    return 0


def _untold(_code: str, _seconds: float, _referral: str) -> None:
    """Nobody watches; what happened is on the trace page."""


def _addresses(net: Network) -> dict[str, Any]:
    """Return where everything is, and who may sign in."""
    return {
        "nodes": {
            name: {
                "addresses": {service.value: node.url(service) for service in SERVICES},
                "staff": dict(node.tokens),
                "folder": str(node.folder),
            }
            for name, node in net.nodes.items()
        },
        "traces": net.traces_url,
        "mail": str(net.mail.folder),
        "partner": {"folder": str(net.folder / ACCUEIL), "exchange": net.partner_url},
    }


if __name__ == "__main__":
    sys.exit(main())
