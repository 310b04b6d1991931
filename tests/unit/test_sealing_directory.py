"""The directory answers from what pinned identities signed; a wrong file costs its own partner and nobody else."""

import os
import shutil
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from shared.contracts.codes import RecipientKind, ReferralKind
from shared.contracts.heard import HEARD
from shared.contracts.ids import KeyId, OrganisationId
from shared.sealing.codes import (
    DirectoryCode,
    DirectoryError,
    DocumentCode,
    DocumentError,
    KeyringCode,
    KeyringError,
    SealingError,
)
from shared.sealing.directory import IDENTITY_FILE, PARTNERS_FOLDER, Directory
from shared.sealing.documents import parse_identity
from shared.sealing.enrol import (
    INBOX_KEYS_AHEAD,
    INBOX_LIFETIME,
    Choices,
    Identity,
    Terms,
    agree,
    introduce,
    make_organisation,
    open_identity,
    published_document,
)
from shared.sealing.header import MAX_LIFETIME
from shared.sealing.key_document import KeyDocument, open_key_document, publish, sign_key_document
from shared.sealing.keyring import Cost, Holder, keyring_path, read_keyring
from shared.sealing.keys import InboxKey, KeyPurpose, SigningKey
from shared.sealing.suites import KeyKind, Suite

AT = datetime(2026, 11, 24, 10, 23, 45, tzinfo=UTC)
SINCE = datetime(2026, 11, 24, 10, 20, tzinfo=UTC)
YEAR = timedelta(days=365)
CCEM, ABRI, AUTRE = OrganisationId("ccem-fr"), OrganisationId("abri-be"), OrganisationId("autre-de")
KINDS = {CCEM: RecipientKind.SUPPORT, ABRI: RecipientKind.HEALTH, AUTRE: RecipientKind.POLICE}
PASSPHRASES = {holder: f"une phrase que personne ne devine, pour {holder}" for holder in Holder}
CHEAP = Choices(cost=Cost(memory_kib=8, iterations=1, lanes=1))


class Two:
    """Two organisations that have agreed, each in its own folder."""

    def __init__(self, folder: Path) -> None:
        self.ccem, self.abri = folder / "ccem", folder / "abri"
        self.ccem_identity = make_organisation(self.ccem, CCEM, PASSPHRASES, AT, CHEAP)
        self.abri_identity = make_organisation(self.abri, ABRI, PASSPHRASES, AT, CHEAP)
        self.agreement = agree(self.ccem_identity, self.abri_identity, Terms(SINCE, SINCE + YEAR, KINDS))
        assert introduce(self.ccem, self.agreement, published_document(self.abri, ABRI)) == ABRI
        assert introduce(self.abri, self.agreement, published_document(self.ccem, CCEM)) == CCEM

    @property
    def partners(self) -> Path:
        """Where CCEM keeps what it knows of others."""
        return self.ccem / PARTNERS_FOLDER

    def document(self, serial: int, keys: slice = slice(None)) -> str:
        """Return another key document of ABRI."""
        now = Directory(self.abri).book.document(ABRI)
        later = KeyDocument(organisation=ABRI, serial=serial, issued=now.issued, hears=now.hears, keys=now.keys[keys])
        return sign_key_document(later, self.abri_identity.key)


@pytest.fixture
def two(tmp_path: Path) -> Two:
    return Two(tmp_path)


def code(step: Callable[..., object], *arguments: object) -> str:
    with pytest.raises(SealingError) as caught:
        step(*arguments)
    assert caught.value.__cause__ is None
    return str(caught.value.code)


def settle(folder: Path) -> None:
    """Let a folder and its files look as if nobody had touched them for a minute."""
    before = time.time() - 60
    for path in (folder, *folder.iterdir(), *(folder / PARTNERS_FOLDER).iterdir()):
        os.utime(path, (before, before))


def put(path: Path, text: str) -> None:
    beside = path.with_suffix(".new")
    beside.write_text(text)
    beside.replace(path)


def test_an_organisation_has_four_keyrings_with_what_each_may_hold(two: Two) -> None:
    rings = {holder: read_keyring(two.ccem, holder, PASSPHRASES[holder]) for holder in Holder}
    held = {holder: [key.purpose for key in ring.keys] for holder, ring in rings.items()}
    assert held == {
        Holder.IDENTITY: [KeyPurpose.IDENTITY],
        Holder.INTAKE: [KeyPurpose.RECEIPT, KeyPurpose.AUDIT_INTAKE],
        Holder.REFERRAL: [KeyPurpose.SIGNING, KeyPurpose.AUDIT_REFERRAL] + [KeyPurpose.INBOX] * INBOX_KEYS_AHEAD,
        Holder.NOTIFY: [KeyPurpose.AUDIT_NOTIFY],
    }
    assert {holder: sorted(ring.storage_keys()) for holder, ring in rings.items() if ring.storage} == {
        Holder.REFERRAL: [1]
    }
    assert open_identity(two.ccem, PASSPHRASES[Holder.IDENTITY], AT) == two.ccem_identity


@pytest.mark.parametrize("told", Holder)
@pytest.mark.parametrize("keyring", Holder)
def test_a_passphrase_opens_one_keyring_and_no_other(two: Two, told: Holder, keyring: Holder) -> None:
    if told is keyring:
        assert read_keyring(two.ccem, keyring, PASSPHRASES[told]).holder is keyring
    else:
        assert code(read_keyring, two.ccem, keyring, PASSPHRASES[told]) == KeyringCode.WRONG_PASSPHRASE


def test_without_a_passphrase_for_each_no_keyring_is_written(tmp_path: Path) -> None:
    told = PASSPHRASES.copy()
    del told[Holder.NOTIFY]
    with pytest.raises(KeyError):
        make_organisation(tmp_path, CCEM, told, AT, CHEAP)
    assert not list(tmp_path.glob("*.keys"))


def test_an_organisation_is_never_written_over(two: Two) -> None:
    before = keyring_path(two.ccem, Holder.REFERRAL).read_bytes()
    assert code(make_organisation, two.ccem, CCEM, PASSPHRASES, AT, CHEAP) == KeyringCode.EXISTS
    keyring_path(two.ccem, Holder.INTAKE).unlink()
    with pytest.raises(KeyringError):
        make_organisation(two.ccem, CCEM, PASSPHRASES, AT, CHEAP)
    assert keyring_path(two.ccem, Holder.REFERRAL).read_bytes() == before


def test_a_partner_is_known_with_keys_and_agreement(two: Two) -> None:
    book = Directory(two.ccem).book
    referral = read_keyring(two.abri, Holder.REFERRAL, PASSPHRASES[Holder.REFERRAL])
    intake = read_keyring(two.abri, Holder.INTAKE, PASSPHRASES[Holder.INTAKE])
    signing = referral.signing_key(KeyPurpose.SIGNING, AT)
    receipt = intake.signing_key(KeyPurpose.RECEIPT, AT)
    assert book.us == CCEM
    assert set(book.agreements) == {ABRI}
    assert not book.problems
    for key, purpose in ((signing, KeyPurpose.SIGNING), (receipt, KeyPurpose.RECEIPT)):
        published = book.published(ABRI, key.id)
        assert (published.key, published.purpose) == (key.public, purpose)
    assert ReferralKind.BROKERED in book.agreement(ABRI, AT).party(CCEM).may_send
    assert referral.inbox_key([book.inbox_key(ABRI, AT).id], Suite.X_WING).public == book.inbox_key(ABRI, AT)


def test_we_know_ourselves_too(two: Two) -> None:
    book = Directory(two.ccem).book
    receipt = read_keyring(two.ccem, Holder.INTAKE, PASSPHRASES[Holder.INTAKE]).signing_key(KeyPurpose.RECEIPT, AT)
    assert book.published(CCEM, receipt.id).key == receipt.public
    assert code(book.agreement, CCEM, AT) == DirectoryCode.AGREEMENT_NONE


def test_each_week_has_its_inbox_key_until_the_quarter_ends(two: Two) -> None:
    book = Directory(two.ccem).book
    weeks = [book.inbox_key(ABRI, SINCE + week * INBOX_LIFETIME).id for week in range(INBOX_KEYS_AHEAD)]
    assert len(set(weeks)) == INBOX_KEYS_AHEAD
    assert code(book.inbox_key, ABRI, SINCE + INBOX_KEYS_AHEAD * INBOX_LIFETIME) == DirectoryCode.KEY_UNKNOWN


def test_what_it_does_not_know_has_a_code(two: Two) -> None:
    book = Directory(two.ccem).book
    signing = next(book.document(ABRI).for_purpose(KeyPurpose.SIGNING, AT)).id
    unknown = KeyId("0" * 32)
    ours = next(book.document(CCEM).for_purpose(KeyPurpose.SIGNING, AT)).id
    cases = [
        ((AUTRE, signing), DirectoryCode.ORGANISATION_UNKNOWN),
        ((ABRI, unknown), DirectoryCode.KEY_UNKNOWN),
        ((ABRI, ours), DirectoryCode.KEY_UNKNOWN),
    ]
    for question, refusal in cases:
        assert code(book.published, *question) == refusal
    assert code(book.inbox_key, AUTRE, AT) == DirectoryCode.ORGANISATION_UNKNOWN
    assert code(book.agreement, AUTRE, AT) == DirectoryCode.ORGANISATION_UNKNOWN
    assert code(book.agreement, ABRI, SINCE - timedelta(seconds=1)) == DirectoryCode.AGREEMENT_NONE
    assert code(book.agreement, ABRI, SINCE + YEAR) == DirectoryCode.AGREEMENT_EXPIRED


def test_an_inbox_key_opens_for_as_long_after_its_end_as_an_envelope_may_live(two: Two) -> None:
    book = Directory(two.ccem).book
    first = book.inbox_key(ABRI, SINCE).id
    signing = next(each.id for each in book.document(ABRI).keys if each.purpose is KeyPurpose.SIGNING)
    assert book.opens_until(ABRI, [first], Suite.X_WING) == SINCE + INBOX_LIFETIME + MAX_LIFETIME
    assert book.opens_until(ABRI, [KeyId("0" * 32), first], Suite.X_WING) is not None
    assert book.opens_until(ABRI, [first], Suite.X25519) is None
    assert book.opens_until(ABRI, [signing], Suite.X_WING) is None
    assert book.opens_until(CCEM, [first], Suite.X_WING) is None


def test_an_organisation_hears_what_its_document_names_and_nothing_else(two: Two) -> None:
    book = Directory(two.ccem).book
    book.check_hears(ABRI, HEARD)
    assert code(book.check_hears, ABRI, [*HEARD, "referral.offered.v2"]) == DirectoryCode.TYPE_UNHEARD
    assert code(book.check_hears, AUTRE, []) == DirectoryCode.ORGANISATION_UNKNOWN


def test_x_wing_comes_before_x25519_and_new_before_old(two: Two) -> None:
    keys = [(InboxKey.generate(KeyKind.X25519), 2), (InboxKey.generate(), 0), (InboxKey.generate(), 1)]
    document = KeyDocument(
        organisation=ABRI,
        serial=2,
        issued=AT,
        hears=(),
        keys=tuple(
            publish(key.public, KeyPurpose.INBOX, SINCE + timedelta(hours=hours), SINCE + YEAR) for key, hours in keys
        ),
    )
    put(two.partners / "abri-be.keys", sign_key_document(document, two.abri_identity.key))
    book = Directory(two.ccem).book
    assert book.inbox_key(ABRI, SINCE + timedelta(hours=3)).id == keys[2][0].id
    assert book.inbox_key(ABRI, SINCE + timedelta(hours=3)).suite is Suite.X_WING


def test_a_system_without_x_wing_is_sealed_to_in_suite_2(tmp_path: Path) -> None:
    make_organisation(tmp_path, AUTRE, PASSPHRASES, AT, Choices(KeyKind.X25519, CHEAP.cost))
    assert Directory(tmp_path).book.inbox_key(AUTRE, AT).suite is Suite.X25519


def test_it_reads_the_folder_again_when_it_changes_and_not_before(two: Two) -> None:
    settle(two.ccem)
    directory = Directory(two.ccem)
    book = directory.book
    assert not directory.refresh()
    assert directory.book is book
    put(two.partners / "abri-be.keys", two.document(2))
    assert directory.refresh()
    assert directory.book.document(ABRI).serial == 2
    assert book.document(ABRI).serial == 1
    settle(two.ccem)
    assert directory.refresh()
    assert not directory.refresh()


def test_a_change_in_the_same_instant_as_the_last_one_is_seen(two: Two) -> None:
    directory = Directory(two.ccem)
    changed = (two.partners.stat().st_atime_ns, two.partners.stat().st_mtime_ns)
    put(two.partners / "abri-be.keys", two.document(2))
    os.utime(two.partners, ns=changed)
    assert directory.refresh()
    assert directory.book.document(ABRI).serial == 2


def test_what_is_copied_over_a_file_is_seen_when_each_file_is_looked_at(two: Two, tmp_path: Path) -> None:
    settle(two.ccem)
    directory = Directory(two.ccem)
    new, there = tmp_path / "new", two.partners / "abri-be.keys"
    new.write_text(two.document(2))
    assert not directory.refresh(each_file=True)
    folder = two.partners.stat().st_mtime_ns
    shutil.copyfile(new, there)
    assert two.partners.stat().st_mtime_ns == folder
    assert directory.refresh(each_file=True)
    assert directory.book.document(ABRI).serial == 2
    settle(two.ccem)
    assert directory.refresh(each_file=True)
    assert not directory.refresh(each_file=True)
    assert not directory.refresh()


def test_a_copy_that_keeps_its_own_older_time_is_seen_too(two: Two, tmp_path: Path) -> None:
    settle(two.ccem)
    directory = Directory(two.ccem)
    new, there = tmp_path / "new", two.partners / "abri-be.keys"
    new.write_text(two.document(2))
    os.utime(new, (1, 1))
    shutil.copy2(new, there)
    assert directory.refresh(each_file=True)
    assert directory.book.document(ABRI).serial == 2


def test_an_older_document_never_comes_back(two: Two) -> None:
    first = published_document(two.abri, ABRI)
    directory = Directory(two.ccem)
    put(two.partners / "abri-be.keys", two.document(3))
    assert directory.refresh()
    for older in (first, two.document(2), two.document(3, slice(3))):
        put(two.partners / "abri-be.keys", older)
        assert directory.refresh()
        assert directory.book.problems == {"abri-be": DocumentCode.SUPERSEDED}
        assert code(directory.book.document, ABRI) == DirectoryCode.ORGANISATION_UNKNOWN
    put(two.partners / "abri-be.keys", two.document(4))
    assert directory.refresh()
    assert directory.book.document(ABRI).serial == 4


def test_a_partner_that_goes_is_gone(two: Two) -> None:
    directory = Directory(two.ccem)
    (two.partners / "abri-be.20261124T102000Z.agreement").unlink()
    assert directory.refresh()
    assert code(directory.book.document, ABRI) == DirectoryCode.ORGANISATION_UNKNOWN
    assert code(directory.book.agreement, ABRI, AT) == DirectoryCode.ORGANISATION_UNKNOWN


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("abri-be.keys", "", DocumentCode.MALFORMED),
        ("abri-be.keys", "x" * 300_000, DocumentCode.MALFORMED),
        ("abri-be.20261124T102000Z.agreement", "\udcff", DocumentCode.MALFORMED),
        ("abri-be.20261124T102000Z.agreement", "org.relais.agreement.v1\n", DocumentCode.MALFORMED),
    ],
)
def test_a_damaged_file_takes_away_its_partner_alone(two: Two, name: str, content: str, problem: DocumentCode) -> None:
    autre = make_organisation(two.ccem.parent / "autre", AUTRE, PASSPHRASES, AT, CHEAP)
    introduce(
        two.ccem,
        agree(autre, two.ccem_identity, Terms(SINCE, SINCE + YEAR, KINDS)),
        published_document(two.ccem.parent / "autre", AUTRE),
    )
    (two.partners / name).write_bytes(content.encode(errors="surrogateescape"))
    book = Directory(two.ccem).book
    assert book.problems == {"abri-be": problem}
    assert book.agreements.keys() & book.documents.keys() == {AUTRE}


def test_a_missing_key_document_is_said(two: Two) -> None:
    (two.partners / "abri-be.keys").unlink()
    book = Directory(two.ccem).book
    assert book.problems == {"abri-be": DocumentCode.MISSING}
    assert set(book.documents) == {CCEM}


def test_an_agreement_under_another_name_is_not_believed(two: Two) -> None:
    (two.partners / "abri-be.20261124T102000Z.agreement").rename(two.partners / "autre-de.20261124T102000Z.agreement")
    book = Directory(two.ccem).book
    assert book.problems == {"autre-de": DocumentCode.MALFORMED}
    assert set(book.documents) == {CCEM}


def test_keys_that_another_identity_signed_are_not_believed(two: Two) -> None:
    usurper = Identity(ABRI, SigningKey.generate())
    now = Directory(two.abri).book.document(ABRI)
    put(two.partners / "abri-be.keys", sign_key_document(now, usurper.key))
    assert Directory(two.ccem).book.problems == {"abri-be": DocumentCode.UNSIGNED}


@pytest.mark.parametrize("content", ["", "ccem-fr/identity+00000000+AAAA\n", "ccem-fr/receipt+x+y", "\n\n", "é"])
def test_without_ourselves_nothing_is_trusted(two: Two, content: str) -> None:
    directory = Directory(two.ccem)
    book = directory.book
    put(two.ccem / IDENTITY_FILE, content)
    assert code(Directory, two.ccem) == DirectoryCode.OURSELVES_UNREADABLE
    assert not directory.refresh()
    assert directory.book is book


def test_without_our_own_document_nothing_is_trusted(two: Two) -> None:
    (two.partners / "ccem-fr.keys").unlink()
    assert code(Directory, two.ccem) == DirectoryCode.OURSELVES_UNREADABLE
    assert code(Directory, two.ccem / "nowhere") == DirectoryCode.OURSELVES_UNREADABLE


def test_nothing_is_kept_of_a_partner_that_is_not_right(two: Two) -> None:
    autre = make_organisation(two.ccem.parent / "autre", AUTRE, PASSPHRASES, AT, CHEAP)
    agreement = agree(autre, two.ccem_identity, Terms(SINCE, SINCE + YEAR, KINDS))
    with pytest.raises(DocumentError):
        introduce(two.ccem, agreement, published_document(two.abri, ABRI))
    with pytest.raises(DocumentError):
        introduce(two.ccem, two.agreement + "x", published_document(two.abri, ABRI))
    names = ["abri-be.20261124T102000Z.agreement", "abri-be.keys", "ccem-fr.keys"]
    assert sorted(path.name for path in two.partners.iterdir()) == names


def test_an_agreement_may_permit_less(two: Two) -> None:
    terms = Terms(SINCE, SINCE + YEAR, KINDS, {ABRI: frozenset({ReferralKind.SERVICE}), CCEM: frozenset()})
    introduce(two.ccem, agree(two.abri_identity, two.ccem_identity, terms), published_document(two.abri, ABRI))
    agreement = Directory(two.ccem).book.agreement(ABRI, AT)
    assert agreement.party(ABRI).may_send == (ReferralKind.SERVICE,)
    assert agreement.party(CCEM).may_send == ()


def test_nobody_is_taken_for_support_because_nothing_was_said_of_it(two: Two) -> None:
    assert Directory(two.ccem).book.agreement(ABRI, AT).partner_of(CCEM).kind is RecipientKind.HEALTH
    with pytest.raises(KeyError):
        agree(two.abri_identity, two.ccem_identity, Terms(SINCE, SINCE + YEAR, {CCEM: RecipientKind.SUPPORT}))


def test_every_published_key_is_one_that_partners_take(two: Two) -> None:
    identity = parse_identity(ABRI, two.abri_identity.vkey)
    document = open_key_document(published_document(two.abri, ABRI), ABRI, identity)
    assert len(document.keys) == 6 + INBOX_KEYS_AHEAD
    assert {published.key.id for published in document.keys} == {published.id for published in document.keys}


def test_an_error_of_the_directory_names_nobody(two: Two) -> None:
    with pytest.raises(DirectoryError) as caught:
        Directory(two.ccem).book.document(AUTRE)
    assert str(caught.value) == "organisation-unknown"
