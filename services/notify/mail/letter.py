"""A notice as a mail: plain text and a little HTML, and nothing that is fetched or followed from afar.

The subject says no more than the body. A mail that is tried again is the same to the last byte, its Message-ID
(RFC 5322, 3.6.4) included, so that a mail server or a reader's program that was given it twice can tell.
"""

from collections.abc import Sequence
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from pathlib import Path
from typing import Final
from uuid import UUID

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from services.notify.domain.notice import Notice
from services.notify.voice import Voice
from shared.contracts.codes import Urgency
from shared.mail_address import MailAddress
from shared.values import dataclass
from shared.words import direction

TEMPLATES: Final = Path(__file__).parents[1] / "templates"

PARTS: Final = ("number", "urgency", "look", "foot")
"""The words of a mail that are the same in every one."""

IMPORTANCE: Final = {Urgency.IMMEDIATE: "high", Urgency.URGENT: "high", Urgency.STANDARD: "normal"}
"""RFC 2156, 5.3.4: how a reader's program should show it."""


@dataclass(frozen=True, slots=True)
class MailHead:
    """Which mail, when it was first made, and from whom to whom."""

    id: UUID
    at: datetime
    sender: MailAddress
    recipient: MailAddress

    @property
    def message_id(self) -> str:
        """The same for every try, and unlike any other."""
        return f"<{self.id}@{self.sender.rpartition('@')[2]}>"


class Composer:
    """Writes mails."""

    def __init__(self, voice: Voice) -> None:
        """Take the words."""
        self._voice = voice
        self._templates = Environment(
            loader=FileSystemLoader(TEMPLATES),
            autoescape=select_autoescape(["html"]),
            undefined=StrictUndefined,
            keep_trailing_newline=True,
        )

    def compose(self, notice: Notice, languages: Sequence[str], head: MailHead) -> bytes:
        """Return the mail (RFC 5322) in 7-bit lines that end in CRLF: the same bytes for the same arguments.

        Args:
            notice: what it says.
            languages: what its reader reads, best first.
            head: what it is called, and from whom to whom it goes.
        """
        language = self._voice.language(languages)
        title = self._voice.title(notice, language)
        urgency = self._voice.urgency(notice.urgency, language)
        mail = EmailMessage(policy=SMTP)
        mail["From"] = f"Relais <{head.sender}>"
        mail["To"] = head.recipient
        mail["Subject"] = self._voice.words.say(language, "mail-subject", title=title, urgency=urgency)
        mail["Date"] = format_datetime(head.at)
        mail["Message-ID"] = head.message_id
        mail["Auto-Submitted"] = "auto-generated"  # RFC 3834, 5: nobody's holiday notice answers it
        mail["Importance"] = IMPORTANCE[notice.urgency]
        said = {
            "title": title,
            "notice": notice,
            "urgency": urgency,
            "words": {part: self._voice.words.say(language, f"mail-{part}") for part in PARTS},
            "language": language,
            "direction": direction(language),
        }
        text, html = (self._templates.get_template(f"mail.{kind}").render(said) for kind in ("txt", "html"))
        mail.set_content(text, cte="quoted-printable")
        mail.add_alternative(html, subtype="html", cte="quoted-printable")
        mail["Content-Language"] = language
        mail.set_boundary(f"relais-{head.id.hex}")
        return mail.as_bytes()
