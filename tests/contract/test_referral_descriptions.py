"""What referral takes over HTTP and hears on the broker stands in ``docs/protocol``, as the code has it."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, RootModel

from services.referral.app import QUEUE, create_app
from services.referral.settings import ReferralSettings
from shared.sealing.envelope import SIZES
from tests.support.described import assert_current, asyncapi, openapi

SAID_BY_STAFF = {
    "accept",
    "answer",
    "arrive",
    "ask",
    "close",
    "decline",
    "disclose",
    "miss",
    "open",
    "progress",
    "redirect",
    "reschedule",
    "withdraw",
    "withdraw-consent",
}


class SealedEnvelope(RootModel[Annotated[bytes, Field(min_length=SIZES[0], max_length=SIZES[-1])]]):
    """An envelope as docs/protocol/envelope.md has it, with the header ``relais-verdict: verified`` beside it."""


def described_http() -> dict[str, Any]:
    return openapi(
        create_app(
            ReferralSettings.model_validate(
                {
                    "organisation": "ccem-fr",
                    "folder": Path("nowhere"),
                    "referral_database": "postgresql://nowhere",
                    "referral_node_broker": "amqp://nowhere",
                    "referral_exchange_broker": "amqp://nowhere",
                    "referral_passphrase": "nothing",
                }
            )
        )
    )


def test_the_openapi_description_is_current() -> None:
    assert_current("openapi", "referral", described_http())


def test_the_asyncapi_description_is_current() -> None:
    heard = {QUEUE: ("Sealed events of partners, their receipts, and reports of our own intake", SealedEnvelope)}
    assert_current("asyncapi", "referral", asyncapi("referral", heard))


def test_every_route_is_described_with_its_refusals() -> None:
    paths = described_http()["paths"]
    assert {path.removeprefix("/api/referrals/{referral}/") for path in paths if path.count("/") == 4} >= SAID_BY_STAFF
    for path, methods in paths.items():
        for operation in methods.values():
            assert operation["security"] == [{"HTTPBearer": []}], path
            assert operation["responses"].keys() >= {"401", "404", "409", "422", "503"}, path
            for status in ("409", "422"):
                assert "application/problem+json" in operation["responses"][status]["content"]


def test_what_makes_something_says_how_it_answers_a_repetition() -> None:
    paths = described_http()["paths"]
    for path in ("/api/cases", "/api/cases/{case}/grants", "/api/cases/{case}/referrals"):
        assert paths[path]["post"]["responses"].keys() >= {"200", "201"}
