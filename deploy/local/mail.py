"""A mail server on the loopback that delivers to a folder: what staff are told can be read there, and goes nowhere."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from deploy.local.ports import LOOPBACK, free_ports

OK = "250 OK"


@dataclass(frozen=True, slots=True)
class Mail:
    """Where mail is handed in, and where it ends up."""

    folder: Path
    port: int

    @property
    def url(self) -> str:
        """The address of the server, as ``RELAIS_NOTIFY_SMTP`` takes it."""
        return f"smtp://{LOOPBACK}:{self.port}"

    def letters(self) -> list[Path]:
        """Return what has been delivered, oldest first."""
        return sorted(self.folder.glob("*.eml"))


class _Folder:
    """Writes each message to a file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = count(1)

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: ARG002, N802
        """Keep the message. The name of this method is aiosmtpd's."""
        content = envelope.content or b""
        path = self._folder / f"{next(self._numbers):06}.eml"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return OK


@contextmanager
def mail_catcher(folder: Path) -> Iterator[Mail]:
    """Take mail for everybody into ``folder`` for a while."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    (port,) = free_ports(1)
    controller = Controller(_Folder(folder), hostname=LOOPBACK, port=port)
    controller.start()
    try:
        yield Mail(folder, port)
    finally:
        controller.stop()
