"""Names that fit PostgreSQL, and a password verifier that is exactly SCRAM's."""

import base64
import hashlib
import hmac

from hypothesis import given
from hypothesis import strategies as st

from deploy.local.databases import (
    DatabaseRole,
    NodeDatabase,
    database_name,
    new_passwords,
    role_name,
    scram_verifier,
)
from shared.contracts.ids import ORGANISATION_PATTERN, OrganisationId

LONGEST_IDENTIFIER = 63
"""PostgreSQL cuts what is longer, in silence: two roles would become one."""

organisations = st.from_regex(ORGANISATION_PATTERN.rstrip("$"), fullmatch=True).filter(lambda name: len(name) <= 40)


@given(organisations, st.sampled_from(DatabaseRole))
def test_every_name_fits(name: str, role: DatabaseRole) -> None:
    assert len(role_name(OrganisationId(name), role)) <= LONGEST_IDENTIFIER
    assert role_name(OrganisationId(name), role).replace("_", "").isalnum()


@given(organisations, organisations)
def test_two_organisations_never_share_a_database(one: str, other: str) -> None:
    assert (database_name(OrganisationId(one)) == database_name(OrganisationId(other))) == (one == other)


def test_names_are_what_the_services_expect() -> None:
    assert database_name(OrganisationId("ccem-fr")) == "relais_ccem_fr"
    assert role_name(OrganisationId("ccem-fr"), DatabaseRole.INTAKE) == "relais_ccem_fr_intake"


def test_an_address_carries_its_own_roles_password_and_shows_none() -> None:
    passwords = new_passwords()
    assert len(set(passwords.values())) == len(DatabaseRole)
    node = NodeDatabase(OrganisationId("ccem-fr"), "postgresql://admin:word@127.0.0.1:20001/postgres", passwords)
    expected = f"postgresql://relais_ccem_fr_notify:{passwords[DatabaseRole.NOTIFY]}@127.0.0.1:20001/relais_ccem_fr"
    assert node.dsn(DatabaseRole.NOTIFY) == expected
    assert not any(word in repr(node) for word in (*passwords.values(), "word"))


def test_the_verifier_accepts_the_exchange_of_rfc_7677() -> None:
    """Section 3: user "user", password "pencil"; the proof and the server's signature are the RFC's own."""
    verifier = scram_verifier("pencil", base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ=="), 4096)
    stored, server = (base64.b64decode(part) for part in verifier.rpartition("$")[2].split(":"))
    said = (
        b"n=user,r=rOprNGfwEbeRWgbNEkqO,"
        b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,"
        b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
    )
    proof = base64.b64decode("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")
    client = bytes(a ^ b for a, b in zip(proof, hmac.digest(stored, said, "sha256"), strict=True))
    assert hashlib.sha256(client).digest() == stored
    assert hmac.digest(server, said, "sha256") == base64.b64decode("6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")
    assert verifier.startswith("SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$")
