"""Keeps who is told of what: at the bell, and a mail for each whose telling says that one is due."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from services.notify.domain.telling import Telling
from services.notify.store import mails, notifications
from services.notify.store.mails import NewMail
from shared.storage.pool import Connection


async def keep(
    connection: Connection, told: Mapping[Telling, str | None], at: datetime, moved: timedelta
) -> list[Telling]:
    """Write down every telling of ``told``, each with the trace it was decided in, and return those that are new.

    Who was told of the same fact before is left alone.
    """
    by_name = {(telling.staff, telling.fact): telling for telling in told}
    new, new_mails = [], []
    for kept in await notifications.keep(connection, list(by_name.values()), at):
        telling = by_name[kept.staff, kept.fact]
        new.append(telling)
        if telling.mail_wait is not None:
            wait, trace = telling.mail_wait, told[telling]
            new_mails.append(NewMail(kept.staff, kept.place, telling.urgency, telling.audience, wait, trace))
    await mails.keep(connection, new_mails, moved)
    return new
