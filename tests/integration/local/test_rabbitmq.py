"""A private RabbitMQ: one life with every way to end it, and clear words when it cannot live."""

import os
import signal
import socket
from pathlib import Path

import pytest
from aiormq.exceptions import PublishError

from deploy.broker.definitions import hash_password
from deploy.broker.topology import BrokerRole, Member, render, user_name, users_of
from deploy.local import ports
from deploy.local import rabbitmq as local_rabbitmq
from deploy.local.errors import LocalCode, LocalError
from deploy.local.rabbitmq import GivenRabbit, PrivateRabbit, private_rabbitmq, rabbitmq
from deploy.local.rabbitmq_binaries import RabbitBinaries, find_binaries
from deploy.local.rabbitmq_files import RabbitPorts
from shared.contracts.ids import OrganisationId
from tests.support.amqp import arrived, connected, give_back, publish
from tests.support.processes import alive, descendants, program
from tests.support.servers import BrokerPair, Rabbit, make_broker_pair
from tests.support.thief import LooksFreeOnce
from tests.support.wait import until

HASHES = {name: hash_password("x" * 20, b"salt") for name in users_of([Member(OrganisationId("autre-de"))])}

BOTH_SERVERS = """
import sys
from pathlib import Path
from deploy.local.postgres import private_postgres
from deploy.local.rabbitmq import private_rabbitmq
folder = Path(sys.argv[1])
with private_postgres(folder / "postgres"), private_rabbitmq(folder / "rabbitmq"):
    print("up", flush=True)
    sys.stdin.read()
"""


async def speak(pair: BrokerPair, body: bytes) -> None:
    """Send ``body`` from ccem to abri."""
    async with connected(pair.exchange_url(pair.ccem, BrokerRole.REFERRAL)) as connection:
        await publish(await connection.channel(), f"from.{pair.ccem}", pair.abri, body)


async def hear(pair: BrokerPair) -> bytes:
    """Return what waits for abri, and leave it there."""
    async with connected(pair.exchange_url(pair.abri, BrokerRole.INTAKE)) as connection:
        channel = await connection.channel()
        message = await arrived(channel, f"to.{pair.abri}.from.{pair.ccem}")
        await give_back(channel, message)
        return message.body


async def test_one_life(tmp_path: Path) -> None:
    """Brought up with PostgreSQL by a program that is killed; again by us; killed; and back each time as it was."""
    said: list[str] = []
    with program(BOTH_SERVERS, str(tmp_path)) as (owner, first):
        assert first == "up"
        below = descendants(owner.pid)
        assert {"postgres", "beam.smp", "epmd"} <= {name_of(pid) for pid in below}
        owner.send_signal(signal.SIGKILL)
        owner.wait()
        await until(lambda: not [pid for pid in below if alive(pid)], seconds=20, what="all servers are gone")
    with private_rabbitmq(tmp_path / "rabbitmq", progress=said.append) as broker:
        assert "starting RabbitMQ …" in said
        pair = make_broker_pair(broker)
        await speak(pair, b"keep me")
        await until(lambda: is_on_disk(tmp_path, f"to.{pair.abri}.from.{pair.ccem}"), what="the broker knows its queue")
        pair.agree()
        where, below = broker.ports, descendants(broker.pid or 0)
        assert below
        broker.kill()
        assert broker.pid is None
        assert not [pid for pid in below if alive(pid)]
        broker.start()
        assert broker.ports == where
        assert await hear(pair) == b"keep me"
        with pytest.raises(PublishError):  # the agreement that ended has not come back with the broker
            await speak(pair, b"no longer")
        assert loopback_only(broker)


def is_on_disk(folder: Path, queue: str) -> bool:
    """Say whether the broker would know ``queue`` again: it writes a quorum queue down a moment after it makes it."""
    return any(queue.encode() in names.read_bytes() for names in folder.rglob("names.dets"))


def name_of(pid: int) -> str:
    """Return the name of a process, empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def loopback_only(broker: PrivateRabbit) -> bool:
    """Say whether the broker's four ports, and no others, are listened on at 127.0.0.1 alone."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    listening = {tuple(fields[1].split(":")) for fields in lines if fields[3] == "0A"}
    hosts = {int(port, 16): host for host, port in listening}
    where = broker.ports
    found = [hosts[port] for port in (where.amqp, where.management, where.distribution, where.mapper)]
    return found == ["0100007F"] * 4


def broken(tmp_path: Path, script: str) -> RabbitBinaries:
    """Return real Erlang with a broker that is none."""
    (tmp_path / "rabbitmq-server").write_text(script)
    (tmp_path / "rabbitmq-server").chmod(0o755)
    return RabbitBinaries(tmp_path, find_binaries().search_path)


def start_with(binaries: RabbitBinaries, folder: Path, monkeypatch: pytest.MonkeyPatch) -> LocalError:
    """Start a broker from ``binaries`` and return why it could not; nothing of it runs on."""
    monkeypatch.setattr(local_rabbitmq, "find_binaries", lambda **_: binaries)
    before = descendants(os.getpid())
    with pytest.raises(LocalError) as refused, private_rabbitmq(folder):
        pass
    assert descendants(os.getpid()) <= before
    return refused.value


def test_a_broker_that_dies_shows_the_end_of_its_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = broken(tmp_path, "#!/bin/sh\necho no such thing as a broker >&2\nexit 3\n")
    error = start_with(wrong, tmp_path / "state", monkeypatch)
    assert error.code is LocalCode.SERVER_DIED
    assert "no such thing as a broker" in error.sentence


def test_a_broker_that_is_no_program_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    error = start_with(broken(tmp_path, "\x7fELF"), tmp_path / "state", monkeypatch)
    assert error.code is LocalCode.SERVER_UNUSABLE


def test_a_broker_without_erlang_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    error = start_with(RabbitBinaries(tmp_path, str(tmp_path)), tmp_path / "state", monkeypatch)
    assert error.code is LocalCode.SERVER_UNUSABLE
    assert "Erlang" in error.sentence


def test_a_broker_that_never_answers_is_given_up_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_rabbitmq, "READY_SECONDS", 0.3)
    error = start_with(broken(tmp_path, "#!/bin/sh\nexec sleep 1000\n"), tmp_path / "state", monkeypatch)
    assert error.code is LocalCode.SERVER_SILENT


def test_a_port_taken_in_the_last_moment_is_left_for_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another program takes the port mapper's port each time; in the end that is what we are told."""
    monkeypatch.setattr(local_rabbitmq, "PORT_ATTEMPTS", 2)
    tried: list[RabbitPorts] = []
    with socket.create_server(("127.0.0.1", 0)) as thief:
        stolen = thief.getsockname()[1]

        def choose() -> RabbitPorts:
            amqp, management, distribution = ports.free_ports(3)
            tried.append(RabbitPorts(amqp, management, distribution, mapper=stolen))
            return tried[-1]

        monkeypatch.setattr(RabbitPorts, "choose", choose)
        monkeypatch.setattr(ports, "is_free", LooksFreeOnce(stolen))
        error = start_with(find_binaries(), tmp_path / "state", monkeypatch)
    assert error.code is LocalCode.PORT_TAKEN
    assert str(stolen) in error.sentence
    assert len({where.amqp for where in tried}) == 2


def test_before_it_has_started_it_has_no_address(tmp_path: Path) -> None:
    never = PrivateRabbit(tmp_path, find_binaries(), 0, lambda _line: None)
    with pytest.raises(LocalError):
        _ = never.management_url


async def test_a_given_broker_is_brought_to_the_topology(rabbitmq: Rabbit, tmp_path: Path) -> None:
    pair = make_broker_pair(rabbitmq)
    user = user_name(pair.accueil, BrokerRole.PARTNER)
    variables = {
        "RELAIS_RABBITMQ_URL": rabbitmq.url(pair.exchange, user, "whatever"),
        "RELAIS_RABBITMQ_ADMIN_URL": rabbitmq.admin_url,
    }
    with local_rabbitmq.rabbitmq(
        tmp_path / "unused", definitions=pair.definitions((pair.accueil, pair.abri)), environment=variables
    ) as given:
        assert isinstance(given, GivenRabbit)
        assert given.management_url == rabbitmq.management_url
        async with connected(given.url(pair.exchange, user, pair.passwords[user])) as connection:
            await publish(await connection.channel(), f"from.{pair.accueil}", pair.abri, b"hello")
    pair.remove()
    assert not (tmp_path / "unused").exists()


async def test_a_given_broker_on_which_others_meet_is_left_as_it_is(rabbitmq: Rabbit, tmp_path: Path) -> None:
    theirs = make_broker_pair(rabbitmq)
    ours = render([Member(OrganisationId("autre-de"))], [], HASHES, exchange_host=theirs.exchange)
    variables = {"RELAIS_RABBITMQ_URL": "amqp://127.0.0.1:1", "RELAIS_RABBITMQ_ADMIN_URL": rabbitmq.admin_url}
    given = local_rabbitmq.rabbitmq(tmp_path / "unused", definitions=ours, environment=variables)
    with pytest.raises(LocalError) as refused, given:
        pass
    assert refused.value.code is LocalCode.BROKER_NOT_OURS
    assert theirs.exchange in refused.value.sentence
    await speak(theirs, b"still heard")
    assert await hear(theirs) == b"still heard"
    theirs.remove()


@pytest.mark.parametrize("only", ["RELAIS_RABBITMQ_URL", "RELAIS_RABBITMQ_ADMIN_URL"])
def test_what_is_no_address_is_refused_and_not_repeated(tmp_path: Path, only: str) -> None:
    variables = {"RELAIS_RABBITMQ_URL": "amqp://127.0.0.1:1", "RELAIS_RABBITMQ_ADMIN_URL": "http://127.0.0.1:1"}
    variables[only] = "http://name:kanarienvogel/@127.0.0.1:1"
    with pytest.raises(LocalError) as refused, rabbitmq(tmp_path, environment=variables):
        pass
    assert refused.value.code is LocalCode.ADDRESS_MALFORMED
    assert only in refused.value.sentence
    assert "kanarienvogel" not in str(refused.value)


@pytest.mark.parametrize("name", ["l'abri", "foyer-été", 'so "called"', "a$b", "a;b", "a%b", "a\nb"])
def test_a_folder_in_which_it_could_not_run_is_refused_at_once(tmp_path: Path, name: str) -> None:
    with pytest.raises(LocalError) as refused, private_rabbitmq(tmp_path / name):
        pass
    assert refused.value.code is LocalCode.FOLDER_UNUSABLE
    assert not (tmp_path / name).exists()


def test_it_runs_in_a_folder_of_every_character_that_is_let_in(tmp_path: Path) -> None:
    with private_rabbitmq(tmp_path / "A z0 ._+,=@~-") as server:
        assert server.pid is not None


@pytest.mark.parametrize("only", ["RELAIS_RABBITMQ_URL", "RELAIS_RABBITMQ_ADMIN_URL"])
def test_half_an_address_is_refused(tmp_path: Path, only: str) -> None:
    with pytest.raises(LocalError) as refused, rabbitmq(tmp_path, environment={only: "amqp://127.0.0.1:1"}):
        pass
    assert refused.value.code is LocalCode.ADDRESS_INCOMPLETE
