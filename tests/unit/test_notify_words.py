"""What is put into words: complete in both languages, the same for everything that happened, and nothing more."""

import email
import re
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import default
from html.parser import HTMLParser
from string import Formatter
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import pytest
from babel.messages.pofile import read_po
from hypothesis import given
from hypothesis import strategies as st

from services.notify.domain.notice import Matter, matter_of, notice
from services.notify.mail.letter import Composer, MailHead
from services.notify.voice import LOCALE, Voice
from shared.contracts.codes import Urgency
from shared.contracts.facts import FactCode

AT = datetime(2026, 11, 24, 8, 12, tzinfo=UTC)
SITE = "https://relais.example.org"
LANGUAGES = ("en", "fr")

voice = Voice()
composer = Composer(voice)


def catalogue(language: str) -> dict[str, tuple[str, ...]]:
    with (LOCALE / language / "LC_MESSAGES" / "messages.po").open("rb") as source:
        found = read_po(source, locale=language)
    assert not [message.id for message in found if message.fuzzy and message.id]
    assert not found.obsolete
    return {str(texts(message.id)[0]): texts(message.string) for message in found if message.id}


def texts(one_or_more: object) -> tuple[str, ...]:
    return tuple(map(str, one_or_more)) if isinstance(one_or_more, list | tuple) else (str(one_or_more),)


def blanks(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


def mail(
    subject: UUID, urgency: Urgency, matter: Matter, language: str, id_: UUID | None = None
) -> tuple[EmailMessage, bytes]:
    head = MailHead(id_ or uuid4(), AT, "relais@ccem.example.org", "ana@ccem.example.org")
    raw = composer.compose(notice(subject, urgency, matter, SITE), [language], head)
    return email.message_from_bytes(raw, policy=default), raw


def body(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    assert isinstance(part, EmailMessage)
    return str(part.get_content())


def words(text: str) -> set[str]:
    """Return the words of ``text``, without the dashes before a signature."""
    return set(re.findall(r"\w[\w-]*", text))


class Visible(HTMLParser):
    """Collects the text of a page, what it links to, and what it would fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.text: list[str] = []
        self.links: list[str] = []
        self.fetched: list[str] = []
        self.root: dict[str, str | None] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Look at one tag."""
        found = dict(attrs)
        if tag == "html":
            self.root = found
        self.links += [found["href"] or ""] if "href" in found else []
        self.fetched += [name for name in ("src", "srcset", "background", "action", "data") if name in found]

    def handle_data(self, data: str) -> None:
        """Keep one run of text."""
        self.text.append(data)


def test_both_catalogues_say_the_same_things_with_the_same_blanks() -> None:
    english, french = catalogue("en"), catalogue("fr")
    assert english.keys() == french.keys()
    for code, texts in english.items():
        assert all([*texts, *french[code]]), code
        # The singular may spell the number out; every other form has the same blanks.
        assert blanks(texts[-1]) == blanks(french[code][-1]), code


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("urgency", Urgency)
def test_every_urgency_has_a_word(language: str, urgency: Urgency) -> None:
    assert voice.urgency(urgency, language) in catalogue(language)[f"urgency-{urgency}"]


@pytest.mark.parametrize(
    ("count", "english", "french"),
    [
        (0, "Nothing is unread", "Aucune notification non lue"),
        (1, "One notification is unread", "1 notification non lue"),
        (2, "2 notifications are unread", "2 notifications non lues"),
        (21, "21 notifications are unread", "21 notifications non lues"),
    ],
)
def test_plurals_follow_the_language(count: int, english: str, french: str) -> None:
    assert (voice.unread(count, "en"), voice.unread(count, "fr")) == (english, french)


def test_dates_follow_the_language_and_the_time_zone() -> None:
    assert voice.when(AT, "en", ZoneInfo("Europe/London")).startswith("Nov 24, 2026, 8:12")
    assert voice.when(AT, "fr", ZoneInfo("Asia/Beirut")).startswith("24 nov. 2026, 10:12")


@pytest.mark.parametrize(
    ("reads", "language"), [(["fr", "en"], "fr"), (["en"], "en"), (["ar", "fr"], "fr"), (["ar"], "en"), ([], "en")]
)
def test_a_reader_is_told_in_the_best_language_there_is(reads: list[str], language: str) -> None:
    assert voice.language(reads) == language


@pytest.mark.parametrize("language", LANGUAGES)
@given(urgency=st.sampled_from(Urgency), codes=st.tuples(st.sampled_from(FactCode), st.sampled_from(FactCode)))
def test_nobody_can_tell_from_a_title_what_happened(
    language: str, urgency: Urgency, codes: tuple[FactCode, FactCode]
) -> None:
    subject = uuid4()
    told = {
        code: voice.title(notice(subject, urgency, matter_of(code), SITE), language)
        for code in codes
        if code is not FactCode.MESSAGE_PARKED
    }
    assert len(set(told.values())) <= 1


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("matter", Matter)
@pytest.mark.parametrize("urgency", Urgency)
def test_two_mails_differ_in_number_and_link_alone(language: str, matter: Matter, urgency: Urgency) -> None:
    subjects, id_ = (uuid4(), uuid4()), uuid4()
    bare = set()
    for subject in subjects:
        message, _ = mail(subject, urgency, matter, language, id_)
        said = notice(subject, urgency, matter, SITE)
        whole = "\n".join([*map(str, message.items()), body(message, "plain"), body(message, "html")])
        assert said.number in whole
        assert said.link in whole
        bare.add(whole.replace(said.link, "LINK").replace(said.number, "NUMBER"))
    assert len(bare) == 1


def test_a_mail_reads_like_this_in_english() -> None:
    subject = UUID("4f7a91c2-0000-4000-8000-000000000001")
    message, _ = mail(subject, Urgency.IMMEDIATE, Matter.REFERRAL, "en")
    assert message["Subject"] == "Relais: R-4F7A-91C2 waits for you (immediate)"
    assert body(message, "plain").splitlines()[:5] == [
        "R-4F7A-91C2 waits for you",
        "",
        "Number: R-4F7A-91C2",
        "Urgency: immediate",
        f"Look here: {SITE}/referrals/{subject}",
    ]


def test_a_mail_reads_like_this_in_french() -> None:
    subject = UUID("4f7a91c2-0000-4000-8000-000000000001")
    message, _ = mail(subject, Urgency.STANDARD, Matter.PARKED, "fr")
    assert (
        message["Subject"]
        == "Relais\u00a0: R-4F7A-91C2 a été mis de côté et attend l’administration technique (courant)"
    )
    assert f"{SITE}/parked/{subject}" in body(message, "plain")


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_subject_says_no_more_than_the_body(language: str) -> None:
    message, _ = mail(uuid4(), Urgency.URGENT, Matter.REFERRAL, language)
    assert words(message["Subject"]) - words(body(message, "plain")) == {"Relais"}


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_of_a_mail_follows_and_fetches_nothing(language: str) -> None:
    subject = uuid4()
    message, _ = mail(subject, Urgency.URGENT, Matter.REFERRAL, language)
    page = Visible()
    page.feed(body(message, "html"))
    assert page.root == {"lang": language, "dir": "ltr"}
    assert page.links == [f"{SITE}/referrals/{subject}"]
    assert page.fetched == []
    assert words(" ".join(page.text)) == words(body(message, "plain"))


def test_a_mail_says_that_a_program_wrote_it_and_asks_for_no_receipt() -> None:
    message, _ = mail(uuid4(), Urgency.IMMEDIATE, Matter.REFERRAL, "fr")
    assert set(message.keys()) == {
        "From",
        "To",
        "Subject",
        "Date",
        "Message-ID",
        "Auto-Submitted",
        "Content-Language",
        "Importance",
        "MIME-Version",
        "Content-Type",
    }
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Content-Language"] == "fr"
    assert message["Importance"] == "high"


def test_the_same_mail_is_the_same_to_the_last_byte_and_seven_bits_wide() -> None:
    subject, id_ = uuid4(), uuid4()
    (first, raw), (_, again) = (mail(subject, Urgency.URGENT, Matter.REFERRAL, "fr", id_) for _ in range(2))
    assert raw == again
    assert first["Message-ID"] == f"<{id_}@ccem.example.org>"
    assert raw.isascii()
    assert all(line.endswith(b"\r") or not line for line in raw.split(b"\n"))
    assert max(map(len, raw.splitlines())) <= 998  # RFC 5322, 2.1.1
