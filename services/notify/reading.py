"""What a member of staff may do with their own notifications: list them, follow them as they come, mark one as read.

A notification is named by its place in the member's own count, so that a name of somebody else's cannot even be asked
for: unknown and forbidden are the same because there is nothing to tell apart.
"""

from collections.abc import AsyncGenerator, Sequence
from typing import Final
from zoneinfo import ZoneInfo

from services.notify.bell import Bell
from services.notify.domain.notice import notice
from services.notify.shown import NotificationShown, Page
from services.notify.store import notifications
from services.notify.store.notifications import Notification, Place
from services.notify.voice import Voice
from shared.audit import log as audit
from shared.clock import Clock
from shared.contracts.entries import Entry, EntryCode
from shared.messaging.loops import within
from shared.staff import StaffBook, StaffMember
from shared.storage.pool import Pool, will_pass
from shared.telemetry.logs import get_logger
from shared.values import dataclass

HEARTBEAT_SECONDS: Final = 15.0
"""How long a stream may be silent (the HTML standard, 9.2.7, says about 15), and how often it looks by itself."""
AWAY_SECONDS: Final = 2.0
"""When it looks again after the database was away: whatever rang for what it did not see then does not ring again."""
AT_ONCE: Final = 100
"""Notifications that a stream reads at once, at most: all that it ever holds."""
LARGEST_PLACE: Final = Place(2**63 - 1)

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Start:
    """Where a stream begins: after ``place``, with all that came since or with what is unread."""

    place: Place
    unread_only: bool


class Reading:
    """Each member's own notifications, in their own language."""

    def __init__(self, *, pool: Pool, clock: Clock, bell: Bell, voice: Voice, staff: StaffBook, site: str) -> None:
        """Take where notifications are, what rings, the words, whom there is, and the node's address."""
        self._pool = pool
        self._clock = clock
        self._bell = bell
        self._voice = voice
        self._zones = {member.id: ZoneInfo(member.time_zone) for member in staff.members}
        self._site = site

    async def page(self, member: StaffMember, before: Place | None, limit: int, *, unread_only: bool) -> Page:
        """Return up to ``limit`` notifications from before ``before``, newest first."""
        async with (
            self._pool.acquire() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            found = await notifications.before(
                connection, member.id, before or LARGEST_PLACE, limit + 1, unread_only=unread_only
            )
            unread = await notifications.unread(connection, member.id)
            last = await notifications.last(connection, member.id)
        shown = [self._show(member, each) for each in found[:limit]]
        return Page(
            unread=unread,
            summary=self._voice.unread(unread, self.language(member)),
            notifications=shown,
            next=shown[-1].id if len(found) > limit else None,
            last=last,
        )

    async def mark_read(self, member: StaffMember, place: Place) -> bool:
        """Mark a notification as read, and say whether there is one. Marked twice, it is written down once."""
        at = self._clock.now()
        async with self._pool.acquire() as connection, connection.transaction():
            read = await notifications.read(connection, member.id, place)
            if read is not None and read.now_first:
                entry = Entry(EntryCode.NOTIFICATION_READ, member.id, read.subject, at, {"fact": str(read.fact)})
                await audit.record(connection, entry)
        return read is not None

    async def start(self, member: StaffMember, after: Place | None) -> Start:
        """Return where a stream begins for somebody who has seen all up to ``after``, or who is new.

        Who is new gets what is unread. So does who has seen more than there is: the database was brought back from a
        backup, and their place means nothing any more.
        """
        async with self._pool.acquire() as connection:
            last = await notifications.last(connection, member.id)
        if after is None or after > last:
            return Start(Place(0), unread_only=True)
        return Start(after, unread_only=False)

    async def follow(self, member: StaffMember, start: Start) -> AsyncGenerator[NotificationShown | None]:
        """Yield ``None`` at once, then what ``member`` is told from ``start`` on, each once and in order.

        ``None`` also comes when nothing else did for a while. It ends when the service stops. While the database is
        away, nothing else comes.

        Raises:
            TooManyStreamsError: before anything is yielded.
        """
        place = start.place
        with self._bell.heard_by(member.id) as rung:
            yield None
            while not self._bell.stopped:
                rung.clear()
                looked = await self._after(member, place, unread_only=start.unread_only)
                fresh, patience = ((), AWAY_SECONDS) if looked is None else (looked, HEARTBEAT_SECONDS)
                for each in fresh:
                    place = each.place
                    yield self._show(member, each)
                if len(fresh) < AT_ONCE and not await within(patience, rung):
                    yield None

    def language(self, member: StaffMember) -> str:
        """Return the language in which ``member`` is told."""
        return self._voice.language(member.languages)

    async def _after(self, member: StaffMember, place: Place, *, unread_only: bool) -> Sequence[Notification] | None:
        """Return what comes after ``place``; ``None`` while the database is away."""
        try:
            async with self._pool.acquire() as connection:
                return await notifications.after(connection, member.id, place, AT_ONCE, unread_only=unread_only)
        except Exception as error:
            if not will_pass(error):
                raise
            log.warning("feed.waits", error=type(error).__name__)
            return None

    def _show(self, member: StaffMember, each: Notification) -> NotificationShown:
        language = self.language(member)
        said = notice(each.subject, each.urgency, each.matter, self._site)
        return NotificationShown(
            id=each.place,
            number=said.number,
            urgency=said.urgency,
            link=said.link,
            title=self._voice.title(said, language),
            urgency_title=self._voice.urgency(said.urgency, language),
            at=each.at,
            when=self._voice.when(each.at, language, self._zones[member.id]),
            read=each.read_at is not None,
        )
