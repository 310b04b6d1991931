"""The gate: nothing leaves without a grant for that recipient, category, purpose and time, or a basis recorded by name.

The property test asks the rules a second time, in the plainest words, and compares: whatever goes must be covered.
"""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis.strategies import SearchStrategy, booleans, builds, frozensets, just, lists, none, sampled_from, tuples

from services.referral.domain.grants import Grant
from services.referral.domain.policy import (
    VITAL,
    ChildProtection,
    Grounds,
    Recipient,
    RiskToLife,
    Stage,
    Withheld,
    release,
)
from shared.contracts.codes import (
    EVERY_KIND,
    AgeBand,
    Category,
    GrantedBy,
    GrantForm,
    LawfulBasis,
    Purpose,
    RecipientKind,
    ReferralKind,
    TransferBasis,
)
from shared.contracts.ids import CaseId, GrantId, OrganisationId, StaffId
from shared.contracts.packet import IDENTIFYING
from tests.support.referrals import BRUSSELS, FRESH, NOON, NOOR, RECEIVER, grant, grounds

HOUR = timedelta(hours=1)
ORGANISATIONS = (RECEIVER, OrganisationId("autre-fr"), OrganisationId("shelter-us"))
MOMENTS = tuple(NOON + hours * HOUR for hours in range(-2, 3))
categories = frozensets(sampled_from(Category))
purposes = frozensets(sampled_from(Purpose))
organisations = sampled_from(ORGANISATIONS)
moments = sampled_from(MOMENTS)

grants: SearchStrategy[Grant] = builds(
    Grant,
    id=just(GrantId(next(FRESH))),
    case=just(CaseId(next(FRESH))),
    recipient=organisations,
    categories=categories,
    purposes=purposes,
    begins=moments,
    until=none() | moments,
    form=sampled_from(GrantForm),
    language=just("fra"),
    given_by=sampled_from(GrantedBy),
    explained=booleans(),
    feedback=booleans(),
    told_of_transfer=booleans(),
    recorded_by=just(NOOR),
    recorded_at=just(NOON),
    withdrawn_at=none() | moments,
)
children = builds(
    ChildProtection,
    recipient=organisations,
    categories=categories,
    purposes=purposes,
    decided_by=just(NOOR),
    decided_at=moments,
)
lives = builds(
    RiskToLife,
    recipient=organisations,
    decided_by=just(NOOR),
    seconded_by=sampled_from((NOOR, StaffId("ada"))),
    decided_at=moments,
    until=moments,
)
recipients = builds(
    Recipient,
    organisation=organisations,
    kind=sampled_from(RecipientKind),
    agreed=booleans(),
    kinds=frozensets(sampled_from(ReferralKind)),
    transfer_basis=none() | sampled_from(TransferBasis),
)
everything = builds(
    Grounds,
    recipient=recipients,
    age=sampled_from(AgeBand),
    purpose=sampled_from(Purpose),
    grants=lists(grants, max_size=4).map(tuple),
    child_protection=lists(children, max_size=2).map(tuple),
    risk_to_life=lists(lives, max_size=2).map(tuple),
)


@given(wanted=categories, given_grounds=everything, stage=sampled_from(Stage), reason=booleans())
def test_nothing_leaves_that_nothing_covers(
    wanted: frozenset[Category],
    given_grounds: Grounds,
    stage: Stage,
    reason: bool,  # noqa: FBT001
) -> None:
    answer = release(wanted, given_grounds, stage=stage, identity_reason=reason, at=NOON)
    assert answer.goes.keys() | answer.stays.keys() == wanted
    assert not answer.goes.keys() & answer.stays.keys()
    for category, cover in answer.goes.items():
        assert given_grounds.recipient.agreed
        match cover.basis:
            case LawfulBasis.GRANT:
                assert cover.grant in given_grounds.grants
                assert_grant_covers(cover.grant, category, given_grounds)
            case LawfulBasis.CHILD_PROTECTION:
                assert_child_is_protected(category, given_grounds)
            case LawfulBasis.RISK_TO_LIFE:
                assert category in VITAL
                assert any(two_agreed(basis, given_grounds) for basis in given_grounds.risk_to_life)
        if category in IDENTIFYING and stage is Stage.DECIDING and cover.basis is not LawfulBasis.RISK_TO_LIFE:
            assert reason


def assert_grant_covers(given_grant: Grant | None, category: Category, given_grounds: Grounds) -> None:
    """The person said yes: to this recipient, this category, this purpose, now, knowing what it means."""
    assert given_grant is not None
    assert given_grant.recipient == given_grounds.recipient.organisation
    assert category in given_grant.categories
    assert given_grounds.purpose in given_grant.purposes
    assert given_grant.begins <= NOON
    assert given_grant.until is None or given_grant.until > NOON
    assert given_grant.withdrawn_at is None
    assert given_grant.explained
    if given_grounds.age.is_child:
        assert given_grant.given_by is not GrantedBy.PERSON
    assert_authority_was_meant(given_grounds)
    if given_grounds.recipient.organisation.endswith("-us"):
        assert given_grounds.recipient.transfer_basis is not None or given_grant.told_of_transfer


def assert_authority_was_meant(given_grounds: Grounds) -> None:
    """Police and immigration get nothing that was granted for support."""
    if given_grounds.recipient.kind is RecipientKind.POLICE:
        assert given_grounds.purpose is Purpose.POLICE
    if given_grounds.recipient.kind is RecipientKind.IMMIGRATION:
        assert given_grounds.purpose is Purpose.AUTHORITIES


def assert_child_is_protected(category: Category, given_grounds: Grounds) -> None:
    """Somebody decided, by name, to protect a child by telling this recipient this."""
    assert given_grounds.age.is_child
    assert_authority_was_meant(given_grounds)
    assert any(
        basis.recipient == given_grounds.recipient.organisation
        and category in basis.categories
        and given_grounds.purpose in basis.purposes
        and basis.decided_at <= NOON
        for basis in given_grounds.child_protection
    )
    if given_grounds.recipient.organisation.endswith("-us"):
        assert given_grounds.recipient.transfer_basis is not None


def two_agreed(basis: RiskToLife, given_grounds: Grounds) -> bool:
    """Two different members of staff decided, and it has not been reviewed away."""
    return (
        basis.recipient == given_grounds.recipient.organisation
        and basis.decided_by != basis.seconded_by
        and basis.decided_at <= NOON < basis.until
    )


@given(wanted=categories, given_grounds=everything, stage=sampled_from(Stage))
def test_without_a_grant_or_a_basis_nothing_leaves(
    wanted: frozenset[Category], given_grounds: Grounds, stage: Stage
) -> None:
    bare = replace(given_grounds, grants=(), child_protection=(), risk_to_life=())
    assert release(wanted, bare, stage=stage, identity_reason=True, at=NOON).goes == {}


@given(pair=tuples(everything, grants), wanted=categories)
def test_one_more_grant_never_keeps_back_what_went(pair: tuple[Grounds, Grant], wanted: frozenset[Category]) -> None:
    before, more = pair
    after = replace(before, grants=(*before.grants, more))
    went = release(wanted, before, stage=Stage.ACCEPTED, identity_reason=False, at=NOON).goes
    goes = release(wanted, after, stage=Stage.ACCEPTED, identity_reason=False, at=NOON).goes
    assert went.keys() <= goes.keys()


@given(given_grounds=everything, wanted=categories)
def test_terms_are_no_wider_than_any_grant_they_rest_on(given_grounds: Grounds, wanted: frozenset[Category]) -> None:
    answer = release(wanted, given_grounds, stage=Stage.ACCEPTED, identity_reason=False, at=NOON)
    terms = answer.terms(given_grounds.purpose)
    for cover in answer.goes.values():
        assert terms.purposes <= (cover.grant.purposes if cover.grant else {given_grounds.purpose})
        assert cover.until is None or (terms.until is not None and terms.until <= cover.until)
        assert not terms.feedback or (cover.grant is not None and cover.grant.feedback)


REASONS: list[tuple[Withheld, Grounds]] = [
    (Withheld.NO_GRANT, grounds()),
    (Withheld.NO_GRANT, grounds(grant(recipient=ORGANISATIONS[1]))),
    (Withheld.NO_GRANT, grounds(grant(Category.SUMMARY))),
    (Withheld.GRANT_WITHDRAWN, grounds(grant(withdrawn_at=NOON - HOUR))),
    (Withheld.GRANT_ENDED, grounds(grant(until=NOON))),
    (Withheld.GRANT_NOT_BEGUN, grounds(grant(begins=NOON + HOUR))),
    (Withheld.NOT_EXPLAINED, grounds(grant(explained=False))),
    (Withheld.CHILD_NEEDS_GUARDIAN, replace(grounds(grant()), age=AgeBand.IN_DOUBT)),
    (Withheld.PURPOSE_NOT_GRANTED, replace(grounds(grant()), purpose=Purpose.RESEARCH)),
    (
        Withheld.AUTHORITY_NOT_GRANTED,
        replace(
            grounds(grant()),
            recipient=Recipient(RECEIVER, RecipientKind.POLICE, agreed=True, kinds=EVERY_KIND, hours=BRUSSELS),
        ),
    ),
    (
        Withheld.AUTHORITY_NOT_GRANTED,
        replace(
            grounds(grant(purposes=frozenset({Purpose.SUPPORT, Purpose.AUTHORITIES}))),
            recipient=Recipient(RECEIVER, RecipientKind.IMMIGRATION, agreed=True, kinds=EVERY_KIND, hours=BRUSSELS),
        ),
    ),
    (Withheld.NO_TRANSFER_BASIS, grounds(grant(recipient=ORGANISATIONS[2]), organisation=ORGANISATIONS[2])),
    (
        Withheld.NO_AGREEMENT,
        replace(
            grounds(grant()),
            recipient=Recipient(RECEIVER, RecipientKind.SUPPORT, agreed=False, kinds=frozenset(), hours=BRUSSELS),
        ),
    ),
]


@pytest.mark.parametrize(("reason", "given_grounds"), REASONS)
def test_each_reason_is_said(reason: Withheld, given_grounds: Grounds) -> None:
    answer = release({Category.HEALTH}, given_grounds, stage=Stage.DECIDING, identity_reason=False, at=NOON)
    assert answer.stays == {Category.HEALTH: reason}
    assert answer.goes == {}


def test_of_several_grants_the_one_that_comes_nearest_says_what_is_missing() -> None:
    old, narrow = grant(withdrawn_at=NOON - HOUR), grant(purposes=frozenset({Purpose.STATISTICS}))
    answer = release({Category.HEALTH}, grounds(old, narrow), stage=Stage.DECIDING, identity_reason=False, at=NOON)
    assert answer.stays == {Category.HEALTH: Withheld.PURPOSE_NOT_GRANTED}


def test_who_it_is_waits_for_acceptance_unless_it_is_said_why_not() -> None:
    given_grounds = grounds(grant())
    early = release(Category, given_grounds, stage=Stage.DECIDING, identity_reason=False, at=NOON)
    assert early.stays == dict.fromkeys(IDENTIFYING, Withheld.IDENTITY_BEFORE_ACCEPTANCE)
    assert release(Category, given_grounds, stage=Stage.DECIDING, identity_reason=True, at=NOON).whole
    assert release(Category, given_grounds, stage=Stage.ACCEPTED, identity_reason=False, at=NOON).whole


def test_a_guardian_speaks_for_a_child() -> None:
    child = replace(grounds(grant(given_by=GrantedBy.GUARDIAN)), age=AgeBand.FROM_15_TO_17)
    assert release({Category.HEALTH}, child, stage=Stage.DECIDING, identity_reason=False, at=NOON).whole


def test_told_of_the_transfer_is_enough_outside_the_eea() -> None:
    abroad = grounds(grant(recipient=ORGANISATIONS[2], told_of_transfer=True), organisation=ORGANISATIONS[2])
    assert release({Category.HEALTH}, abroad, stage=Stage.DECIDING, identity_reason=False, at=NOON).whole


def test_a_life_at_stake_opens_two_categories_to_one_recipient_for_a_while() -> None:
    basis = RiskToLife(RECEIVER, NOOR, StaffId("ada"), NOON - HOUR, NOON + HOUR)
    at_stake = replace(grounds(), risk_to_life=(basis,))
    answer = release(Category, at_stake, stage=Stage.DECIDING, identity_reason=False, at=NOON)
    assert answer.goes.keys() == VITAL
    assert answer.terms(Purpose.SUPPORT).until == NOON + HOUR
    alone = replace(at_stake, risk_to_life=(replace(basis, seconded_by=NOOR),))
    assert release(Category, alone, stage=Stage.DECIDING, identity_reason=False, at=NOON).goes == {}
