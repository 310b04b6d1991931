"""What is prepared for containers: everything that each needs, and nothing that another has."""

import json
import shutil
import stat
from collections.abc import Mapping
from hashlib import sha256
from importlib import import_module
from inspect import isclass
from pathlib import Path
from typing import Any

import pytest

from deploy import nodes
from deploy.broker.topology import BrokerRole
from deploy.compose import prepare
from deploy.compose.launch import ENVIRONMENT_FILE, read_environment, write_environment
from deploy.local.errors import LocalCode, LocalError
from deploy.local.network import its_own
from shared.clock import Clock
from shared.sealing.codes import KeyringError
from shared.sealing.enrol import open_identity
from shared.sealing.keyring import Holder, read_keyring
from shared.settings import NodeSettings
from shared.staff import STAFF_FILE, StaffBook
from tests.architecture.test_containers import load

SERVICES = [(organisation, service) for organisation in prepare.ORGANISATIONS for service in prepare.SERVICES]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the volume as `prepare` leaves it."""
    root = tmp_path_factory.mktemp("prepared")
    assert prepare.prepare(root, Clock().now())
    return root


def digests(root: Path) -> Mapping[str, str]:
    """Return what every file holds, as a digest."""
    return {str(path): sha256(path.read_bytes()).hexdigest() for path in root.rglob("*") if path.is_file()}


def volumes(service: Mapping[str, Any]) -> list[str]:
    """Return the folders of the prepared volume that a service sees."""
    return [item["volume"]["subpath"] for item in service.get("volumes", []) if isinstance(item, dict)]


def test_every_folder_that_a_container_sees_is_there(prepared: Path) -> None:
    seen = {folder for service in load()["services"].values() for folder in volumes(service)}
    assert {folder for folder in seen if not (prepared / folder).is_dir()} == set()
    assert len(seen) == len(SERVICES) + 3


def test_no_container_but_the_one_that_prepares_sees_the_safe() -> None:
    everything = [
        name for name, service in load()["services"].items() if "prepared:/prepared" in service.get("volumes", [])
    ]
    assert everything == ["prepare"]
    assert not [folder for service in load()["services"].values() for folder in volumes(service) if "safe" in folder]


@pytest.mark.parametrize(("organisation", "service"), SERVICES)
def test_a_service_finds_all_its_settings(
    prepared: Path, organisation: str, service: BrokerRole, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = import_module(f"services.{service}.settings")
    (kind,) = [
        each
        for each in vars(settings).values()
        if isclass(each) and issubclass(each, NodeSettings) and each is not NodeSettings
    ]
    in_the_file = load()["services"][f"{organisation}-{service}"]["environment"]
    given = in_the_file | read_environment(prepared / organisation / service / ENVIRONMENT_FILE)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    read = kind()
    assert (read.organisation, getattr(read, f"{service}_port")) == (organisation, 8000)
    assert {name.removeprefix("RELAIS_").lower() for name in given} - set(kind.model_fields) == set()


@pytest.mark.parametrize(("organisation", "service"), SERVICES)
def test_a_service_has_its_own_keyring_and_no_other(prepared: Path, organisation: str, service: BrokerRole) -> None:
    folder = prepared / organisation / service
    assert [path.name for path in folder.glob("*.keys")] == [f"{service}.keys"]
    passphrase = read_environment(folder / ENVIRONMENT_FILE)[f"RELAIS_{service.upper()}_PASSPHRASE"]
    assert read_keyring(folder, Holder(service), passphrase).organisation == organisation
    safe = prepared / organisation / prepare.SAFE
    for other in set(Holder) - {Holder(service)}:
        with pytest.raises(KeyringError, match="keyring-wrong-passphrase"):
            read_keyring(safe, other, passphrase)


@pytest.mark.parametrize("organisation", prepare.ORGANISATIONS)
def test_a_service_knows_whom_it_must_and_notify_alone_their_addresses(prepared: Path, organisation: str) -> None:
    everybody = StaffBook.load(prepared / organisation / prepare.SAFE / STAFF_FILE).members
    known = {
        service: StaffBook.load(prepared / organisation / service / STAFF_FILE).members for service in prepare.SERVICES
    }
    assert known[BrokerRole.NOTIFY] == everybody
    assert all(member.email for member in everybody)
    assert {member.id for member in known[BrokerRole.REFERRAL]} == {member.id for member in everybody}
    assert [member.id for member in known[BrokerRole.INTAKE]] == ["operations"]
    without = known[BrokerRole.INTAKE] + known[BrokerRole.REFERRAL]
    assert {member.email for member in without} == {None}
    given = [StaffBook(each) for each in (known[BrokerRole.INTAKE], known[BrokerRole.REFERRAL])]
    tokens = json.loads((prepared / organisation / prepare.SAFE / nodes.TOKENS_FILE).read_text())
    assert all(book.with_token(tokens["operations"]) for book in given)


@pytest.mark.parametrize("organisation", prepare.ORGANISATIONS)
def test_the_identity_can_be_taken_out_of_the_safe(prepared: Path, organisation: str) -> None:
    safe = prepared / organisation / prepare.SAFE
    passphrase = (safe / prepare.IDENTITY_PASSPHRASE).read_text()
    assert open_identity(safe, passphrase, Clock().now()).organisation == organisation
    told = [path.read_text() for path in prepared.rglob(ENVIRONMENT_FILE)]
    assert len(told) == len(SERVICES)
    assert not [each for each in told if passphrase in each]


def test_secrets_are_for_their_own_user(prepared: Path) -> None:
    open_to_others = {
        path.relative_to(prepared).as_posix()
        for path in prepared.rglob("*")
        if path.is_file() and stat.S_IMODE(path.stat().st_mode) & 0o077
    }
    public = {name for name in open_to_others if "/partners/" in name or name.endswith((".vkey", "/done", "done"))}
    assert open_to_others - public == {"postgres/password", "broker/definitions.json"}


def test_the_broker_is_given_no_password(prepared: Path) -> None:
    definitions = (prepared / "broker" / "definitions.json").read_text()
    assert len(json.loads(definitions)["users"]) == len(SERVICES)
    for organisation, service in SERVICES:
        url = read_environment(prepared / organisation / service / ENVIRONMENT_FILE)[
            f"RELAIS_{service.upper()}_NODE_BROKER"
        ]
        assert url.split(":")[2].split("@")[0] not in definitions


def test_preparing_again_changes_nothing(prepared: Path) -> None:
    before = digests(prepared)
    assert not prepare.prepare(prepared, Clock().now())
    assert digests(prepared) == before


def test_preparing_what_was_interrupted_starts_again(tmp_path: Path) -> None:
    (tmp_path / "ccem-fr" / "safe").mkdir(parents=True)
    (tmp_path / "ccem-fr" / "safe" / "identity.keys").write_text("half")
    (tmp_path / prepare.BEGUN).touch()
    assert prepare.prepare(tmp_path, Clock().now())
    assert (tmp_path / "ccem-fr" / "safe" / "identity.keys").read_text() != "half"
    assert {prepare.BEGUN, prepare.DONE} & {path.name for path in tmp_path.iterdir()} == {prepare.DONE}


def test_nothing_is_removed_from_a_backup_without_its_marker(prepared: Path, tmp_path: Path) -> None:
    restored = tmp_path / "restored"
    shutil.copytree(prepared, restored)
    (restored / prepare.DONE).unlink()
    before = digests(restored)
    with pytest.raises(LocalError) as refused:
        prepare.prepare(restored, Clock().now())
    assert refused.value.code is LocalCode.FOLDER_NOT_OURS
    assert digests(restored) == before


def test_everybody_has_a_token_of_their_own(prepared: Path) -> None:
    lines = [line.split() for line in prepare.tokens(prepared)]
    assert len({token for _, _, token in lines}) == len(lines) == len(nodes.STAFF) * len(prepare.ORGANISATIONS)


@pytest.mark.parametrize("service", prepare.SERVICES)
def test_a_process_of_its_own_is_told_what_is_its_own(service: BrokerRole) -> None:
    common = {"RELAIS_FOLDER": "f", "RELAIS_OTLP_ENDPOINT": "e"}
    own = {each: f"RELAIS_{each.upper()}_PASSPHRASE" for each in prepare.SERVICES}
    told = its_own(common | dict.fromkeys(own.values(), "secret"), service)
    assert told == common | {own[service]: "secret"}


def test_an_environment_is_read_as_it_was_written(tmp_path: Path) -> None:
    variables = {"RELAIS_A": "postgresql://u:p=x@h/d?a=b", "RELAIS_B": ""}
    write_environment(tmp_path / "environment", variables)
    assert read_environment(tmp_path / "environment") == variables


@pytest.mark.parametrize("variables", [{"PATH": "/bin"}, {"RELAIS_A": "one\nLD_PRELOAD=two"}])
def test_an_environment_holds_nothing_else(variables: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot be written"):
        write_environment(tmp_path / "environment", variables)
    assert not (tmp_path / "environment").exists()
