"""The organisation's mail server, and what it answers: accepted, refused, later, or nothing that can be known.

The one moment that matters is between the end of the message and the server's answer: what breaks there may or may not
have been accepted (RFC 1047). The wait for that answer is therefore long, and every other one is short. Nothing that
the server says is passed on: its texts repeat addresses.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import field
from enum import StrEnum
from typing import Final
from urllib.parse import unquote, urlsplit

from aiosmtplib import SMTP, SMTPException, SMTPResponseException

from services.notify.domain.replies import is_recipients
from shared.values import dataclass

PORTS: Final = {"smtp": 25, "smtp+starttls": 587, "smtps": 465}
"""The schemes of a mail server's address: in clear (for a server on the same machine or network), STARTTLS, TLS."""

PERMANENT: Final = 500
"""RFC 5321, 4.2.1: a reply from here on will not change."""


class MailServerAwayError(Exception):
    """The mail server does not answer, or will not talk to us; nothing is wrong with any mail."""

    code: Final = "mail-server-away"


class MailServerAddressError(Exception):
    """``RELAIS_NOTIFY_SMTP`` is not the address of a mail server."""

    code: Final = "mail-server-address-malformed"


class Answer(StrEnum):
    """What became of a message that was handed over."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    """For good: there is no such mailbox, or it will not have it."""
    BARRED = "barred"
    """For good, and for our sake as far as the server says: it takes nothing from us."""
    LATER = "later"
    """Certainly not accepted, this time."""
    UNKNOWN = "unknown"
    """Handed over whole, and the answer never came."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long to wait, in seconds."""

    connect: float = 10.0
    command: float = 20.0
    answer: float = 120.0
    """For the answer to the whole message. RFC 5321, 4.5.3.2.6 asks for long, because giving up early doubles mail."""

    @property
    def longest_try(self) -> float:
        """How long one try on an open connection can take: MAIL, RCPT, DATA, the message, RSET."""
        return 4 * self.command + self.answer


@dataclass(frozen=True, slots=True)
class MailServer:
    """Where mail goes, and how to get in."""

    scheme: str
    host: str
    port: int
    name: str
    """How we introduce ourselves (EHLO): the domain of our own address."""
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    limits: Limits = Limits()

    @classmethod
    def at(cls, address: str, sender: str) -> "MailServer":
        """Return the server at ``address``: ``smtps://user:password@mail.example.org``.

        Raises:
            MailServerAddressError: another scheme than those of :data:`PORTS`, no host, no number for a port, or a
                password that would be sent in clear.
        """
        try:
            parts = urlsplit(address)
            host, port = parts.hostname, parts.port
        except ValueError:
            raise MailServerAddressError from None
        if parts.scheme not in PORTS or not host or (parts.scheme == "smtp" and parts.username):
            raise MailServerAddressError
        return cls(
            scheme=parts.scheme,
            host=host,
            port=port or PORTS[parts.scheme],
            name=sender.rpartition("@")[2],
            user=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password) if parts.password else None,
        )

    @asynccontextmanager
    async def session(self) -> AsyncIterator["Session"]:
        """Open a connection, introduced, encrypted and signed in; say goodbye at the end.

        Raises:
            MailServerAwayError: whatever went wrong until then.
        """
        client = SMTP(
            hostname=self.host,
            port=self.port,
            username=self.user,
            password=self.password,
            local_hostname=self.name,
            timeout=self.limits.command,
            use_tls=self.scheme == "smtps",
            start_tls=self.scheme == "smtp+starttls",
        )
        try:
            await client.connect(timeout=self.limits.connect)
            await client.ehlo()
        except (SMTPException, OSError, ValueError):
            client.close()
            raise MailServerAwayError from None
        try:
            yield Session(client, self.limits)
        finally:
            with suppress(SMTPException, OSError):
                await client.quit(timeout=self.limits.connect)
            client.close()


class Session:
    """One connection, on which messages go one after the other."""

    def __init__(self, client: SMTP, limits: Limits) -> None:
        """Take a connected client."""
        self._client = client
        self._limits = limits

    @property
    def open(self) -> bool:
        """Whether another message can go this way."""
        return self._client.is_connected

    async def hand_over(self, sender: str, recipient: str, message: bytes) -> Answer:
        """Hand ``message`` over and return what became of it.

        What is answered to MAIL is about us: an account that is blocked or has used up its quota, a sign-in that is
        asked for. What is answered to RCPT and DATA may be about us as well, or about this message.

        Raises:
            MailServerAwayError: the server did not take our address, or not now.
        """
        try:
            await self._client.mail(sender)
        except (SMTPException, OSError):
            raise MailServerAwayError from None
        try:
            await self._client.rcpt(recipient)
        except (SMTPException, OSError) as error:
            return await self._recover(error)
        try:
            async with asyncio.timeout(self._limits.command + self._limits.answer):
                await self._client.data(message, timeout=self._limits.answer)
        except SMTPResponseException as error:
            return await self._recover(error)
        except (SMTPException, OSError):
            self._client.close()
            return Answer.UNKNOWN
        return Answer.ACCEPTED

    async def _recover(self, error: Exception) -> Answer:
        """Make the connection fit for the next message, or give it up; return what ``error`` comes to."""
        try:
            await self._client.rset()
        except (SMTPException, OSError):
            self._client.close()
        match error:
            case SMTPResponseException(code=code, message=text) if code >= PERMANENT:
                return Answer.REFUSED if is_recipients(code, text) else Answer.BARRED
            case _:
                return Answer.LATER
