"""Sends the mail that is due, once: what that can mean, and what is done for it.

A mail server that has accepted a message takes no part in a database transaction, so that a crash between its answer
and our commit leaves a mail that was sent and is not known to be. It is then sent again: that somebody at risk waits
unseen is worse than a mail that comes twice. The window is as small as it can be: a mail is claimed by one process at a
time; what the server said is written down before anything else is done; where the database is away at that moment, the
process remembers, and writes it down before it sends anything more; a stop waits for the answer. Every try is the same
to the last byte, so that what does come twice has one Message-ID.

What must never happen: a mail that counts as sent and was not accepted; one mail that stops the others.
"""

import asyncio
from collections.abc import Coroutine, Sequence
from datetime import timedelta
from typing import Final

from services.notify.domain.notice import notice
from services.notify.domain.when import needs_mail
from services.notify.mail.letter import Composer, MailHead
from services.notify.mail.outcome import REFUSED, SERVICE, Outcomes
from services.notify.mail.server import Answer, MailServer, MailServerAwayError, Session
from services.notify.people import duties
from services.notify.store import mails
from services.notify.store.mails import Mail
from shared.clock import Clock
from shared.staff import StaffBook
from shared.storage.pool import Pool
from shared.telemetry import metrics, traces
from shared.telemetry.metrics import Dependency

LEASE_MARGIN: Final = timedelta(seconds=60)
LARGEST_SESSION: Final = 50
"""Mails on one connection; mail servers end longer ones."""


class MailDelivery:
    """Takes mail that is due and hands it to the mail server."""

    def __init__(
        self,
        *,
        pool: Pool,
        clock: Clock,
        server: MailServer,
        composer: Composer,
        outcomes: Outcomes,
        staff: StaffBook,
        sender: str,
        site: str,
    ) -> None:
        """Take where mail is kept, where it goes, who reads it, our own address and the node's (``site``)."""
        self._pool = pool
        self._clock = clock
        self._server = server
        self._composer = composer
        self._outcomes = outcomes
        self._staff = staff
        self._sender = sender
        self._site = site
        self._lease = timedelta(seconds=server.limits.longest_try) + LEASE_MARGIN
        self._accepted: list[Mail] = []
        """What the mail server has and the database does not know of yet."""

    async def step(self) -> bool:
        """Send what is due; return whether there may be more at once.

        Raises:
            MailServerAwayError: no mail is the worse for it; ask again later.
            OSError, asyncpg.PostgresError: the database is away; ask again later.
        """
        await self._write_down_accepted()
        await self._outcomes.take_back()
        async with self._pool.acquire() as connection:
            if not await mails.any_due(connection, self._clock.moved()):
                return False
        try:
            async with self._server.session() as session:
                more = await self._send_all(session)
        except MailServerAwayError:
            metrics.AVAILABLE.set(0, service=SERVICE, dependency=Dependency.MAIL)
            raise
        metrics.AVAILABLE.set(1, service=SERVICE, dependency=Dependency.MAIL)
        return more

    async def _send_all(self, session: Session) -> bool:
        for _ in range(LARGEST_SESSION):
            if not session.open:
                break
            if not await _to_its_end(self._send_next(session)):
                return False
        return True

    async def _send_next(self, session: Session) -> bool:
        """Claim one mail, hand it over and say what became of it; return whether there was one."""
        async with self._pool.acquire() as connection:
            mail = await mails.claim(connection, self._lease, self._clock.moved())
        if mail is None:
            return False
        if not needs_mail(mail.matter, mail.reminded_at, mail.tried_at, read=mail.read):
            await self._outcomes.skipped(mail)
            return True
        member = self._staff.member(mail.staff)
        if member is None or member.email is None or not duties(member):
            await self._outcomes.handed_on(mail)
            return True
        with traces.span_from(mail.traceparent, "mail.send", traces.Kind.CLIENT, {"attempt": mail.attempts}):
            try:
                answer = await self._hand_over(session, mail, member.email, member.languages)
            except MailServerAwayError:
                await self._outcomes.untried(mail)
                raise
            await self._conclude(mail, answer)
        return True

    async def _hand_over(self, session: Session, mail: Mail, recipient: str, languages: Sequence[str]) -> Answer:
        said = notice(mail.subject, mail.urgency, mail.matter, self._site)
        head = MailHead(mail.id, mail.made_at, self._sender, recipient)
        message = self._composer.compose(said, languages, head)
        return await session.hand_over(self._sender, recipient, message)

    async def _conclude(self, mail: Mail, answer: Answer) -> None:
        match answer:
            case Answer.ACCEPTED:
                self._accepted.append(mail)
                await self._write_down_accepted()
            case Answer.REFUSED:
                traces.mark_failed(REFUSED)
                await self._outcomes.parked(mail, REFUSED)
            case Answer.BARRED:
                traces.mark_failed("mail-barred")
                if await self._outcomes.barred(mail):
                    raise MailServerAwayError
            case Answer.LATER | Answer.UNKNOWN:
                traces.mark_failed(f"mail-{answer}")
                await self._outcomes.failed(mail, f"mail-{answer}")

    async def _write_down_accepted(self) -> None:
        while self._accepted:
            await self._outcomes.sent(self._accepted[0])
            del self._accepted[0]


async def _to_its_end(work: Coroutine[None, None, bool]) -> bool:
    """Run ``work`` to its end, also when the caller is stopped meanwhile: what was begun is finished."""
    task = asyncio.create_task(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.gather(task, return_exceptions=True)
        raise
