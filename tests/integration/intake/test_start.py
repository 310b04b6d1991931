"""What keeps the door from opening is said at once, by a code."""

from pathlib import Path

import asyncpg
import pytest
from pydantic import SecretStr

from deploy.local.databases import DatabaseRole, NodeDatabase, role_name
from services.intake.app import build
from services.intake.settings import IntakeSettings
from shared.contracts.ids import OrganisationId
from shared.sealing.codes import DirectoryError, KeyringError
from shared.sealing.directory import PARTNERS_FOLDER
from shared.staff import Role
from shared.storage.migrate import MigrationError
from tests.integration.intake.conftest import Knocking, bring_up_to_date, settings_of, write_staff
from tests.support.servers import BrokerPair, FreshDatabase
from tests.support.wait import until


@pytest.fixture
async def empty(fresh_database: FreshDatabase) -> NodeDatabase:
    """Give a database without a table."""
    return await fresh_database("abri-be")


@pytest.fixture
async def database(empty: NodeDatabase) -> NodeDatabase:
    """Give a database that is up to date."""
    await bring_up_to_date(empty)
    return empty


@pytest.fixture
def settings(broker_pair: BrokerPair, knocking: Knocking, empty: NodeDatabase, tmp_path: Path) -> IntakeSettings:
    """Return settings with which the door opens where the database is up to date."""
    write_staff(knocking.us.folder, {Role.OPERATOR: "a token"})
    return settings_of(broker_pair, knocking.us, empty, tmp_path / "clock")


async def open_and_close(settings: IntakeSettings) -> None:
    """Put the service together, and take it apart again."""
    async with build(settings):
        pass


async def test_tables_that_are_missing_are_named(settings: IntakeSettings) -> None:
    with pytest.raises(MigrationError, match="migration-missing"):
        await open_and_close(settings)


async def test_a_wrong_passphrase_is_said(settings: IntakeSettings) -> None:
    with pytest.raises(KeyringError, match="keyring-wrong-passphrase"):
        await open_and_close(settings.model_copy(update={"intake_passphrase": SecretStr("another")}))


async def test_a_folder_without_an_organisation_is_said(settings: IntakeSettings, tmp_path: Path) -> None:
    with pytest.raises(KeyringError, match="keyring-missing"):
        await open_and_close(settings.model_copy(update={"folder": tmp_path}))


@pytest.mark.usefixtures("database")
async def test_a_node_without_its_own_keys_document_is_said(settings: IntakeSettings, knocking: Knocking) -> None:
    document = knocking.us.folder / PARTNERS_FOLDER / f"{knocking.us.id}.keys"
    document.rename(document.with_suffix(".away"))
    try:
        with pytest.raises(DirectoryError, match="organisation-unreadable"):
            await open_and_close(settings)
    finally:
        document.with_suffix(".away").rename(document)


@pytest.mark.usefixtures("database")
async def test_with_everything_in_place_it_opens(settings: IntakeSettings) -> None:
    async with build(settings) as parts:
        await parts.runtime.start()
        assert all((await parts.runtime.ready()).values())
        await parts.runtime.stop()


async def test_what_was_opened_is_closed_when_the_rest_cannot_be_put_together(
    settings: IntakeSettings, database: NodeDatabase
) -> None:
    with pytest.raises(ValueError, match="port"):
        await open_and_close(settings.model_copy(update={"intake_node_broker": SecretStr("amqp://here:door/")}))
    owner = await asyncpg.connect(database.dsn(DatabaseRole.OWNER))
    query = "SELECT count(*) = 0 FROM pg_stat_activity WHERE datname = $1 AND usename = $2"
    role = role_name(database.organisation, DatabaseRole.INTAKE)
    await until(lambda: owner.fetchval(query, database.name, role), seconds=10, what="the connections to be closed")
    await owner.close()


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
