"""The terms under which a receiver has what it was given are never wider than the grants that it rests on."""

from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from services.referral.domain import access, sending
from services.referral.domain.grants import Grant
from services.referral.domain.referral import Referral
from services.referral.domain.refusals import Refused
from services.referral.domain.ruling import Ruling
from services.referral.domain.terms import granted, narrowest, within
from shared.contracts.codes import Category, Purpose, Status
from shared.contracts.event_data import DisclosedData, Terms
from tests.support.referral_pairs import at_status
from tests.support.referrals import CANARY, NOON, act, casefile, grant, recipient, state, told

DAY = timedelta(days=1)
LONG, SHORT = NOON + 365 * DAY, NOON + DAY
TWO = frozenset({Purpose.SUPPORT, Purpose.STATISTICS})
ONE = frozenset({Purpose.SUPPORT})

WIDE = Terms(purposes=TWO, until=LONG, feedback=True)


def answer(referral: Referral, *grants: Grant, categories: frozenset[Category]) -> Ruling[Referral]:
    asked = sending.AnswerAsked(answer=CANARY, categories=categories)
    return sending.answer(referral, act(), asked, casefile(*grants), recipient())


def disclose(
    referral: Referral, *grants: Grant, categories: frozenset[Category], gone: frozenset[Category]
) -> Ruling[Referral]:
    asked = sending.DiscloseAsked(categories=categories)
    return sending.disclose(referral, act(), asked, replace(casefile(*grants), gone=gone), recipient())


SUMMARY, HEALTH, IDENTITY = (frozenset({each}) for each in (Category.SUMMARY, Category.HEALTH, Category.IDENTITY))
NARROWER: Ruling[Referral] = Ruling.refused(Refused.TERMS_NARROWER)


def wide(*categories: Category) -> Grant:
    return grant(*categories, until=LONG, purposes=TWO)


def test_an_answer_outlives_no_grant_that_it_rests_on() -> None:
    asked = replace(at_status(Status.ASKED).sender, terms=WIDE)
    offered = wide(Category.SUMMARY)
    for narrow in (
        grant(Category.HEALTH, until=SHORT, purposes=TWO),
        grant(Category.HEALTH, until=LONG, purposes=ONE),
        grant(Category.HEALTH, until=LONG, purposes=TWO, feedback=False),
    ):
        assert answer(asked, offered, narrow, categories=HEALTH) == NARROWER
        assert state(answer(asked, offered, narrow, wide(Category.HEALTH), categories=HEALTH)).terms == WIDE
    forever = grant(Category.HEALTH, purposes=TWO)
    assert state(answer(asked, offered, forever, categories=HEALTH)).terms == WIDE
    assert (
        answer(asked, offered, categories=HEALTH).refusal == Ruling.refused("not-released", health="no-grant").refusal
    )


def test_a_disclosure_keeps_what_went_before_within_its_own_grant() -> None:
    accepted = replace(at_status(Status.ACCEPTED).sender, terms=Terms(purposes=TWO, until=SHORT, feedback=False))
    ended = grant(Category.SUMMARY, until=NOON)
    ruling = disclose(accepted, ended, grant(Category.IDENTITY), categories=IDENTITY, gone=SUMMARY)
    said = told(ruling).data
    assert isinstance(said, DisclosedData)
    assert said.terms == state(ruling).terms == Terms(purposes=ONE, until=SHORT, feedback=False)
    receiver = replace(at_status(Status.ARRIVED).receiver, terms=said.terms)
    assert access.closed_to_reader(receiver, SHORT) is Refused.TERMS_ENDED


def test_a_grant_that_was_renewed_for_everything_prolongs_everything() -> None:
    accepted = replace(at_status(Status.ACCEPTED).sender, terms=Terms(purposes=ONE, until=SHORT, feedback=False))
    short, renewed = grant(Category.SUMMARY, until=SHORT), wide(Category.SUMMARY, Category.IDENTITY)
    for grants in ((short, renewed), (renewed, short)):
        ruling = disclose(accepted, *grants, categories=IDENTITY, gone=SUMMARY)
        assert state(ruling).terms == WIDE


def test_nothing_is_disclosed_under_terms_that_no_part_of_it_has() -> None:
    accepted = at_status(Status.ACCEPTED).sender
    counted = replace(accepted, terms=Terms(purposes=frozenset({Purpose.STATISTICS})))
    assert disclose(counted, grant(Category.IDENTITY), categories=IDENTITY, gone=SUMMARY) == NARROWER
    over = replace(accepted, terms=Terms(purposes=ONE, until=NOON))
    refused: Ruling[Referral] = Ruling.refused(Refused.TERMS_ENDED, status="accepted")
    assert disclose(over, grant(Category.IDENTITY), categories=IDENTITY, gone=SUMMARY) == refused
    assert state(disclose(over, grant(), categories=IDENTITY, gone=SUMMARY)).terms.until is None


TERMS = st.builds(
    Terms,
    purposes=st.frozensets(st.sampled_from(Purpose), min_size=1),
    until=st.none() | st.integers(-2, 3).map(lambda days: NOON + days * DAY),
    feedback=st.booleans(),
)
CATEGORIES = st.frozensets(st.sampled_from([Category.SUMMARY, Category.HEALTH, Category.RISK]), min_size=1)
GRANTS = st.lists(
    st.builds(
        lambda categories, terms: grant(
            *categories, purposes=terms.purposes, until=terms.until, feedback=terms.feedback
        ),
        CATEGORIES,
        TERMS,
    ),
    max_size=5,
)


def rests_on(category: Category, terms: Terms, grants: list[Grant]) -> bool:
    """Whether a grant in force covers ``category`` for as long and as much as ``terms`` say."""
    return any(
        category in each.categories and (each.until is None or each.until > NOON) and within(terms, granted(each))
        for each in grants
    )


@given(before=TERMS, gone=CATEGORIES, categories=CATEGORIES, grants=GRANTS)
def test_what_goes_and_what_went_is_never_wider_than_what_it_rests_on(
    before: Terms, gone: frozenset[Category], categories: frozenset[Category], grants: list[Grant]
) -> None:
    asked = replace(at_status(Status.ASKED).sender, terms=before)
    if answered := answer(asked, *grants, categories=categories).state:
        assert answered.terms == before
        assert all(rests_on(each, before, grants) for each in categories)
    accepted = replace(at_status(Status.ACCEPTED).sender, terms=before)
    if disclosed := disclose(accepted, *grants, categories=categories, gone=gone).state:
        after = disclosed.terms
        assert all(rests_on(each, after, grants) for each in categories - gone)
        assert all(rests_on(each, after, grants) or within(after, before) for each in gone)


@given(one=TERMS, other=TERMS)
def test_the_narrowest_terms_are_within_both(one: Terms, other: Terms) -> None:
    assert within(one, one)
    both = narrowest(one, other)
    assert (both is None) == one.purposes.isdisjoint(other.purposes)
    if both is not None:
        assert within(both, one)
        assert within(both, other)
    if within(one, other):
        assert both == one
