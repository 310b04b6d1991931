"""From a service's span to the page, over a real socket: what is shown, what is lost, and who may ask."""

import asyncio
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from shared.contracts.ids import OrganisationId
from shared.telemetry import logs, metrics
from shared.telemetry.traces import (
    Kind,
    Telemetry,
    current_traceparent,
    link_to,
    mark_failed,
    span_from,
)
from tests.support.telemetry import CANARIES
from tests.support.wait import until

COMMAND = (sys.executable, "-m", "deploy.traces", "--port", "0", "--store")
REFERRAL = "6f2c1a94-58f1-4c68-b0c5-0d2f64f0a1de"


@contextmanager
def running(store: Path, *more: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Run the trace page as a process; yield its address and the process, and stop it."""
    process = subprocess.Popen([*COMMAND, str(store), *more], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        yield process.stdout.readline().strip().rstrip("/"), process
    finally:
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=20)
        assert process.returncode == 0, errors


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the address of a trace page."""
    with running(tmp_path_factory.mktemp("traces") / "traces.db") as (address, _):
        yield address


@pytest.fixture
async def client(page: str) -> AsyncIterator[httpx.AsyncClient]:
    """Return a client of the page."""
    async with httpx.AsyncClient(base_url=page) as made:
        yield made


async def asked(client: httpx.AsyncClient, address: str) -> Any:  # noqa: ANN401  # what JSON may be
    answer = await client.get(address)
    return answer.raise_for_status().json()


def contents(folder: Path) -> bytes:
    """Return all that the files of a folder hold."""
    return b"".join(file.read_bytes() for file in folder.iterdir())


async def hand_over(page: str) -> None:
    """Let two organisations do what they do when a referral goes from one to the other."""
    outbox: list[str | None] = []

    async def sender() -> None:
        telemetry = Telemetry.start("referral", OrganisationId("ccem-fr"), page)
        with span_from(None, "referral.offer", Kind.SERVER, {"referral_id": REFERRAL}):
            with span_from(current_traceparent(), "batch.commit", Kind.CLIENT):
                pass
            with span_from(current_traceparent(), "publish from.ccem-fr", Kind.PRODUCER):
                outbox.append(current_traceparent())
        await asyncio.to_thread(telemetry.stop)

    async def door() -> None:
        telemetry = Telemetry.start("intake", OrganisationId("abri-be"), page)
        with (
            span_from(None, "receive to.abri-be", links=[link_to(outbox[0])]),
            span_from(current_traceparent(), "publish referral.in", Kind.PRODUCER),
        ):
            outbox.append(current_traceparent())
        await asyncio.to_thread(telemetry.stop)

    async def desk() -> None:
        telemetry = Telemetry.start("referral", OrganisationId("abri-be"), page)
        with span_from(outbox[1], "process referral.in", attributes={"referral_id": REFERRAL}):
            mark_failed("grant-expired")
        await asyncio.to_thread(telemetry.stop)

    for each in (sender(), door(), desk()):
        await asyncio.create_task(each)


async def test_a_hand_over_is_shown_as_one_path(page: str, client: httpx.AsyncClient) -> None:
    await hand_over(page)
    found = (await asked(client, f"/api/traces?about={REFERRAL}"))["traces"]
    assert [(each["root"]["name"], each["spans"], each["failed"]) for each in found] == [
        ("receive to.abri-be", 3, 1),
        ("referral.offer", 3, 0),
    ]
    received, offered = found
    path = await asked(client, f"/api/paths/{offered['id']}")
    assert [each["id"] for each in path["traces"]] == [offered["id"], received["id"]]
    (on,) = (await asked(client, f"/api/traces/{offered['id']}"))["goes_on_in"]
    spans = {each["name"]: each for each in (await asked(client, f"/api/traces/{received['id']}"))["spans"]}
    assert (on["trace"], on["span"]) == (received["id"], spans["receive to.abri-be"]["id"])
    assert spans["receive to.abri-be"]["links"] == [{"trace": offered["id"], "span": on["at"]}]
    assert spans["process referral.in"]["parent"] == spans["publish referral.in"]["id"]
    assert spans["process referral.in"]["attributes"] == {"referral_id": REFERRAL, "code": "grant-expired"}
    services = await asked(client, "/api/services")
    calls = {(each["caller"]["service"], each["called"]["service"], each["by_link"]) for each in services["calls"]}
    assert {("referral", "intake", True), ("intake", "referral", False)} <= calls
    assert "grant-expired" in (await client.get("/failures", headers={"accept-language": "fr"})).text


async def test_no_text_reaches_the_collector(tmp_path: Path) -> None:
    with running(tmp_path / "traces.db") as (address, _):
        telemetry = Telemetry.start("notify", OrganisationId("abri-be"), address)
        for canary in CANARIES:
            with span_from(None, canary, attributes={"name": canary, "code": canary}) as made:
                made.record_exception(ValueError(canary))
                made.add_event(canary)
        with pytest.raises(ValueError, match="Aminata"), span_from(None, "mail.send"):
            raise ValueError(CANARIES[0])
        await asyncio.to_thread(telemetry.stop)
        async with httpx.AsyncClient(base_url=address) as asking:
            assert len((await asked(asking, "/api/traces"))["traces"]) == len(CANARIES) + 1
    kept = contents(tmp_path)
    assert b"unnamed" in kept
    assert [canary for canary in CANARIES if canary and canary.encode() in kept] == []


async def test_spans_stay_when_the_page_is_started_again(tmp_path: Path) -> None:
    store = tmp_path / "build" / "traces.db"
    with running(store) as (address, _):
        telemetry = Telemetry.start("intake", OrganisationId("ccem-fr"), address)
        with span_from(None, "report.take"):
            pass
        await asyncio.to_thread(telemetry.stop)
    with running(store) as (address, _):
        async with httpx.AsyncClient(base_url=address) as asking:
            assert len((await asked(asking, "/api/traces"))["traces"]) == 1


@contextmanager
def closed_port() -> Iterator[int]:
    """Yield a port that is bound, so that nobody else takes it, and on which nobody listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


@contextmanager
def silent_port() -> Iterator[int]:
    """Yield a port that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=16) as listening:
        yield listening.getsockname()[1]


@pytest.mark.parametrize("port", [closed_port, silent_port])
async def test_a_collector_that_does_not_answer_is_not_felt(port: Any, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: ANN401  # one of two functions
    before = metrics.REGISTRY.get_sample_value("relais_telemetry_spans_total", {"outcome": "lost"}) or 0.0
    logs.configure("debug", "json")
    with port() as number:
        telemetry = Telemetry.start("intake", OrganisationId("ccem-fr"), f"http://127.0.0.1:{number}")
        began = time.perf_counter()
        for _ in range(3000):
            with span_from(None, "receive to.ccem-fr"):
                pass
        working = time.perf_counter() - began
        await asyncio.to_thread(telemetry.stop)
        stopping = time.perf_counter() - began - working
    logs.restore()
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["event"] for line in lines] == ["collector.away"]
    assert working < 5
    assert stopping < 10
    lost = metrics.REGISTRY.get_sample_value("relais_telemetry_spans_total", {"outcome": "lost"}) or 0.0
    assert 0 < lost - before <= 3000


async def test_a_collector_that_comes_back_is_told_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.telemetry.export.REST_SECONDS", 0.05)
    with closed_port() as port:
        telemetry = Telemetry.start("intake", OrganisationId("ccem-fr"), f"http://127.0.0.1:{port}")
        with span_from(None, "receive to.ccem-fr"):
            pass
        await asyncio.to_thread(telemetry.provider.force_flush)
    with running(tmp_path / "traces.db", "--port", str(port)) as (address, _):
        async with httpx.AsyncClient(base_url=address) as asking:

            async def arrived() -> bool:
                with span_from(None, "report.take"):
                    pass
                await asyncio.to_thread(telemetry.provider.force_flush)
                return bool((await asked(asking, "/api/traces?name=report.take"))["traces"])

            await until(arrived, seconds=10)
        await asyncio.to_thread(telemetry.stop)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--host", "0.0.0.0"], "listens on this machine alone"),  # noqa: S104  # refused, that is the test
        (["--host", "::"], "listens on this machine alone"),
        (["--host", "localhost.example"], "listens on this machine alone"),
        (["--host", "192.0.2.1"], "listens on this machine alone"),
    ],
)
def test_it_refuses_to_listen_anywhere_else(tmp_path: Path, arguments: list[str], sentence: str) -> None:
    ended = subprocess.run([*COMMAND, str(tmp_path / "t.db"), *arguments], capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert sentence in ended.stderr
    assert ended.stdout == ""


def test_a_port_that_is_taken_is_said_in_one_sentence(tmp_path: Path) -> None:
    with silent_port() as port:
        command = [*COMMAND, str(tmp_path / "t.db"), "--port", str(port)]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert ended.stderr == f"Port {port} is taken by another program: give another one as --port.\n"


def test_a_store_that_is_no_store_is_said_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "t.db").write_text("A diary, by somebody else." * 100)
    ended = subprocess.run([*COMMAND, str(tmp_path / "t.db")], capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert "cannot be used to keep spans" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
    assert (tmp_path / "t.db").read_text().startswith("A diary")
