"""``python -m services.notify``, in a process of its own: what a crash does, and how a start that cannot work ends."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.integration.notify.conftest import Node, a_fact
from tests.integration.notify.test_telling import audit_codes
from tests.support.mailbox import OK

REPOSITORY = Path(__file__).parents[3]


def environment(node: Node, **changes: str) -> dict[str, str]:
    """Return what the process is told: the settings of ``node``, as variables."""
    said = {
        "organisation": node.settings.organisation,
        "folder": str(node.settings.folder),
        "env": "test",
        "clock_file": str(node.clock_file),
        "public_url": str(node.settings.public_url),
        "notify_database": node.settings.notify_database.get_secret_value(),
        "notify_node_broker": node.settings.notify_node_broker.get_secret_value(),
        "notify_passphrase": node.settings.notify_passphrase.get_secret_value(),
        "notify_smtp": node.settings.notify_smtp.get_secret_value(),
        "notify_mail_from": node.settings.notify_mail_from,
        "notify_port": "0",
    } | changes
    return {"PATH": os.environ["PATH"]} | {f"RELAIS_{name.upper()}": value for name, value in said.items()}


@asynccontextmanager
async def process(node: Node, log: Path, **changes: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run the service until the block ends; what it says goes to ``log``."""
    with log.open("wb") as stream:
        running = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "services.notify", cwd=REPOSITORY, env=environment(node, **changes), stderr=stream
        )
    try:
        yield running
    finally:
        if running.returncode is None:
            running.terminate()
        await asyncio.wait_for(running.wait(), 15)


async def test_a_crash_between_acceptance_and_commit_sends_the_same_mail_again(node: Node, tmp_path: Path) -> None:
    async with process(node, tmp_path / "log") as running:

        async def crash() -> str:
            running.kill()
            await running.wait()
            return OK

        node.mailbox.answers = [crash]
        await node.tell(a_fact(assignee="ana"))
        assert await asyncio.wait_for(running.wait(), 20) == -9
    [mail] = await node.fetch("SELECT state, attempts, leased_until > now() AS leased FROM mail")
    assert mail == {"state": "waiting", "attempts": 1, "leased": True}
    await node.start()
    await node.fetch("UPDATE mail SET leased_until = now() RETURNING id")  # as if the lease had run its minutes
    await node.mails("sent", 1)
    first, second = node.mailbox.received
    assert first.raw == second.raw, "whoever gets both can tell"
    assert (await audit_codes(node))["notification.sent"] == 1
    assert "ana" not in (tmp_path / "log").read_text()


async def test_a_stop_by_signal_is_quick_and_clean(node: Node, tmp_path: Path) -> None:
    async with process(node, tmp_path / "log") as running:
        await node.tell(a_fact(assignee="ana"))
        await node.mails("sent", 1)
        running.terminate()
        assert await asyncio.wait_for(running.wait(), 5) == 0
    assert '"event": "service.stopped"' in (tmp_path / "log").read_text()


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"notify_passphrase": "wrong Canary"}, "keyring-wrong-passphrase"),
        ({"notify_smtp": "ftp://ana:Canary@mail.example.org"}, "mail-server-address-malformed"),
        ({"folder": "nowhere/Canary"}, "keyring-missing"),
    ],
)
async def test_a_start_that_cannot_work_ends_with_a_code(
    node: Node, tmp_path: Path, changes: dict[str, str], code: str
) -> None:
    async with process(node, tmp_path / "log", **changes) as running:
        assert await asyncio.wait_for(running.wait(), 20) > 0
    said = (tmp_path / "log").read_text()
    assert f'"code": "{code}"' in said
    assert "Canary" not in said
