"""What intake takes over HTTP and hears on the broker stands in ``docs/protocol``, as the code has it."""

from pathlib import Path
from typing import Annotated, Any

from jsonschema import Draft202012Validator
from pydantic import Field, RootModel

from services.intake.app import create_app
from services.intake.settings import IntakeSettings
from shared.contracts.ids import OrganisationId
from shared.messaging.places import to_queue
from shared.sealing.envelope import SIZES
from shared.sealing.header import Header
from tests.support.described import assert_current, asyncapi, openapi
from tests.support.reports import SILENT

US = OrganisationId("abri-be")
PARTNER = OrganisationId("ccem-fr")


class SealedEnvelope(RootModel[Annotated[bytes, Field(min_length=SIZES[0], max_length=SIZES[-1])]]):
    """An envelope as docs/protocol/envelope.md has it, with ten ``ce-`` headers beside it."""


def described_http() -> dict[str, Any]:
    return openapi(
        create_app(
            IntakeSettings.model_validate(
                {
                    "organisation": US,
                    "folder": Path("nowhere"),
                    "intake_database": "postgresql://nowhere",
                    "intake_node_broker": "amqp://nowhere",
                    "intake_exchange_broker": "amqp://nowhere",
                    "intake_passphrase": "nothing",
                }
            )
        )
    )


def test_the_openapi_description_is_current() -> None:
    assert_current("openapi", "intake", described_http())


def test_the_asyncapi_description_is_current() -> None:
    heard = {to_queue(US, PARTNER): ("Sealed envelopes from partners, their receipts among them", SealedEnvelope)}
    assert_current("asyncapi", "intake", asyncapi("intake", heard))


def test_every_answer_that_a_caller_may_get_is_described() -> None:
    paths = described_http()["paths"]
    assert {path: sorted(methods) for path, methods in paths.items()} == {
        "/events": ["post"],
        "/api/quarantine": ["get"],
        "/reports": ["post"],
    }
    statuses = {path: set(operation["responses"]) for path, by in paths.items() for operation in by.values()}
    assert statuses == {
        "/events": {"200", "202", "204", "400", "403", "408", "409", "413", "415", "429", "503"},
        "/api/quarantine": {"200", "401", "404", "503"},
        "/reports": {"201", "400", "408", "409", "413", "415", "422", "429", "503"},
    }


def test_the_headers_of_an_envelope_are_described() -> None:
    parameters = described_http()["paths"]["/events"]["post"]["parameters"]
    described = [parameter["name"].removeprefix("ce-") for parameter in parameters]
    assert sorted(described) == sorted(attributes())


def attributes() -> list[str]:
    """Return the names of the attributes that a header has."""
    fields = {"key_id": "keyid", "inbox_keys": "inboxkeys"}
    return ["specversion", "type", *(fields.get(name, name) for name in Header.__dataclass_fields__)]


def test_a_report_fits_its_description() -> None:
    document = described_http()
    schema = {"$ref": "#/components/schemas/Report", "components": document["components"]}
    Draft202012Validator(schema).validate(SILENT)
    wrong = {**SILENT, "criteria": {**SILENT["criteria"], "confiscated_papers": "perhaps"}}
    assert not Draft202012Validator(schema).is_valid(wrong)
