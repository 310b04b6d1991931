"""Who is told, when it is mailed, and that a notice can say nothing else than a number, an urgency and a link."""

import re
from collections.abc import Sequence
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from services.notify.domain.notice import Matter, Notice, matter_of, notice
from services.notify.domain.speakers import may_say
from services.notify.domain.telling import (
    LONGEST_AGO,
    NOBODY,
    Telling,
    Unread,
    tell,
    tell_after,
    tell_instead,
    tell_parked,
)
from services.notify.domain.when import (
    FIRST_PAUSE,
    INFORMS,
    LONGEST_PAUSE,
    PATIENCE,
    REMIND_AFTER,
    TRIES_END,
    mail_wait,
    needs_mail,
    next_try,
)
from services.notify.domain.who import INSTEAD, Person, on_duty, who
from services.notify.people import people
from shared.contracts.codes import Urgency
from shared.contracts.facts import Audience, Fact, FactCode
from shared.contracts.ids import FactId, OrganisationId, StaffId
from shared.settings import SiteAddress
from shared.staff import Role, StaffBook, StaffMember, token_digest

PAGE = Path(__file__).parents[2] / "docs" / "architecture" / "notify.md"
AT = datetime(2026, 11, 24, 8, 12, tzinfo=UTC)
CCEM = OrganisationId("ccem-fr")
SITE = "https://relais.example.org"
SUBJECT = UUID("905b82cb-3cc4-4193-9817-d54290559bce")

DUTIES = (Audience.CASEWORKERS, Audience.COORDINATOR, Audience.OPERATOR)
NAMES = ("ana", "bruno", "chloe", "dalia")

FACTS = """
report.taken                report    mail
referral.received           referral  mail
referral.receipted          referral  bell
referral.opened             referral  bell
referral.asked              referral  mail
referral.answered           referral  mail
referral.accepted           referral  mail
referral.disclosed          referral  mail
referral.declined           referral  mail
referral.redirected         referral  mail
referral.arrived            referral  mail
referral.missed             referral  mail
referral.rescheduled        referral  mail
referral.progressed         referral  bell
referral.closed             referral  bell
referral.withdrawn          referral  mail
referral.consent-withdrawn  referral  mail
referral.conflicted         referral  mail
referral.emptied            referral  mail
referral.overdue            referral  mail
receipt.missing             referral  mail
message.parked              parked    mail
"""
"""Of each fact: what its link leads to, and whether it is mailed or stays at the bell."""

staffs = st.lists(
    st.builds(
        lambda name, duties, has_mail: Person(StaffId(name), frozenset(duties), has_mail),
        st.sampled_from(NAMES),
        st.sets(st.sampled_from(DUTIES)),
        st.booleans(),
    ),
    unique_by=lambda person: person.id,
    max_size=len(NAMES),
)
facts = st.builds(
    lambda code, urgency, audience, assignee: Fact(
        id=FactId(uuid4()),
        code=code,
        subject=uuid4(),
        urgency=urgency,
        audience=audience,
        assignee=None if assignee is None else StaffId(assignee),
        at=AT,
    ),
    st.sampled_from(FactCode),
    st.sampled_from(Urgency),
    st.sampled_from(Audience),
    st.none() | st.sampled_from(NAMES),
)


def person(name: str, *duties: Audience, has_mail: bool = True) -> Person:
    return Person(StaffId(name), frozenset(duties), has_mail)


def fact(
    code: FactCode = FactCode.REFERRAL_ASKED,
    urgency: Urgency = Urgency.URGENT,
    audience: Audience = Audience.ASSIGNEE,
    assignee: str | None = None,
) -> Fact:
    return Fact(
        id=FactId(uuid4()),
        code=code,
        subject=uuid4(),
        urgency=urgency,
        audience=audience,
        assignee=None if assignee is None else StaffId(assignee),
        at=AT,
    )


def names(found: Sequence[Person]) -> list[str]:
    return [each.id for each in found]


ANA = person("ana", Audience.CASEWORKERS)
BRUNO = person("bruno", Audience.CASEWORKERS)
CHLOE = person("chloe", Audience.COORDINATOR)
DALIA = person("dalia", Audience.OPERATOR, has_mail=False)
VERA = person("vera")
EVERYBODY = (ANA, BRUNO, CHLOE, DALIA, VERA)


def test_of_every_fact_it_is_said_where_it_leads_and_whether_it_is_mailed() -> None:
    """A new fact has its line here first: nothing is linked or mailed for want of an answer."""
    found = [(code.value, matter_of(code).value, "bell" if code in INFORMS else "mail") for code in FactCode]
    assert found == [tuple(line.split()) for line in FACTS.strip().splitlines()]


def test_intake_may_say_that_something_is_parked_and_nothing_else() -> None:
    """A new fact is referral's until somebody writes another line here."""
    said = [
        (code, audience)
        for code in FactCode
        for audience in Audience
        if may_say("from.intake", fact(code, audience=audience))
    ]
    assert said == [(FactCode.MESSAGE_PARKED, Audience.OPERATOR)]


def test_referral_may_say_every_fact_and_who_is_not_known_none() -> None:
    facts = [fact(code, audience=audience) for code in FactCode for audience in Audience]
    assert all(may_say("from.referral", each) for each in facts)
    assert not any(
        may_say(origin, each) for origin in ("", "from.notify", "from.ccem-fr", "amq.direct") for each in facts
    )


def test_what_the_page_says_only_informs_is_what_is_never_mailed() -> None:
    (listed,) = re.findall(r"what only informs \((.*?)\)", PAGE.read_text(encoding="utf-8"))
    assert set(listed.split(", ")) == {code.rpartition(".")[2] for code in INFORMS}


@pytest.mark.parametrize(
    ("audience", "assignee", "told"),
    [
        (Audience.ASSIGNEE, "bruno", ["bruno"]),
        (Audience.ASSIGNEE, None, ["ana", "bruno"]),
        (Audience.ASSIGNEE, "gone", ["ana", "bruno"]),
        (Audience.ASSIGNEE, "vera", ["ana", "bruno"]),
        (Audience.CASEWORKERS, "bruno", ["ana", "bruno"]),
        (Audience.COORDINATOR, None, ["chloe"]),
        (Audience.OPERATOR, None, ["dalia"]),
    ],
)
def test_an_audience_finds_its_people(audience: Audience, assignee: str | None, told: list[str]) -> None:
    assert names(who(fact(audience=audience, assignee=assignee), EVERYBODY)) == told


@pytest.mark.parametrize(
    ("audience", "there", "told"),
    [
        (Audience.ASSIGNEE, (CHLOE, DALIA), ["chloe"]),
        (Audience.CASEWORKERS, (CHLOE, DALIA), ["chloe"]),
        (Audience.COORDINATOR, (ANA, DALIA), ["ana"]),
        (Audience.OPERATOR, (ANA, CHLOE), ["chloe"]),
        (Audience.OPERATOR, (ANA, VERA), ["ana"]),
    ],
)
def test_where_nobody_is_there_the_next_is_told(audience: Audience, there: Sequence[Person], told: list[str]) -> None:
    assert names(who(fact(audience=audience), there)) == told


@given(facts, staffs)
def test_somebody_is_told_wherever_somebody_has_a_duty(given_fact: Fact, staff: list[Person]) -> None:
    told = who(given_fact, staff)
    assert bool(told) == any(each.duties for each in staff)
    assert all(each.duties for each in told)
    assert len(set(names(told))) == len(told)


def test_every_audience_has_an_order_that_reaches_everybody() -> None:
    assert {audience: set(order) for audience, order in INSTEAD.items()} == {key: set(DUTIES) for key in Audience}


@pytest.mark.parametrize(
    ("code", "urgency", "wait"),
    [
        (FactCode.REFERRAL_RECEIVED, Urgency.IMMEDIATE, timedelta()),
        (FactCode.REFERRAL_RECEIVED, Urgency.URGENT, timedelta()),
        (FactCode.REFERRAL_RECEIVED, Urgency.STANDARD, PATIENCE),
        (FactCode.REFERRAL_PROGRESSED, Urgency.IMMEDIATE, None),
    ],
)
def test_mail_goes_by_urgency(code: FactCode, urgency: Urgency, wait: timedelta | None) -> None:
    assert mail_wait(code, urgency) == wait


@given(st.sampled_from(FactCode), st.sampled_from(Urgency))
def test_only_what_merely_informs_stays_at_the_bell(code: FactCode, urgency: Urgency) -> None:
    assert (mail_wait(code, urgency) is None) == (code in INFORMS)


@given(facts, staffs)
def test_a_fact_is_told_to_each_once_and_written_down(given_fact: Fact, staff: list[Person]) -> None:
    decision = tell(given_fact, staff, CCEM, AT)
    told = who(given_fact, staff)
    if not told:
        assert decision.refusal is not None
        assert decision.refusal.code == NOBODY
        return
    tellings = [said for said in decision.says if isinstance(said, Telling)]
    assert [telling.staff for telling in tellings] == [each.id for each in told]
    assert [entry.detail["staff"] for entry in decision.entries] == [each.id for each in told]
    for telling, each, entry in zip(tellings, told, decision.entries, strict=True):
        assert (telling.fact, telling.subject, telling.urgency) == (
            given_fact.id,
            given_fact.subject,
            given_fact.urgency,
        )
        assert (telling.mail_wait is not None) == (each.has_mail and given_fact.code not in INFORMS)
        assert entry.detail["channels"] == ("bell" if telling.mail_wait is None else "bell,mail")
        assert (entry.code, entry.actor, entry.subject) == ("notification.made", CCEM, given_fact.subject)


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (AT - timedelta(minutes=3), AT - timedelta(minutes=3)),
        (AT + timedelta(days=4), AT),
        (datetime.max.replace(tzinfo=UTC), AT),
        (datetime.min.replace(tzinfo=UTC), AT - LONGEST_AGO),
    ],
)
def test_a_clock_that_is_wrong_makes_no_time_that_cannot_be_shown(said: datetime, shown: datetime) -> None:
    heard = fact(assignee="ana").model_copy(update={"at": said})
    [telling] = tell(heard, EVERYBODY, CCEM, AT).says
    assert isinstance(telling, Telling)
    assert telling.at == shown


@given(facts, staffs)
def test_in_somebodys_place_whoever_is_there_for_the_audience_is_told(given_fact: Fact, staff: list[Person]) -> None:
    for telling in tell(given_fact, staff, CCEM, AT).says:
        assert isinstance(telling, Telling)
        instead = tell_instead(telling, staff)
        others = [each for each in staff if each.id != telling.staff]
        assert [each.staff for each in instead] == names(on_duty(given_fact.audience, others))
        for each in instead:
            assert (each.fact, each.subject, each.matter, each.at) == (
                telling.fact,
                telling.subject,
                telling.matter,
                telling.at,
            )
            assert each.mail_wait in {None, telling.mail_wait}


@pytest.mark.parametrize(
    ("matter", "mailed", "told"),
    [
        (Matter.REFERRAL, True, [("chloe", PATIENCE)]),
        (Matter.REPORT, False, [("chloe", None)]),
        (Matter.PARKED, True, [("dalia", None)]),
    ],
)
def test_after_somebody_has_left_coordinators_or_operators_are_told(
    matter: Matter, told: list[tuple[str, timedelta | None]], *, mailed: bool
) -> None:
    unread = Unread(StaffId("gone"), FactId(uuid4()), uuid4(), Urgency.URGENT, matter, AT, mailed, known=False)
    found = tell_after(unread, EVERYBODY)
    assert [(each.staff, each.mail_wait) for each in found] == told
    assert {(each.fact, each.subject, each.at) for each in found} == {(unread.fact, unread.subject, AT)}


def test_operators_hear_of_what_is_parked_by_the_bell_alone() -> None:
    held, fact_id = uuid4(), FactId(uuid4())
    [telling] = tell_parked(fact_id, held, (ANA, person("dalia", Audience.OPERATOR)), AT)
    assert (telling.staff, telling.fact, telling.subject) == ("dalia", fact_id, held)
    assert telling.matter is Matter.PARKED
    assert telling.mail_wait is None


@pytest.mark.parametrize(
    ("matter", "reminded", "goes"),
    [
        (Matter.PARKED, None, True),
        (Matter.PARKED, AT, False),
        (Matter.PARKED, AT - REMIND_AFTER + timedelta(seconds=1), False),
        (Matter.PARKED, AT - REMIND_AFTER, True),
        (Matter.PARKED, AT + timedelta(days=400), True),
        (Matter.REFERRAL, AT, True),
        (Matter.REPORT, AT, True),
    ],
)
def test_one_mail_that_something_is_parked_is_enough_for_a_day(
    matter: Matter, reminded: datetime | None, *, goes: bool
) -> None:
    """A clock that was ahead, when the last one went out, silences nobody."""
    assert needs_mail(matter, reminded, AT, read=False) == goes
    assert not needs_mail(matter, reminded, AT, read=True)


@given(st.integers(1, 200), st.floats(0, 1, exclude_max=True))
def test_tries_come_later_and_later_within_limits(attempts: int, jitter: float) -> None:
    pause = next_try(attempts, AT, AT + timedelta(hours=1), jitter)
    assert pause is not None
    ceiling = min(LONGEST_PAUSE, FIRST_PAUSE * float(2 ** min(attempts - 1, 16)))
    assert ceiling / 2 <= pause <= ceiling


@pytest.mark.parametrize(("waited", "goes_on"), [(TRIES_END - timedelta(seconds=1), True), (TRIES_END, False)])
def test_after_a_day_it_is_given_up(waited: timedelta, *, goes_on: bool) -> None:
    assert (next_try(3, AT, AT + waited, 0.5) is not None) == goes_on


@given(st.uuids(), st.sampled_from(Urgency), st.sampled_from(FactCode))
def test_a_notice_is_a_number_an_urgency_and_a_link(subject: UUID, urgency: Urgency, code: FactCode) -> None:
    said = notice(subject, urgency, matter_of(code), SITE)
    assert said.number == f"R-{subject.hex[:4].upper()}-{subject.hex[4:8].upper()}"
    assert said.link == f"{SITE}/{matter_of(code).place}/{subject}"
    assert {field.name for field in fields(Notice)} == {"number", "urgency", "link", "matter"}


@pytest.mark.parametrize(
    ("number", "link"),
    [
        ("Aïcha B.", f"{SITE}/referrals/{SUBJECT}"),
        ("R-4F7A-91C2 Aïcha", f"{SITE}/referrals/{SUBJECT}"),
        ("R-4F7A-91C2", f"{SITE}/referrals/{SUBJECT}?name=aicha"),
        ("R-4F7A-91C2", f"{SITE}/referrals/{SUBJECT}#aicha"),
        ("R-4F7A-91C2", f"{SITE}/people/{SUBJECT}"),
        ("R-4F7A-91C2", f"{SITE}/referrals/aicha"),
        ("R-4F7A-91C2", f"https://aicha@relais.example.org/referrals/{SUBJECT}"),
        ("R-4F7A-91C2", f"javascript:alert(1)//{SUBJECT}"),
    ],
)
def test_a_notice_with_anything_else_is_refused_and_not_repeated(number: str, link: str) -> None:
    with pytest.raises(ValueError, match=r"^notice-says-too-much$"):
        Notice(number, Urgency.URGENT, link, Matter.REFERRAL)


@pytest.mark.parametrize(
    "site",
    [
        "https://relais.example.org",
        "https://relais.example.org/",
        "http://127.0.0.1:8080/a/",
        "http://[::1]:8003/a//b/",
        "https://relais.example.org/a@b;c=d/e%3Ff%23g",
    ],
)
def test_every_site_that_the_settings_take_begins_a_link(site: str) -> None:
    taken = TypeAdapter(SiteAddress).validate_python(site)
    subject = uuid4()
    link = notice(subject, Urgency.STANDARD, Matter.PARKED, str(taken)).link
    assert link == f"{site.rstrip('/')}/parked/{subject}"


def test_roles_have_the_duties_of_their_work_and_the_others_none() -> None:
    book = StaffBook(
        StaffMember(
            id=StaffId(f"one-{role}"),
            roles=frozenset({role}),
            email="one@example.org" if role is Role.CASEWORKER else None,
            token_sha256=token_digest(role),
        )
        for role in Role
    )
    found = {str(each.id): (set(each.duties), each.has_mail) for each in people(book)}
    assert found == {
        "one-caseworker": ({Audience.CASEWORKERS}, True),
        "one-coordinator": ({Audience.COORDINATOR}, False),
        "one-volunteer": (set(), False),
        "one-data-protection-officer": (set(), False),
        "one-operator": ({Audience.OPERATOR}, False),
    }
