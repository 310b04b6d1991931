"""What notify hears: facts, on ``notify.in``. It says nothing on the broker; what it says, it says to people.

A fact that holds more than a :class:`~shared.contracts.facts.Fact` may is not read at all: it is parked, and nothing of
it reaches a notification, a mail, the feed or a log. So is one that whoever says it may not say.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from pydantic import ValidationError

from services.notify.domain.speakers import may_say
from services.notify.domain.telling import Telling, tell, tell_parked
from services.notify.domain.who import Person
from services.notify.store import tellings
from shared.clock import Clock
from shared.contracts.facts import Fact
from shared.contracts.ids import FactId, OrganisationId
from shared.contracts.services import Service
from shared.messaging.decision import Decision
from shared.messaging.delivery import Delivery, Heard, Unreadable
from shared.messaging.desk import Desk, Said
from shared.messaging.outbox import Letter
from shared.storage.pool import Connection
from shared.telemetry import metrics
from shared.uuids import random_uuid

MALFORMED: Final = "fact-malformed"
NOT_THEIRS: Final = "fact-not-theirs"


class NotifyDesk(Desk[Fact, None]):
    """Facts in, notifications out. There is no state: a fact is told once, and the inbox remembers it for ever.

    Who is told depends on the fact and on the staff alone.
    """

    name = Service.NOTIFY.value
    says = Telling

    def __init__(self, people: Sequence[Person], organisation: OrganisationId, clock: Clock) -> None:
        """Take whom there is to tell, in whose name it is done, and how far the clock is moved."""
        self._people = people
        self._organisation = organisation
        self._clock = clock

    def read(self, delivery: Delivery) -> Heard[Fact]:
        """Read a fact.

        Raises:
            Unreadable: ``fact-malformed``; ``fact-not-theirs``: the service that says it may not say it.
        """
        try:
            fact = Fact.model_validate_json(delivery.body)
        except ValidationError:
            raise Unreadable(MALFORMED) from None
        if not may_say(delivery.origin, fact):
            raise Unreadable(NOT_THEIRS)
        return Heard(fact.id, delivery.digest(), fact.id, fact, fact.traceparent)

    def decide(self, state: None, heard: Heard[Fact], at: datetime) -> Decision[None]:  # noqa: ARG002
        """Say who is told."""
        return tell(heard.what, self._people, self._organisation, at)

    async def say(self, connection: Connection, said: Sequence[Said], at: datetime) -> Sequence[Letter]:
        """Write down every telling, and a mail where one is due; no letter leaves for them."""
        told = {each.what: each.traceparent for each in said if isinstance(each.what, Telling)}
        await tellings.keep(connection, told, at, self._clock.moved())
        return ()

    def committed(self, decisions: Sequence[Decision[None]], said: Sequence[Said]) -> None:  # noqa: ARG002
        """Count who has been told."""
        for each in said:
            if isinstance(each.what, Telling):
                metrics.NOTIFICATIONS.add(channel="bell", code=each.what.matter)

    def parked(self, held: UUID, code: str, at: datetime) -> tuple[object, ...]:  # noqa: ARG002
        """Tell the operators at the bell, here and now: they cannot be told by a fact that cannot be dealt with."""
        return tell_parked(FactId(random_uuid()), held, self._people, at)
