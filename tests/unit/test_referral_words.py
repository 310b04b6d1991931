"""Words disclose too: whose may go, to whom, and what goes without them because it protects the person."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.referral.domain import receiving, sending
from services.referral.domain.casefile import CaseFile
from services.referral.domain.grants import Grant
from services.referral.domain.policy import Recipient
from services.referral.domain.referral import Referral
from services.referral.domain.refusals import Refused
from services.referral.domain.ruling import PaperName, Ruling
from services.referral.domain.terms import granted, within
from shared.contracts.codes import (
    AgeBand,
    Category,
    DeclinedBy,
    DeclineReason,
    GrantedBy,
    MissReason,
    Outcome,
    Purpose,
    RecipientKind,
    ReferralKind,
    Status,
    Urgency,
)
from shared.contracts.event_data import (
    ClosedData,
    DeclinedData,
    Meeting,
    MeetingPart,
    MissedData,
    RedirectedData,
    Terms,
)
from tests.support.referral_pairs import at_status
from tests.support.referrals import (
    CANARY,
    MEETING,
    NOON,
    RECEIVER,
    ZOE,
    act,
    casefile,
    grant,
    leg,
    packet,
    recipient,
    state,
    summary,
    told,
)

DAY = timedelta(days=1)
SUPPORT = frozenset({Purpose.SUPPORT})
POLICE = replace(recipient(), kind=RecipientKind.POLICE)
FROZEN = replace(recipient(), agreed=False)
WORDLESS = Meeting(when=NOON + DAY, withheld=frozenset({MeetingPart.WHERE, MeetingPart.WHO}))

Say = Callable[..., Ruling[Referral]]


def answer(referral: Referral, given: CaseFile, to: Recipient, purpose: Purpose = Purpose.SUPPORT) -> Ruling[Referral]:
    """Answer in words alone."""
    asked = sending.AnswerAsked(answer=CANARY, identity_reason=CANARY, purpose=purpose)
    return sending.answer(referral, act(), asked, given, to)


def reschedule(
    referral: Referral,
    given: CaseFile,
    to: Recipient,
    purpose: Purpose = Purpose.SUPPORT,
    meeting: Meeting = MEETING,
) -> Ruling[Referral]:
    """Agree a meeting, and say in words where it is and with whom."""
    asked = sending.RescheduleAsked(meeting=meeting, expected=NOON + DAY, purpose=purpose)
    return sending.reschedule(referral, act(), asked, given, to)


WORDS_OF_THE_SENDER = pytest.mark.parametrize(
    ("say", "status"), [(answer, Status.ASKED), (reschedule, Status.MISSED)], ids=["answer", "reschedule"]
)


def _child() -> CaseFile:
    child = summary().model_copy(update={"age_band": AgeBand.IN_DOUBT})
    return replace(casefile(grant()), parts={Category.SUMMARY: child})


@WORDS_OF_THE_SENDER
@pytest.mark.parametrize(
    ("given", "to", "why"),
    [
        (casefile(), recipient(), "no-grant"),
        (casefile(grant(Category.HEALTH)), recipient(), "no-grant"),
        (casefile(grant(until=NOON)), recipient(), "grant-ended"),
        (casefile(grant(withdrawn_at=NOON)), recipient(), "grant-withdrawn"),
        (casefile(grant()), FROZEN, "no-agreement"),
        (casefile(grant()), POLICE, "authority-not-granted"),
        (_child(), recipient(), "child-needs-guardian"),
    ],
)
def test_words_go_to_nobody_to_whom_the_summary_may_not_go(
    say: Say, status: Status, given: CaseFile, to: Recipient, why: str
) -> None:
    assert say(at_status(status).sender, given, to) == Ruling.refused(Refused.NOT_RELEASED, summary=why)


@WORDS_OF_THE_SENDER
def test_words_stand_under_the_terms_of_the_referral(say: Say, status: Status) -> None:
    referral = at_status(status).sender
    over = replace(referral, terms=Terms(purposes=SUPPORT, until=NOON))
    assert say(over, casefile(grant()), recipient()) == Ruling.refused(Refused.TERMS_ENDED, status=status.value)
    narrower = grant(until=NOON + DAY)
    assert say(referral, casefile(narrower), recipient()) == Ruling.refused(Refused.TERMS_NARROWER)
    assert state(say(referral, casefile(narrower, grant()), recipient())).terms == referral.terms


@WORDS_OF_THE_SENDER
def test_words_for_an_authority_go_for_its_purpose(say: Say, status: Status) -> None:
    given = casefile(grant(purposes=SUPPORT | {Purpose.POLICE}))
    assert state(say(at_status(status).sender, given, POLICE, Purpose.POLICE)).status is not status


@WORDS_OF_THE_SENDER
def test_the_trail_says_on_what_words_rest_and_that_no_category_went(say: Say, status: Status) -> None:
    given = grant(Category.SUMMARY)
    ruling = say(at_status(status).sender, casefile(given), recipient())
    assert ruling.entries[0].detail == {"bases": "grant", "grants": str(given.id)}


@WORDS_OF_THE_SENDER
def test_what_the_table_does_not_have_is_refused_for_that(say: Say, status: Status) -> None:
    wrong = at_status(Status.OPENED).sender
    assert status is not Status.OPENED
    assert say(wrong, casefile(), FROZEN) == Ruling.refused(Refused.NOT_IN_TABLE, status="opened")


def test_when_the_person_comes_is_told_without_a_word_whatever_has_ended() -> None:
    missed = replace(at_status(Status.MISSED).sender, terms=Terms(purposes=SUPPORT, until=NOON))
    again = state(reschedule(missed, casefile(), FROZEN, meeting=WORDLESS))
    assert (again.status, again.standing.expected) == (Status.DISCLOSED, NOON + DAY)
    bring = WORDLESS.model_copy(update={"bring": CANARY})
    refused = reschedule(missed, casefile(), FROZEN, meeting=bring)
    assert refused == Ruling.refused(Refused.TERMS_ENDED, status="missed")


SILENT = Terms(purposes=SUPPORT, until=NOON, feedback=False)


def test_until_the_person_has_arrived_words_protect_them_and_go_back() -> None:
    received = replace(at_status(Status.RECEIVED).receiver, terms=SILENT)
    declined = DeclinedData(reason=DeclineReason.OTHER, by=DeclinedBy.PROVIDER, note=CANARY)
    redirected = RedirectedData(name=CANARY, reason=DeclineReason.OUT_OF_AREA, note=CANARY)
    missed = MissedData(reason=MissReason.FEARED_TAKEN_BACK, note=CANARY)
    disclosed = replace(at_status(Status.DISCLOSED).receiver, terms=SILENT)
    assert told(receiving.decline(received, act(ZOE), declined)).data == declined
    assert told(receiving.redirect(received, act(ZOE), redirected)).data == redirected
    assert [paper.name for paper in receiving.miss(disclosed, act(ZOE), missed).papers] == [PaperName.MISS]


@pytest.mark.parametrize("terms", [SILENT, Terms(purposes=SUPPORT), Terms(purposes=SUPPORT, until=NOON, feedback=True)])
def test_how_it_ended_is_told_in_words_only_where_news_may_flow_back(terms: Terms) -> None:
    arrived = at_status(Status.ARRIVED).receiver
    in_words, other = (ClosedData(outcome=each, note=CANARY) for each in (Outcome.GOT_HELP, Outcome.OTHER))
    assert state(receiving.close(arrived, act(ZOE), other)).status is Status.CLOSED
    silent = replace(arrived, terms=terms)
    refused: Ruling[Referral] = Ruling.refused(Refused.NO_FEEDBACK, status="arrived")
    assert receiving.close(silent, act(ZOE), in_words) == receiving.close(silent, act(ZOE), other) == refused
    for outcome in set(Outcome) - {Outcome.OTHER}:
        assert state(receiving.close(silent, act(ZOE), ClosedData(outcome=outcome))).status is Status.CLOSED
    taken_back = at_status(Status.CLOSING).receiver
    refused = Ruling.refused(Refused.NO_FEEDBACK, status="closing")
    assert receiving.close(taken_back, act(ZOE), in_words) == receiving.close(taken_back, act(ZOE), other) == refused
    early = replace(at_status(Status.DISCLOSED).receiver, terms=terms)
    assert receiving.close(early, act(ZOE), in_words) == Ruling.refused(Refused.NOT_IN_TABLE, status="disclosed")


CATEGORIES = st.frozensets(st.sampled_from([Category.SUMMARY, Category.HEALTH, Category.IDENTITY]))
TERMS = st.builds(
    Terms,
    purposes=st.frozensets(st.sampled_from([Purpose.SUPPORT, Purpose.POLICE]), min_size=1),
    until=st.none() | st.integers(-1, 2).map(lambda days: NOON + days * DAY),
    feedback=st.booleans(),
)
GRANTS = st.lists(
    st.builds(
        lambda categories, terms, changes: grant(
            *(categories or {Category.SUMMARY}),
            purposes=terms.purposes,
            until=terms.until,
            feedback=terms.feedback,
            **changes,
        ),
        CATEGORIES,
        TERMS,
        st.sampled_from([{}, {}, {}, {"withdrawn_at": NOON}, {"explained": False}, {"given_by": GrantedBy.GUARDIAN}]),
    ),
    max_size=4,
)
RECIPIENTS = st.sampled_from([recipient(), recipient(), POLICE, FROZEN])


def commands(referral: Referral, status: Status, categories: frozenset[Category], purpose: Purpose) -> Say:
    """Return what the sender can say from ``status`` that holds something personal."""
    match status:
        case Status.ASKED:
            answered = sending.AnswerAsked(
                answer=CANARY, categories=categories, identity_reason=CANARY, purpose=purpose
            )
            return lambda given, to: sending.answer(referral, act(), answered, given, to)
        case Status.ACCEPTED:
            disclosed = sending.DiscloseAsked(categories=categories or {Category.SUMMARY}, purpose=purpose)
            return lambda given, to: sending.disclose(referral, act(), disclosed, given, to)
        case Status.MISSED:
            return lambda given, to: reschedule(referral, given, to, purpose)
        case _:
            offered = sending.OfferAsked(
                to=RECEIVER,
                kind=ReferralKind.TRANSFER,
                urgency=Urgency.URGENT,
                purpose=purpose,
                categories=categories | {Category.SUMMARY},
                identity_reason=CANARY,
            )
            return lambda given, to: sending.offer(leg(), act(), offered, given, to)


@given(
    status=st.sampled_from([Status.OFFERED, Status.ASKED, Status.ACCEPTED, Status.MISSED]),
    terms=TERMS,
    grants=GRANTS,
    categories=CATEGORIES,
    purpose=st.sampled_from([Purpose.SUPPORT, Purpose.POLICE]),
    to=RECIPIENTS,
    child=st.booleans(),
)
def test_nothing_personal_leaves_without_agreement_grant_and_terms_in_force(
    *,
    status: Status,
    terms: Terms,
    grants: list[Grant],
    categories: frozenset[Category],
    purpose: Purpose,
    to: Recipient,
    child: bool,
) -> None:
    referral = replace(at_status(status).sender, terms=terms)
    age = AgeBand.FROM_15_TO_17 if child else AgeBand.FROM_25_TO_34
    parts = packet().parts() | {Category.SUMMARY: summary().model_copy(update={"age_band": age})}
    ruling = commands(referral, status, categories, purpose)(CaseFile(tuple(grants), parts), to)
    if not ruling.says:
        assert not ruling.papers
        return
    after = state(ruling).terms
    assert to.agreed
    assert to is not POLICE or purpose is Purpose.POLICE
    assert after.until is None or after.until > NOON
    went = {paper.name for paper in ruling.papers if isinstance(paper.name, Category)}
    for category in went if status is Status.ACCEPTED else went | {Category.SUMMARY}:
        assert any(
            category in each.categories
            and purpose in each.purposes
            and each.withdrawn_at is None
            and each.explained
            and (each.until is None or each.until > NOON)
            and (not child or each.given_by is GrantedBy.GUARDIAN)
            and within(after, granted(each))
            for each in grants
        )
