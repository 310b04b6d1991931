"""What keeps the door from opening is said at once, by a code."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from services.intake.app import build
from services.intake.settings import IntakeSettings
from shared.contracts.ids import OrganisationId
from shared.sealing.codes import DirectoryError, KeyringError
from shared.sealing.directory import PARTNERS_FOLDER
from shared.staff import Role
from shared.storage.migrate import MigrationError
from tests.integration.intake.conftest import Knocking, bring_up_to_date, settings_of, write_staff
from tests.support.servers import BrokerPair, FreshDatabase


@pytest.fixture
async def settings(
    broker_pair: BrokerPair, knocking: Knocking, fresh_database: FreshDatabase, tmp_path: Path
) -> IntakeSettings:
    """Return settings with which the door would open, but for its tables."""
    write_staff(knocking.us.folder, {Role.OPERATOR: "a token"})
    return settings_of(broker_pair, knocking.us, await fresh_database("abri-be"), tmp_path / "clock")


async def test_tables_that_are_missing_are_named(settings: IntakeSettings) -> None:
    with pytest.raises(MigrationError, match="migration-missing"):
        await build(settings)


async def test_a_wrong_passphrase_is_said(settings: IntakeSettings) -> None:
    with pytest.raises(KeyringError, match="keyring-wrong-passphrase"):
        await build(settings.model_copy(update={"intake_passphrase": SecretStr("another")}))


async def test_a_folder_without_an_organisation_is_said(settings: IntakeSettings, tmp_path: Path) -> None:
    with pytest.raises(KeyringError, match="keyring-missing"):
        await build(settings.model_copy(update={"folder": tmp_path}))


async def test_a_node_without_its_own_keys_document_is_said(settings: IntakeSettings, knocking: Knocking) -> None:
    document = knocking.us.folder / PARTNERS_FOLDER / f"{knocking.us.id}.keys"
    document.rename(document.with_suffix(".away"))
    try:
        with pytest.raises(DirectoryError, match="organisation-unreadable"):
            await build(settings)
    finally:
        document.with_suffix(".away").rename(document)


async def test_with_everything_in_place_it_opens(
    broker_pair: BrokerPair, knocking: Knocking, fresh_database: FreshDatabase, tmp_path: Path
) -> None:
    database = await fresh_database("abri-be")
    await bring_up_to_date(database)
    write_staff(knocking.us.folder, {Role.OPERATOR: "a token"})
    parts = await build(settings_of(broker_pair, knocking.us, database, tmp_path / "clock"))
    await parts.runtime.start()
    assert all((await parts.runtime.ready()).values())
    await parts.runtime.stop()


def test_the_country_of_the_remit_is_the_organisations(tmp_path: Path) -> None:
    settings = IntakeSettings.model_validate(
        {
            "organisation": OrganisationId("abri-be"),
            "folder": tmp_path,
            "intake_forms": ["sexual_exploitation"],
            "intake_database": "postgresql://nowhere",
            "intake_node_broker": "amqp://nowhere",
            "intake_exchange_broker": "amqp://nowhere",
            "intake_passphrase": "nothing",
        }
    )
    assert settings.remit.country == "BE"
    assert {str(form) for form in settings.remit.forms} == {"sexual_exploitation"}
