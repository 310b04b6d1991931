"""The list: each member's own, page by page, and marked as read once."""

from shared.contracts.facts import Audience, FactCode
from tests.integration.notify.conftest import Node, Reader, a_fact
from tests.integration.notify.test_telling import audit_codes
from tests.support.wait import until

NO_PLACES: list[tuple[str, str, dict[str, str]]] = [
    ("GET", "/notifications?limit=0", {}),
    ("GET", "/notifications?limit=101", {}),
    ("GET", "/notifications?before=0", {}),
    ("GET", "/notifications?before=99999999999999999999", {}),
    ("POST", "/notifications/0/read", {}),
    ("POST", "/notifications/99999999999999999999/read", {}),
    ("POST", "/notifications/Canary/read", {}),
    ("GET", "/feed", {"Last_Event_ID": "Canary"}),
    ("GET", "/feed?after=-1", {}),
]


async def test_nobody_gets_in_without_a_token_of_the_staff(reader: Reader) -> None:
    node = reader.node
    node.tokens["stranger"] = "a-token-that-nobody-has"
    for method, path in (("GET", "/feed"), ("GET", "/notifications"), ("POST", "/notifications/1/read")):
        for staff in (None, "stranger"):
            refused = await node.ask(reader.running, method, path, staff)
            assert (refused.status_code, refused.json()["code"]) == (401, "not-signed-in")
            assert refused.headers["WWW-Authenticate"] == "Bearer"


async def test_the_newest_come_first_and_pages_join_without_a_gap(reader: Reader) -> None:
    await reader.tell(7)
    await reader.told(7)
    path, seen = "/notifications?limit=3", []
    for _ in range(3):
        page = (await reader.ask("GET", path)).json()
        seen += [each["id"] for each in page["notifications"]]
        assert (page["unread"], page["last"]) == (7, 7)
        assert page["summary"] == "7 notifications non lues"
        path = f"/notifications?limit=3&before={page['next']}"
    assert page["next"] is None
    assert seen == [7, 6, 5, 4, 3, 2, 1]


async def test_reading_is_written_down_once_and_changes_the_count(node: Node) -> None:
    running = await node.start()
    await node.tell(a_fact(FactCode.REFERRAL_OPENED), a_fact(FactCode.REFERRAL_OPENED))
    await node.told(2)
    for _ in range(2):
        assert (await node.ask(running, "POST", "/notifications/1/read", "ana")).status_code == 204
    page = (await node.ask(running, "GET", "/notifications", "ana")).json()
    assert [(each["id"], each["read"]) for each in page["notifications"]] == [(2, False), (1, True)]
    assert page["summary"] == "1 notification non lue"
    unread = (await node.ask(running, "GET", "/notifications?unread=true", "ana")).json()
    assert [each["id"] for each in unread["notifications"]] == [2]
    assert await audit_codes(node) == {"notification.made": 2, "notification.read": 1}


async def test_what_is_somebody_elses_looks_like_what_is_not_there(reader: Reader) -> None:
    await reader.tell(3)
    await reader.told(3)
    another = reader.another()
    theirs = await another.ask("POST", "/notifications/2/read")
    unknown = await another.ask("POST", "/notifications/2000/read")
    assert (theirs.status_code, theirs.content) == (unknown.status_code, unknown.content)
    assert theirs.json()["code"] == "not-found"
    assert (await another.ask("GET", "/notifications")).json()["notifications"] == []
    assert not [row for row in await reader.told(3) if row["read_at"]]


async def test_what_cannot_be_a_place_is_refused_and_not_repeated(reader: Reader) -> None:
    for method, path, headers in NO_PLACES:
        refused = await reader.ask(method, path, **headers)
        assert (refused.status_code, refused.json()["code"]) == (422, "fields-invalid"), path
        assert "Canary" not in refused.text


async def test_the_service_is_ready_when_everything_that_it_needs_answers(reader: Reader) -> None:
    ready = await reader.node.ask(reader.running, "GET", "../health/ready", None)
    assert (ready.status_code, ready.json()) == (200, {"node": True, "consumers": True, "keys": True, "database": True})


async def test_the_audit_log_gets_its_numbers(node: Node) -> None:
    await node.start()
    await node.tell(a_fact(FactCode.REFERRAL_OPENED, audience=Audience.CASEWORKERS))
    await node.told(2)

    async def covered() -> bool:
        return bool(await node.pool.fetchval("SELECT max(size) = 2 FROM audit_checkpoint"))

    await until(covered, what="a checkpoint over both entries")
