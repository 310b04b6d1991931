"""Of several agreements with one partner one counts at a time, and a renewal stops nothing."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from shared.contracts.codes import ReferralKind
from shared.sealing.agreement import CONCLUDED_WITHIN
from shared.sealing.codes import DirectoryCode, DocumentCode
from shared.sealing.directory import Directory, agreement_file
from shared.sealing.enrol import Terms, agree, introduce, make_organisation, published_document
from tests.unit.test_sealing_directory import ABRI, AT, CCEM, CHEAP, KINDS, PASSPHRASES, SINCE, YEAR, Two, code, put


@pytest.fixture
def two(tmp_path: Path) -> Two:
    return Two(tmp_path)


def renew(two: Two, since: datetime, until: datetime, *may_send: ReferralKind) -> None:
    terms = Terms(since, until, KINDS, {CCEM: frozenset(may_send), ABRI: frozenset()})
    introduce(two.ccem, agree(two.abri_identity, two.ccem_identity, terms), published_document(two.abri, ABRI))


def counting(two: Two, at: datetime) -> tuple[ReferralKind, ...]:
    return Directory(two.ccem).book.agreement(ABRI, at).party(CCEM).may_send


def test_a_renewal_before_the_end_stops_nothing_and_counts_from_its_own_beginning(two: Two) -> None:
    change = SINCE + YEAR - timedelta(days=30)
    renew(two, change, change + YEAR, ReferralKind.SERVICE)
    moment = timedelta(seconds=1)
    assert counting(two, AT) == counting(two, change - moment) == tuple(sorted(ReferralKind))
    assert counting(two, change) == counting(two, change + YEAR - moment) == (ReferralKind.SERVICE,)
    book = Directory(two.ccem).book
    assert code(book.agreement, ABRI, change + YEAR) == DirectoryCode.AGREEMENT_EXPIRED
    book.check_heard(ABRI, change + YEAR + CONCLUDED_WITHIN - moment)
    assert code(book.check_heard, ABRI, change + YEAR + CONCLUDED_WITHIN) == DirectoryCode.AGREEMENT_EXPIRED


def test_an_agreement_that_a_newer_one_has_followed_never_comes_back(two: Two) -> None:
    renew(two, AT, AT + timedelta(days=1), ReferralKind.SERVICE)
    assert counting(two, AT) == (ReferralKind.SERVICE,)
    book = Directory(two.ccem).book
    assert code(book.agreement, ABRI, AT + timedelta(days=1)) == DirectoryCode.AGREEMENT_EXPIRED
    assert code(book.check_heard, ABRI, AT + timedelta(days=1) + CONCLUDED_WITHIN) == DirectoryCode.AGREEMENT_EXPIRED


def test_between_two_agreements_the_one_that_ended_counts_and_before_both_the_first(two: Two) -> None:
    later = SINCE + YEAR + timedelta(days=100)
    renew(two, later, later + YEAR)
    book = Directory(two.ccem).book
    assert code(book.agreement, ABRI, SINCE - timedelta(seconds=1)) == DirectoryCode.AGREEMENT_NONE
    assert code(book.agreement, ABRI, later - timedelta(seconds=1)) == DirectoryCode.AGREEMENT_EXPIRED
    book.check_heard(ABRI, later - timedelta(seconds=1))
    book.agreement(ABRI, later)


def test_of_two_agreements_that_begin_together_the_later_signed_is_kept(two: Two) -> None:
    renew(two, SINCE, SINCE + YEAR, ReferralKind.SERVICE)
    assert counting(two, AT) == (ReferralKind.SERVICE,)


def test_one_agreement_that_is_not_right_takes_away_the_partner_whatever_else_was_agreed(two: Two) -> None:
    renew(two, AT, AT + YEAR, ReferralKind.SERVICE)
    put(two.partners / agreement_file(ABRI, Directory(two.ccem).book.agreements[ABRI][0]), "")
    book = Directory(two.ccem).book
    assert book.problems == {"abri-be": DocumentCode.MALFORMED}
    assert code(book.agreement, ABRI, AT) == DirectoryCode.ORGANISATION_UNKNOWN
    assert set(book.documents) == {CCEM}


def test_a_changed_identity_ends_what_was_agreed_under_the_one_before(two: Two, tmp_path: Path) -> None:
    before = {path.name: path.read_text() for path in two.partners.glob("*.agreement")}
    anew = make_organisation(tmp_path / "anew", ABRI, PASSPHRASES, AT, CHEAP)
    terms = Terms(SINCE + YEAR, SINCE + 2 * YEAR, KINDS)
    introduce(two.ccem, agree(anew, two.ccem_identity, terms), published_document(tmp_path / "anew", ABRI))
    assert code(Directory(two.ccem).book.agreement, ABRI, AT) == DirectoryCode.AGREEMENT_NONE
    for name, note in before.items():
        put(two.partners / name, note)
    assert Directory(two.ccem).book.problems == {"abri-be": DocumentCode.UNSIGNED}
