"""``relais demo``: hand a person over twice among three organisations, print the story, and answer for it."""

import asyncio
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Annotated, Final

from cyclopts import Parameter

from deploy.local.account import account
from deploy.local.errors import LocalError
from deploy.local.network import Processes, network
from deploy.local.partner import REFERRALS
from deploy.local.progress import on_screen
from deploy.local.staff import DemoError
from deploy.local.stopping import until_told
from deploy.local.story import Story
from shared.words import Words

LOCALE: Final = Path(__file__).parents[1] / "local" / "locale"
RESULT: Final = Path("build") / "demo.json"


def demo(
    *,
    all_: Annotated[bool, Parameter(name="--all", negative="")] = False,
    one_process: Annotated[bool, Parameter(negative="")] = False,
    result: Path = RESULT,
) -> int:
    """Hand a person over, from a day centre to CCEM and on to a shelter, and print the story.

    Args:
        all_: hand over every person of examples/referrals, and not the first alone.
        one_process: run each node as one process, and not as three.
        result: where to write what the stores said afterwards.
    """
    files = sorted(REFERRALS.glob("*.json"))
    files = files if all_ else files[:1]
    teller = Teller(Words(LOCALE), one=len(files) == 1)
    began = monotonic()
    try:
        with until_told(), tempfile.TemporaryDirectory(prefix="relais-demo-") as folder:
            processes = Processes.ONE if one_process else Processes.THREE
            with (
                _logs_kept(Path(folder), result.parent / "demo-logs"),
                network(Path(folder), processes=processes, progress=on_screen) as net,
            ):
                teller.say("network.up", monotonic() - began)
                story = Story(net, teller)
                asyncio.run(story.play(files))
                found = asyncio.run(account(net, story.legs, files, monotonic() - began))
    except (LocalError, DemoError) as error:
        on_screen(str(error))
        return 1
    except KeyboardInterrupt:
        on_screen("stopped")
        return 130
    result.parent.mkdir(parents=True, exist_ok=True)
    result.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    teller.close(found, result)
    return 0 if found["ok"] else 1


class Teller:
    """Prints the story as it happens, in the reader's language."""

    def __init__(self, words: Words, *, one: bool) -> None:
        """Take the words; ``one`` person's story is told step by step, many by whom has arrived."""
        self._words = words
        self._language = words.choose([os.environ.get("LC_ALL") or os.environ.get("LANG", "en")[:2]])
        self._one = one
        self._arrived = 0

    def __call__(self, code: str, seconds: float, referral: str) -> None:
        """Tell one step."""
        del referral
        if self._one:
            self.say(code, seconds)
        elif code == "abri.arrived":
            self._arrived += 1
            self._line(self._words.say(self._language, "persons.arrived", count=self._arrived), seconds)

    def say(self, code: str, seconds: float) -> None:
        """Tell something."""
        self._line(self._words.say(self._language, code), seconds)

    def close(self, found: dict[str, object], result: Path) -> None:
        """Say how it ended."""
        sys.stdout.write(f"\n{json.dumps({key: found[key] for key in SHOWN}, ensure_ascii=False)}\n")
        sys.stdout.write(f"{self._words.say(self._language, 'told.ok' if found['ok'] else 'told.wrong')} {result}\n")

    def _line(self, text: str, seconds: float) -> None:
        sys.stdout.write(f"{seconds:8.3f} s  {text}\n")
        sys.stdout.flush()


SHOWN: Final = ("ok", "referral", "states", "responsible", "receipts", "notifications", "mails", "traces", "seconds")


@contextmanager
def _logs_kept(folder: Path, kept: Path) -> Iterator[None]:
    """If the demo fails, keep what the programs have logged: codes and ids, nothing about a person."""
    try:
        yield
    except (LocalError, DemoError):
        for log in folder.rglob("*.log"):
            target = kept / log.relative_to(folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(log, target)
        on_screen(f"the logs are in {kept}")
        raise
