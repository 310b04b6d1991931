"""A small business for testing the shell: parcels with a running total, on real tables and a real queue.

A message says how much to add to a parcel, or misbehaves in one of the ways that messages do.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from shared.contracts.entries import Entry, EntryCode
from shared.messaging.decision import Decision, Early
from shared.messaging.delivery import Delivery, Heard, Later, Unreadable
from shared.messaging.desk import Desk, Said
from shared.messaging.outbox import Letter
from shared.storage.pool import Connection

TABLES = """
CREATE TABLE parcel (
    id uuid PRIMARY KEY,
    total integer NOT NULL CHECK (total < 1000),
    steps integer[] NOT NULL
);
GRANT SELECT, INSERT, UPDATE ON parcel TO {role};
"""


@dataclass(frozen=True, slots=True)
class Add:
    """Add ``amount`` to the parcel, once ``after`` steps have been taken."""

    parcel: UUID
    amount: int
    after: int = 0


@dataclass(frozen=True, slots=True)
class Parcel:
    """What is known of a parcel."""

    total: int = 0
    steps: tuple[int, ...] = ()


def message(
    parcel: UUID, amount: int, *, id_: UUID | None = None, after: int = 0, trouble: str = ""
) -> tuple[UUID, bytes]:
    """Return a message's id and bytes; ``trouble`` is ``unreadable``, ``later``, ``forbidden`` or ``bug``."""
    id_ = id_ or uuid4()
    said = {"id": str(id_), "parcel": str(parcel), "amount": amount, "after": after, "trouble": trouble}
    return id_, json.dumps(said).encode()


class ParcelDesk(Desk[Add, Parcel]):
    """Adds up parcels and says each new total."""

    name = "parcels"
    says = tuple

    def __init__(self) -> None:
        self.troubles: set[str] = {"unreadable", "later", "forbidden", "bug"}
        """Which troubles are still there; a test mends one by taking it out."""
        self.decided: list[int] = []
        self.tried: list[int] = []
        """The amount of each message, whenever it is looked at."""

    def read(self, delivery: Delivery) -> Heard[Add]:
        """Read a message, or say that it cannot be read."""
        said: dict[str, Any] = json.loads(delivery.body) if delivery.body[:1] == b"{" else {"trouble": "unreadable"}
        trouble = said.get("trouble", "")
        if trouble == "unreadable" and trouble in self.troubles:
            raise Unreadable("parcel-unreadable")
        add = Add(UUID(said["parcel"]), said["amount"], said["after"])
        return Heard(UUID(said["id"]), delivery.digest(), add.parcel, _Troubled(add, trouble).add_with(self.troubles))

    async def load(self, connection: Connection, keys: Sequence[UUID], whats: Sequence[Add]) -> dict[UUID, Parcel]:
        """Load and lock the parcels."""
        del whats
        rows = await connection.fetch(
            "SELECT id, total, steps FROM parcel WHERE id = ANY($1::uuid[]) ORDER BY id FOR UPDATE", keys
        )
        return {row["id"]: Parcel(row["total"], tuple(row["steps"])) for row in rows}

    def decide(self, state: Parcel | None, heard: Heard[Add], at: datetime) -> Decision[Parcel] | Early:
        """Add, once everything before it is there."""
        state = state or Parcel()
        add = heard.what
        self.tried.append(add.amount)
        if isinstance(add, _Trouble):
            add.happen()
        if add.after > len(state.steps):
            return Early(add.parcel, add.after + 1)
        self.decided.append(add.amount)
        parcel = Parcel(state.total + add.amount, (*state.steps, add.amount))
        entry = Entry(EntryCode.CASE_WRITTEN, "ccem-fr", add.parcel, at, {"amount": str(add.amount)})
        return Decision(parcel, (("total", add.parcel, parcel.total),), (entry,))

    def next_turn(self, state: Parcel) -> int:
        """Return the number of the step that comes next."""
        return len(state.steps) + 1

    async def keep(
        self, connection: Connection, states: Mapping[UUID, Parcel], decisions: Sequence[Decision[Parcel]], at: datetime
    ) -> None:
        """Write the parcels."""
        del decisions, at
        await connection.executemany(
            """
            INSERT INTO parcel (id, total, steps) VALUES ($1, $2, $3)
            ON CONFLICT (id) DO UPDATE SET total = excluded.total, steps = excluded.steps
            """,
            [(id_, parcel.total, list(parcel.steps)) for id_, parcel in states.items()],
        )

    async def say(self, connection: Connection, said: Sequence[Said], at: datetime) -> Sequence[Letter]:
        """Say each new total to `notify`."""
        del connection, at
        return [
            Letter(
                uuid4(),
                "node",
                "from.referral",
                "notify",
                {"relais-test": "yes"},
                "application/json",
                _encode(each.what),
            )
            for each in said
        ]


def _encode(what: object) -> bytes:
    return json.dumps(what, default=str).encode()


@dataclass(frozen=True, slots=True)
class _Trouble(Add):
    trouble: str = ""

    def happen(self) -> None:
        """Misbehave."""
        match self.trouble:
            case "later":
                raise Later("parcel-later")
            case "forbidden":
                raise Unreadable("parcel-forbidden")
            case "bug":
                text = "a programming error that quotes Canary Name"
                raise RuntimeError(text)


@dataclass(frozen=True, slots=True)
class _Troubled:
    add: Add
    trouble: str

    def add_with(self, troubles: set[str]) -> Add:
        if self.trouble in troubles:
            return _Trouble(self.add.parcel, self.add.amount, self.add.after, self.trouble)
        return self.add
