"""A real mail server on the loopback that keeps what it accepts, and misbehaves when a test asks it to."""

import asyncio
import email
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import default
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope, Session

OK = "250 OK"

Answer = Callable[[], Awaitable[str]]
"""What is answered to a whole message. To break off instead, raise :class:`CutError`."""


class CutError(Exception):
    """Cut the connection instead of answering."""


@dataclass(frozen=True, slots=True)
class Received:
    """One message that came in whole, accepted or not."""

    sender: str
    recipient: str
    raw: bytes

    @property
    def message(self) -> EmailMessage:
        """The message, parsed."""
        parsed = email.message_from_bytes(self.raw, policy=default)
        assert isinstance(parsed, EmailMessage)
        return parsed

    @property
    def message_id(self) -> str:
        """What a mail program knows it by."""
        return str(self.message["Message-ID"])

    @property
    def text(self) -> str:
        """The plain text."""
        part = self.message.get_body(("plain",))
        assert part is not None
        return str(part.get_content())


@dataclass
class Mailbox:
    """Takes mail for anybody. ``answers`` are used up one for each message, then everything is accepted."""

    port: int = 0
    received: list[Received] = field(default_factory=list)
    answers: list[str | Answer] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    """Answers to RCPT, used up likewise."""
    senders: list[str] = field(default_factory=list)
    """Answers to MAIL, used up likewise."""
    connections: int = 0
    _server: asyncio.Server | None = None
    _open: list[SMTP] = field(default_factory=list)

    @property
    def address(self) -> str:
        """What ``RELAIS_NOTIFY_SMTP`` says."""
        return f"smtp://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Listen, on the same port as before when it was started before."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._connection, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Go away, and cut every connection."""
        if self._server is None:
            return
        self._server.close()
        for each in self._open:
            if each.transport is not None:
                each.transport.close()
        await self._server.wait_closed()
        self._server = None

    def to(self, recipient: str) -> list[Received]:
        """Return what came for ``recipient``."""
        return [each for each in self.received if each.recipient == recipient]

    async def handle_MAIL(  # noqa: N802 - aiosmtpd finds it by this name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: Sequence[str]
    ) -> str:
        """Answer MAIL."""
        del server, session
        answer = self.senders.pop(0) if self.senders else OK
        if answer == OK:
            envelope.mail_from = address
            envelope.mail_options.extend(options)
        return answer

    async def handle_RCPT(  # noqa: N802 - likewise
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: Sequence[str]
    ) -> str:
        """Answer RCPT."""
        del server, session, options
        answer = self.recipients.pop(0) if self.recipients else OK
        if answer == OK:
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - likewise
        """Keep the message and answer."""
        del session
        assert isinstance(envelope.content, bytes)
        self.received.append(Received(str(envelope.mail_from), envelope.rcpt_tos[0], envelope.content))
        answer = self.answers.pop(0) if self.answers else OK
        if isinstance(answer, str):
            return answer
        try:
            return await answer()
        except CutError:
            assert isinstance(server.transport, asyncio.Transport)
            server.transport.abort()
            return "421 cut"

    def _connection(self) -> SMTP:
        self.connections += 1
        protocol: Any = SMTP(self, hostname="mail.example.org", data_size_limit=65_536)
        self._open.append(protocol)
        return protocol  # type: ignore[no-any-return]  # aiosmtpd has no types
