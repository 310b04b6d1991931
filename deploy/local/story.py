"""The story that ``relais demo`` tells: a person is handed over, from a day centre to CCEM, and from CCEM to a shelter.

Every step is real work: the partner system publishes sealed events, the services do what they always do, staff act over
the API. Nothing here decides anything, and nothing personal is printed.
"""

import asyncio
import json
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import Any, Final, TypeAlias

from deploy.local.network import ABRI, ACCUEIL, CCEM, Network
from deploy.local.partner import PROGRAM, ROOT, partner_keys
from deploy.local.staff import DemoError, Worker

Tell: TypeAlias = Callable[[str, float, str], None]
"""Takes the code of a step, how many seconds it took, and the referral."""

LONGEST_SECONDS: Final = 300.0
BROKER_VARIABLE: Final = "ACCUEIL_BROKER"
DECIDING: Final = frozenset({"summary", "exploitation", "risk"})
"""What the shelter needs to decide, and what does not say who the person is."""
CHILD: Final = frozenset({"0_11", "12_14", "15_17", "child", "in_doubt"})
MOVES_ON_ARRIVAL: Final = frozenset({"transfer", "brokered"})
FIRST_MEETING: Final = timedelta(days=1)


@dataclass(frozen=True)
class Leg:
    """One referral of a hand-over, as both organisations call it, and of which kind it is."""

    referral: str
    sender: str
    receiver: str
    kind: str

    @property
    def responsible(self) -> str:
        """Who answers for the person once they have arrived."""
        return self.receiver if self.kind in MOVES_ON_ARRIVAL else self.sender


@dataclass
class Story:
    """What is going on."""

    network: Network
    tell: Tell
    legs: list[Leg] = field(default_factory=list)

    async def play(self, files: Sequence[Path]) -> None:
        """Hand over the persons of ``files``, side by side.

        Raises:
            DemoError: one of them did not arrive.
        """
        try:
            await self._play(files)
        except* DemoError as group:
            raise group.exceptions[0] from None

    async def _play(self, files: Sequence[Path]) -> None:
        async with Worker(self.network.nodes[CCEM]) as ccem, Worker(self.network.nodes[ABRI]) as abri:
            program = await self._start_partner(files)
            try:
                async with asyncio.timeout(LONGEST_SECONDS):
                    await self._listen(program, ccem, abri, len(files))
            finally:
                with suppress(ProcessLookupError):
                    program.terminate()
                await program.wait()

    async def _start_partner(self, files: Sequence[Path]) -> asyncio.subprocess.Process:
        folder = self.network.folder / ACCUEIL
        arguments = [
            *("--folder", str(folder), "--to", CCEM, "--partner-keys", str(partner_keys(folder, CCEM))),
            *("--timeout", str(LONGEST_SECONDS), "--referral", *map(str, files)),
        ]
        return await asyncio.create_subprocess_exec(
            sys.executable,
            *PROGRAM,
            "refer",
            *arguments,
            cwd=ROOT,
            env={**os.environ, BROKER_VARIABLE: self.network.partner_url},
            stdout=asyncio.subprocess.PIPE,
        )

    async def _listen(self, program: asyncio.subprocess.Process, ccem: Worker, abri: Worker, count: int) -> None:
        """Play CCEM's and the shelter's part for each referral that the partner speaks of, until all are done."""
        if program.stdout is None:  # it was asked for
            raise AssertionError
        playing: dict[str, asyncio.Task[None]] = {}
        before: dict[str, float] = {}
        async with asyncio.TaskGroup() as together:
            async for line in program.stdout:
                said: dict[str, Any] = json.loads(line)
                referral = said.get("referral")
                if referral is None:
                    continue
                elapsed = said["elapsed_ms"] / 1000
                self.tell(f"partner.{said['event'].removesuffix('.v1')}", elapsed - before.get(referral, 0.0), referral)
                before[referral] = elapsed
                if referral not in playing:
                    playing[referral] = together.create_task(self._hand_over(referral, ccem, abri))
        if await program.wait() != 0 or len(playing) != count:
            message = f"the partner system has seen {len(playing)} of {count} persons off"
            raise DemoError(message)

    async def _hand_over(self, first: str, ccem: Worker, abri: Worker) -> None:
        """CCEM takes the person in, and hands them on to the shelter."""
        arrived = await self._take_in(first, ccem)
        self.legs.append(Leg(first, ACCUEIL, CCEM, arrived["kind"]))
        file = await self._write_file(arrived, ccem)
        offered = await self._offer(arrived, file, ccem)
        self.legs.append(Leg(offered["exchange_id"], CCEM, ABRI, offered["kind"]))
        await self._pass_on(offered["exchange_id"], sorted(file), ccem, abri)

    async def _take_in(self, referral: str, ccem: Worker) -> Any:  # noqa: ANN401
        step = _Steps(self.tell, referral)
        await ccem.sees(referral, "received")
        step("ccem.received")
        await ccem.step(referral, "open")
        step("ccem.opened")
        await ccem.step(referral, "accept", _meeting(withheld=[]))
        step("ccem.accepted")
        await ccem.sees(referral, "disclosed")
        step("ccem.disclosed")
        arrived = await ccem.step(referral, "arrive")
        step("ccem.arrived")
        return arrived

    async def _write_file(self, arrived: Any, ccem: Worker) -> dict[str, Any]:  # noqa: ANN401
        """Open what the day centre has disclosed, and write it into CCEM's own file on the person."""
        step = _Steps(self.tell, arrived["exchange_id"])
        papers = await ccem.papers(arrived["exchange_id"])
        file = {paper["name"]: paper["content"] for paper in papers if paper["name"] in CATEGORIES}
        for category, content in file.items():
            await ccem.put(f"/cases/{arrived['case']}/parts/{category}", content)
        step("ccem.written")
        return file

    async def _offer(self, arrived: Any, file: dict[str, Any], ccem: Worker) -> Any:  # noqa: ANN401
        """Record what the person allows, and offer the person to the shelter without saying who they are.

        Only who answers for a person hands them over: where the day centre still does, the shelter is asked for what
        CCEM was asked for.
        """
        step = _Steps(self.tell, arrived["exchange_id"])
        child = file["summary"]["age_band"] in CHILD
        await ccem.post(
            f"/cases/{arrived['case']}/grants",
            {
                "recipient": ABRI,
                "categories": sorted(file),
                "form": "oral",
                "language": "fra",
                "given_by": "guardian" if child else "person",
                "explained": True,
            },
        )
        step("ccem.granted")
        offered = await ccem.post(
            f"/cases/{arrived['case']}/referrals",
            {
                "to": ABRI,
                "kind": "transfer" if arrived["responsible"] == CCEM else arrived["kind"],
                "urgency": arrived["urgency"],
                "categories": sorted(file.keys() & DECIDING),
                "conversation": arrived["conversation"],
            },
        )
        step("ccem.offered")
        return offered

    async def _pass_on(self, referral: str, categories: list[str], ccem: Worker, abri: Worker) -> None:
        step = _Steps(self.tell, referral)
        await abri.sees(referral, "received")
        step("abri.received")
        await ccem.sees(referral, "received")
        step("ccem.receipted")
        await abri.step(referral, "open")
        await abri.papers(referral)
        step("abri.opened")
        await abri.step(referral, "ask", {"question": "Quand la personne peut-elle venir ?"})
        await ccem.sees(referral, "asked")
        step("abri.asked")
        await ccem.step(referral, "answer", {"answer": "Demain."})
        await abri.sees(referral, "opened")
        step("ccem.answered")
        await abri.step(referral, "accept", _meeting(withheld=["where"]))
        await ccem.sees(referral, "accepted")
        step("abri.accepted")
        await ccem.step(referral, "disclose", {"categories": categories})
        await abri.sees(referral, "disclosed")
        step("ccem.disclosed-to-abri")
        await abri.step(referral, "arrive")
        await ccem.sees(referral, "arrived")
        step("abri.arrived")


CATEGORIES: Final = frozenset(
    {
        *("summary", "identity", "safe_contact", "narrative", "family", "health", "legal"),
        *("administrative", "exploitation", "risk", "documents"),
    }
)


class _Steps:
    """Tells each step of a referral with the seconds since the last."""

    def __init__(self, tell: Tell, referral: str) -> None:
        self._tell = tell
        self._referral = referral
        self._since = monotonic()

    def __call__(self, code: str) -> None:
        now = monotonic()
        self._tell(code, now - self._since, self._referral)
        self._since = now


def _meeting(*, withheld: list[str]) -> dict[str, Any]:
    """Return a meeting of tomorrow; a shelter does not say where it is."""
    when = datetime.now(UTC) + FIRST_MEETING
    meeting = {"when": when.isoformat(), "who": "Une personne de l'équipe", "withheld": withheld}
    if "where" not in withheld:
        meeting["where"] = "À l'accueil"
    return {"meeting": meeting, "expected": when.isoformat()}
