"""What a partner may have chosen names a referral to partners alone: our own people have an alias for it."""

import json
import shutil
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg

from deploy.local.databases import DatabaseRole, role_name
from services.referral.store.schema import MIGRATIONS, SCHEMA
from shared.contracts.codes import Status, Step
from shared.contracts.ids import ReferralId, public_number
from shared.messaging.schema import sources
from shared.storage.migrate import migrate
from tests.support.desk import DeskAtWork, an_offer
from tests.support.referrals import BY_STEP
from tests.support.servers import FreshDatabase

CHOSEN = ReferralId(UUID("a11ce000-dead-4bed-8bad-00000c0ffee5"))
"""A partner can write a word or two into an id."""
SAYS = (str(CHOSEN), CHOSEN.hex, public_number(CHOSEN))

BEFORE = (
    "INSERT INTO folder (id, epoch, wrapped) SELECT id, 1, '' FROM unnest($1::uuid[]) AS id",
    "INSERT INTO case_file (id, opened_at, opened_by, opened_for) SELECT id, now(), '', id FROM unnest($1::uuid[]) id",
    """
    INSERT INTO referral (id, conversation, case_id, side, partner, kind, urgency, status, responsible, overdue,
        offered_at, course, version)
    SELECT id, id, id, 'receiver', '', 'transfer', 'urgent', 'received', '', false, now(), '{}', 1
    FROM unnest($1::uuid[]) AS id
    """,
)
"""How the release before writes a referral."""


async def test_what_a_partner_chose_reaches_no_notification_and_no_address(desk: DeskAtWork, lines: StringIO) -> None:
    offer = an_offer().model_copy(update={"referral": CHOSEN})
    await desk.hear(offer)
    await desk.stands(CHOSEN, Status.RECEIVED)
    alias = await desk.alias_of(CHOSEN)
    await desk.do(CHOSEN, "ask", BY_STEP[Step.ASKED])
    assert (await desk.told_staff(CHOSEN, "referral.received")).subject == alias
    assert not [said for message in desk.raw_facts for said in SAYS if said.encode() in message.body]
    case = (await desk.get(f"/referrals/{CHOSEN}")).json()["case"]
    paths = [f"/referrals/{CHOSEN}{tail}" for tail in ("", "/papers", "/receipts")]
    paths += ["/referrals?limit=200", f"/cases/{case}", f"/cases/{case}/referrals", "/cases?limit=200"]
    for path in paths:
        shown = without_exchange_ids((await desk.get(path)).json())
        assert not [said for said in SAYS if said in json.dumps(shown)], path
    assert (await desk.get(f"/cases/{case}")).json()["opened_for"] == str(alias)
    assert [UUID(each["id"]) for each in (await desk.get(f"/cases/{case}/referrals")).json()] == [alias]
    assert str(alias) not in lines.getvalue(), "what is logged and what is mailed have no name in common"


async def test_only_the_alias_is_an_address_and_whoever_has_the_exchange_id_can_find_it(desk: DeskAtWork) -> None:
    referral = (await desk.was_offered()).referral
    alias, headers = await desk.alias_of(referral), desk.signed_in("noor")
    shown = (await desk.client.get(f"/referrals/{alias}", headers=headers)).json()
    assert (shown["id"], shown["exchange_id"]) == (str(alias), str(referral))
    for method, tail in (("GET", ""), ("GET", "/papers"), ("GET", "/receipts"), ("POST", "/open")):
        answer = await desk.client.request(method, f"/referrals/{referral}{tail}", headers=headers)
        assert answer.status_code == 404, tail
    found = await desk.post("/referrals/find", {"exchange_id": str(referral)})
    assert found.json() == {"id": str(alias), "number": shown["number"]}
    assert (await desk.post("/referrals/find", {"exchange_id": str(alias)})).status_code == 404
    assert (await desk.post("/referrals/find", {"exchange_id": str(referral)}, by="otto")).status_code == 404


async def test_no_partner_is_told_an_alias(desk: DeskAtWork) -> None:
    referral = (await desk.was_offered()).referral
    await desk.do(referral, "open")
    offered = await desk.offered()
    for each, step in ((referral, Step.OPENED), (offered, Step.OFFERED)):
        alias = str(await desk.alias_of(each))
        await desk.partner.told(each, step)
        assert not [event for _, event in desk.partner.heard() if alias in event.model_dump_json()]


async def test_what_was_there_before_gets_an_alias(fresh_database: FreshDatabase, tmp_path: Path) -> None:
    database, ids, later = await fresh_database("abri-be"), [uuid4(), uuid4()], [uuid4()]
    for before in ("0001", "0002", "0003", "0004", "0005", "0006", "0007"):
        (file,) = MIGRATIONS.glob(f"{before}_*.sql")
        shutil.copy(file, tmp_path)
    owner = await asyncpg.connect(database.dsn(DatabaseRole.OWNER))
    role = role_name(database.organisation, DatabaseRole.REFERRAL)
    try:
        await migrate(owner, schema=SCHEMA, role=role, sources=sources(tmp_path))
        for statement in BEFORE:
            await owner.execute(statement, ids)
        await migrate(owner, schema=SCHEMA, role=role, sources=sources(MIGRATIONS))
        query = "SELECT referral.id, alias, opened_for FROM referral JOIN case_file ON case_file.id = case_id"
        rows = await owner.fetch(query)
        assert [row["alias"] for row in rows] == [row["opened_for"] for row in rows]
        assert len({row["alias"] for row in rows} - set(ids)) == 2
        for statement in BEFORE:
            await owner.execute(statement, later)
        assert await owner.fetchval("SELECT count(DISTINCT alias) FROM referral") == 3, "the release before still runs"
    finally:
        await owner.close()


def without_exchange_ids(shown: Any) -> Any:  # noqa: ANN401 - JSON of the API
    """Return what is shown without the fields that are there to be said to the partner."""
    match shown:
        case dict():
            return {name: without_exchange_ids(value) for name, value in shown.items() if name != "exchange_id"}
        case list():
            return [without_exchange_ids(each) for each in shown]
        case _:
            return shown
