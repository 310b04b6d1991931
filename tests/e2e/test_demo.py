"""The README's story, as a newcomer runs it: programs of their own, real servers, and nothing left afterwards."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from deploy.local.folder import STAYS
from tests.support.processes import alive, descendants
from tests.support.wait import until

ROOT = Path(__file__).parents[2]
SERVICES = ("intake", "referral", "notify")
RELAIS = (sys.executable, "-m", "deploy.cli")


@asynccontextmanager
async def relais(*arguments: str, cwd: Path = ROOT) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run the command with its output piped, and end it if the test has not."""
    process = await asyncio.create_subprocess_exec(
        *RELAIS,
        *arguments,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), "LANG": "en_GB.UTF-8"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        await process.communicate()


async def tell(process: asyncio.subprocess.Process) -> str:
    """Return all that it prints, once it has ended."""
    output, _ = await process.communicate()
    return output.decode()


def services_told(processes: set[int]) -> dict[str, set[str]]:
    """Return whose secrets each process of a service has in its environment: read from /proc."""
    told: dict[str, set[str]] = {}
    for number in processes:
        command = Path(f"/proc/{number}/cmdline").read_bytes().decode().split("\0")
        if len(command) > 2 and command[1] == "-m" and command[2].startswith("services"):
            environment = Path(f"/proc/{number}/environ").read_bytes().decode()
            knows = {service for service in SERVICES if f"RELAIS_{service.upper()}_PASSPHRASE=" in environment}
            told[command[2]] = told.get(command[2], set()) | knows
    return told


@pytest.mark.timeout(120)
@pytest.mark.parametrize("how", [[], ["--one-process"]], ids=["three processes", "one process"])
async def test_a_person_is_handed_over_and_both_stores_say_so(tmp_path: Path, how: list[str]) -> None:
    result = tmp_path / "demo.json"
    async with relais("demo", *how, "--result", str(result)) as process:
        told = await tell(process)
    assert process.returncode == 0, told
    found: dict[str, Any] = json.loads(result.read_text())
    assert found["ok"] is True
    assert found["states"] == {"ccem-fr": "arrived", "abri-be": "arrived"}
    assert found["responsible"] == {"ccem-fr": "abri-be", "abri-be": "abri-be"}
    assert found["receipts"] >= 8
    assert found["notifications"] >= 8
    assert found["personal_in_notifications"] == 0
    assert found["exchange_ids_at_notify"] == 0
    assert all(found["audit"][name]["verified"] and found["audit"][name]["entries"] for name in found["audit"])
    assert found["traces"] > 5
    assert found["services_in_one_trace"] == 3
    assert found["linked_traces"] > 0
    assert "Abri: confirms that the person has arrived" in told


@pytest.mark.timeout(180)
async def test_every_person_of_the_examples_is_handed_over(tmp_path: Path) -> None:
    result = tmp_path / "demo.json"
    async with relais("demo", "--all", "--one-process", "--result", str(result)) as process:
        told = await tell(process)
    assert process.returncode == 0, told
    found: dict[str, Any] = json.loads(result.read_text())
    assert found["ok"] is True
    assert found["referrals"] == len(list((ROOT / "examples" / "referrals").glob("*.json"))) >= 40
    assert found["states"] == {"ccem-fr": "arrived", "abri-be": "arrived"}
    assert found["responsible"]["ccem-fr"] == found["responsible"]["abri-be"] == "abri-be ccem-fr"
    assert found["personal_in_notifications"] == 0
    assert found["exchange_ids_at_notify"] == 0


@pytest.mark.timeout(60)
async def test_ctrl_c_leaves_nothing_running(tmp_path: Path) -> None:
    async with relais("demo", "--result", str(tmp_path / "demo.json")) as process:
        await until(lambda: len(descendants(process.pid)) > 8, seconds=40)
        children = descendants(process.pid)
        process.send_signal(signal.SIGINT)
        told = await tell(process)
    assert process.returncode == 130, told
    assert not any(map(alive, children))
    assert not (tmp_path / "demo.json").exists()


@pytest.mark.timeout(120)
async def test_up_leaves_two_nodes_running_and_down_stops_them(tmp_path: Path) -> None:
    folder = tmp_path / "up"
    async with relais("up", "--folder", str(folder)) as process:
        told = await tell(process)
    assert process.returncode == 0, told
    try:
        running = json.loads((folder / "running.json").read_text())
        async with httpx.AsyncClient(trust_env=False) as client:
            for node in running["nodes"].values():
                for address in node["addresses"].values():
                    assert address in told
                    assert (await client.get(f"{address}/health/ready")).status_code == httpx.codes.OK
            assert (await client.get(running["traces"])).status_code == httpx.codes.OK
            worker = {"Authorization": f"Bearer {running['nodes']['abri-be']['staff']['casework']}"}
            listed = f"{running['nodes']['abri-be']['addresses']['referral']}/api/referrals"
            assert [each["status"] for each in (await client.get(listed, headers=worker)).json()] == ["arrived"]
        async with relais("audit", "verify", "--org", "ccem-fr", "--folder", str(folder)) as audit:
            assert (await tell(audit)).count(": verified: ") == 3
        assert audit.returncode == 0
        async with relais("up", "--folder", str(folder)) as second:
            assert "node-already-running" in await tell(second)
        assert second.returncode == 1
        keeper = int((folder / "lock").read_text())
        children = descendants(keeper)
        assert services_told(children) == {f"services.{service}": {service} for service in SERVICES}
    finally:
        async with relais("down", "--folder", str(folder)) as process:
            assert "stopped" in await tell(process)
    assert process.returncode == 0
    assert not any(map(alive, [keeper, *children]))
    assert {path.name for path in folder.iterdir()} == STAYS
    async with relais("down", "--folder", str(folder)) as process:
        assert "nothing runs" in await tell(process)
    assert process.returncode == 0
