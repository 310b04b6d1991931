"""The pages say what happened in the reader's language, escape what a sender wrote, and load nothing from anywhere."""

import re
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from pathlib import Path

import httpx
import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

from deploy.traces.app import build
from deploy.traces.spans import Event, Span
from deploy.traces.store import Store
from deploy.traces.words import Reader
from shared.clock import Clock
from tests.support.spans import MS, NOON, made, span_id, trace_id

HERE = Path(__file__).parents[2] / "deploy" / "traces"
REFERRAL = "6f2c1a94-58f1-4c68-b0c5-0d2f64f0a1de"
HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(1)>'
PAGES = ("/", f"/traces/{trace_id(1)}", f"/paths/{trace_id(1)}", "/services", "/failures", "/traces/unknown")

HAND_OVER = [
    made(
        1, 1, speaker="ccem-fr referral", name="POST /referrals/{referral}/offer", attributes={"referral_id": REFERRAL}
    ),
    made(1, 2, 1, speaker="ccem-fr referral", name="publish from.ccem-fr", began=4, took=5),
    made(2, 3, speaker="abri-be intake", name="receive to.abri-be", began=20, links=((1, 2), (99, 9))),
    made(
        2,
        4,
        3,
        speaker="abri-be intake",
        name="envelope.verify",
        began=21,
        took=1,
        failed=True,
        attributes={"code": "late"},
    ),
    made(
        2,
        5,
        3,
        speaker="abri-be notify",
        name="process notify.in",
        began=40,
        events=(Event("mail.sent", NOON + 41 * MS, {}),),
    ),
]


class Page(HTMLParser):
    """What a page is made of."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep the tag."""
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        """Keep the words."""
        self.words += data

    def addresses(self) -> set[str]:
        """Return every address that the page loads, opens or sends to."""
        return {
            value
            for _, attrs in self.tags
            for name, value in attrs.items()
            if name in ("href", "src", "action") and value
        }


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Return an empty store; the application closes it."""
    return Store(tmp_path / "traces.db")


@pytest.fixture
async def client(store: Store) -> AsyncIterator[httpx.AsyncClient]:
    """Return a client of the application."""
    transport = httpx.ASGITransport(build(store, Clock()))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:4318") as made_client:
        yield made_client


async def page(client: httpx.AsyncClient, address: str, language: str = "en") -> Page:
    answer = await client.get(address, headers={"accept-language": language})
    return Page(answer.text)


async def test_the_list_says_what_ran_how_long_and_what_failed(client: httpx.AsyncClient, store: Store) -> None:
    store.add(HAND_OVER)
    shown = await page(client, "/")
    assert "2 traces" in shown.words
    assert "POST /referrals/{referral}/offer" in shown.words
    assert "30.0\u202fms" in shown.words
    assert "1 failed" in shown.words
    assert {f"/traces/{trace_id(1)}", f"/paths/{trace_id(2)}"} <= shown.addresses()


async def test_an_empty_store_says_so(client: httpx.AsyncClient) -> None:
    assert "No trace fits" in (await page(client, "/")).words
    assert "Nobody has called anybody yet" in (await page(client, "/services")).words
    assert "Nothing has failed" in (await page(client, "/failures")).words


async def test_a_filter_keeps_what_was_asked_in_the_form(client: httpx.AsyncClient, store: Store) -> None:
    store.add(HAND_OVER)
    shown = await page(client, "/?organisation=abri-be&service=&name=verify&shortest=1.5&within=&about=&failed=true")
    assert "1 trace" in shown.words
    fields = {attrs.get("name"): attrs for tag, attrs in shown.tags if tag == "input"}
    assert fields["name"]["value"] == "verify"
    assert fields["shortest"]["value"] == "1.5"
    assert "checked" in fields["failed"]


async def test_a_field_that_cannot_be_understood_is_said(client: httpx.AsyncClient, store: Store) -> None:
    store.add(HAND_OVER)
    shown = await page(client, "/?shortest=long&about=Aminata")
    assert "could not be understood" in shown.words
    assert "Aminata" not in shown.words
    assert "2 traces" in shown.words


async def test_the_next_page_goes_on_where_this_one_ended(client: httpx.AsyncClient, store: Store) -> None:
    store.add([made(number, began=number) for number in range(1, 120)])
    seen: list[str] = []
    address: str | None = "/?service=intake"
    while address:
        shown = await page(client, address)
        seen += sorted(each for each in shown.addresses() if each.startswith("/traces/"))
        address = next((each for each in shown.addresses() if "before=" in each), None)
    assert len(seen) == len(set(seen)) == 119


async def test_a_trace_is_a_waterfall_with_its_joints(client: httpx.AsyncClient, store: Store) -> None:
    store.add(HAND_OVER)
    sender, receiver = await page(client, f"/traces/{trace_id(1)}"), await page(client, f"/traces/{trace_id(2)}")
    assert f"/traces/{trace_id(2)}#span-{span_id(3)}" in sender.addresses()
    assert "continues in" in sender.words
    assert f"/traces/{trace_id(1)}#span-{span_id(2)}" in receiver.addresses()
    assert "continues from" in receiver.words
    assert "a trace kept elsewhere" in receiver.words
    assert "mail.sent" in receiver.words
    assert f"/?about={REFERRAL}" in sender.addresses()
    identities = [attrs["id"] for tag, attrs in receiver.tags if tag == "details"]
    assert identities == [f"span-{span_id(number)}" for number in (3, 4, 5)]


async def test_a_path_shows_all_linked_traces_on_one_line_of_time(client: httpx.AsyncClient, store: Store) -> None:
    store.add(HAND_OVER)
    for start in (1, 2):
        shown = await page(client, f"/paths/{trace_id(start)}")
        assert {f"/traces/{trace_id(1)}", f"/traces/{trace_id(2)}"} <= shown.addresses()
        assert "1 linked trace is kept elsewhere" in shown.words
        lines = [attrs["class"] for tag, attrs in shown.tags if tag == "line" and "hop" in (attrs.get("class") or "")]
        assert sorted(lines, key=str) == ["hop", "hop link"]


async def test_who_calls_whom_is_drawn_and_told(client: httpx.AsyncClient, store: Store) -> None:
    store.add(HAND_OVER)
    shown = await page(client, "/services")
    arrows = [attrs["class"] for tag, attrs in shown.tags if tag == "path" and "arrow" in (attrs.get("class") or "")]
    assert sorted(arrows, key=str) == ["arrow", "arrow link"]
    assert sum(tag == "tr" for tag, _ in shown.tags) == 3


async def test_what_fails_leads_to_an_example(client: httpx.AsyncClient, store: Store) -> None:
    store.add(HAND_OVER)
    shown = await page(client, "/failures")
    assert f"/traces/{trace_id(2)}#span-{span_id(4)}" in shown.addresses()
    assert "late" in shown.words


def hostile() -> list[Span]:
    return [
        made(
            1,
            1,
            speaker=f"{HOSTILE} {HOSTILE}",
            name=HOSTILE,
            failed=True,
            attributes={HOSTILE: HOSTILE, "code": HOSTILE, "referral_id": HOSTILE},
            events=(Event(HOSTILE, NOON, {HOSTILE: HOSTILE}),),
        ),
        made(1, 2, 1, speaker="a b", name=HOSTILE),
        made(2, 1, speaker=f"x {HOSTILE}", links=((1, 1),)),
    ]


@pytest.mark.parametrize("address", PAGES)
async def test_what_a_sender_wrote_is_never_markup(client: httpx.AsyncClient, store: Store, address: str) -> None:
    store.add(hostile())
    answer = await client.get(address)
    tags = {tag for tag, _ in Page(answer.text).tags}
    assert not tags & {"script", "img", "iframe", "object", "embed", "base"}
    assert "<script" not in answer.text
    assert not any(name.startswith("on") for _, attrs in Page(answer.text).tags for name in attrs)


@pytest.mark.parametrize("address", PAGES)
async def test_a_page_loads_nothing_and_runs_nothing(client: httpx.AsyncClient, store: Store, address: str) -> None:
    store.add(HAND_OVER)
    answer = await client.get(address)
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    shown = Page(answer.text)
    assert all(each.startswith(("/", "#")) and not each.startswith("//") for each in shown.addresses())
    assert not any("style" in attrs for _, attrs in shown.tags)
    assert "style" not in {tag for tag, _ in shown.tags}
    assert answer.headers["cache-control"] == "no-store"
    assert not re.search(r"https?://|@import|url\((?!#)", (HERE / "static" / "style.css").read_text())


@pytest.mark.parametrize("address", PAGES)
async def test_a_page_has_what_a_screen_reader_needs(client: httpx.AsyncClient, store: Store, address: str) -> None:
    store.add(HAND_OVER)
    shown = await page(client, address)
    tags = [tag for tag, _ in shown.tags]
    assert tags.count("h1") == tags.count("main") == tags.count("nav") == 1
    for tag, attrs in shown.tags:
        if tag == "svg":
            assert attrs.get("aria-hidden") == "true" or (attrs.get("role") == "group" and attrs.get("aria-label"))
        if tag in ("input", "select"):
            assert tags.count("label") >= tags.count("input") + tags.count("select")
    identities = [attrs["id"] for _, attrs in shown.tags if "id" in attrs]
    assert len(identities) == len(set(identities))


@pytest.mark.parametrize(
    ("asked", "language", "title"),
    [
        ("fr-FR,fr;q=0.9,en;q=0.5", "fr", "Qui appelle qui"),
        ("de,fr;q=0.3,en;q=0.2", "fr", "Qui appelle qui"),
        ("en-GB,fr;q=0.5", "en", "Who calls whom"),
        ("ar", "en", "Who calls whom"),
        ("", "en", "Who calls whom"),
    ],
)
async def test_the_reader_gets_their_language(client: httpx.AsyncClient, asked: str, language: str, title: str) -> None:
    answer = await client.get("/services", headers={"accept-language": asked})
    assert answer.headers["content-language"] == language
    assert answer.headers["vary"] == "Accept-Language"
    assert f'<html lang="{language}" dir="ltr">' in answer.text
    assert title in answer.text


def test_every_word_of_the_templates_is_translated() -> None:
    methods = [("templates/**.html", "jinja2"), ("**.py", "python")]
    said = {
        message
        for _, _, message, _, _ in extract_from_dir(
            HERE, methods, keywords={"_": None, "_n": (1, 2), "say": None, "count": (1, 2)}
        )
    }
    with (HERE / "locale" / "fr.po").open("rb") as source:
        catalogue = read_po(source, locale="fr")
    translated = {message.id for message in catalogue if message.id and all(_each(message.string))}
    assert len(said) > 50
    assert translated == said


def _each(words: str | tuple[str, ...] | list[str] | None) -> list[str]:
    return [words or ""] if isinstance(words, str | None) else list(words)


@pytest.mark.parametrize(
    ("nanoseconds", "english", "french"),
    [
        (0, "0", "0"),
        (999, "999 ns", "999 ns"),
        (1_500, "1.50 µs", "1,50 µs"),
        (12_345_678, "12.3 ms", "12,3 ms"),
        (999 * MS, "999 ms", "999 ms"),
        (1_234 * MS, "1.23 s", "1,23 s"),
        (83_000 * MS, "1 min 23 s", "1 min 23 s"),
        (7_500_000 * MS, "2 h 5 min", "2 h 5 min"),
        (180_000_000 * MS, "2 d 2 h", "2 j 2 h"),
    ],
)
def test_durations_are_written_for_people(nanoseconds: int, english: str, french: str) -> None:
    assert Reader("en").duration(nanoseconds).replace("\u202f", " ") == english
    assert Reader("fr").duration(nanoseconds).replace("\u202f", " ") == french


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "192.0.2.1", "relais.example:4318"])
@pytest.mark.parametrize("address", ["/", "/api/traces", "/v1/traces"])
async def test_another_host_name_is_refused(client: httpx.AsyncClient, host: str, address: str) -> None:
    assert (await client.get(address, headers={"host": host})).status_code == 400


@pytest.mark.parametrize("host", ["127.0.0.1:4318", "localhost", "[::1]:4318"])
async def test_this_machine_is_answered(client: httpx.AsyncClient, host: str) -> None:
    assert (await client.get("/", headers={"host": host})).status_code == 200


async def test_the_api_says_the_same_for_programs(client: httpx.AsyncClient, store: Store) -> None:
    store.add(HAND_OVER)
    traces = (await client.get("/api/traces")).json()
    assert [each["root"]["name"] for each in traces["traces"]] == [
        "receive to.abri-be",
        "POST /referrals/{referral}/offer",
    ]
    assert traces["before"] is None
    first = (await client.get(f"/api/traces/{trace_id(1)}")).json()
    assert [span["name"] for span in first["spans"]] == ["POST /referrals/{referral}/offer", "publish from.ccem-fr"]
    assert first["goes_on_in"] == [{"trace": trace_id(2), "span": span_id(3), "at": span_id(2)}]
    path = (await client.get(f"/api/paths/{trace_id(2)}")).json()
    assert ([each["id"] for each in path["traces"]], path["elsewhere"]) == ([trace_id(1), trace_id(2)], [trace_id(99)])
    services = (await client.get("/api/services")).json()
    assert [(call["count"], call["by_link"]) for call in services["calls"]] == [(1, False), (1, True)]
    failures = (await client.get("/api/failures")).json()["failures"]
    assert [(each["code"], each["count"]) for each in failures] == [("late", 1)]


async def test_the_api_refuses_with_a_code(client: httpx.AsyncClient) -> None:
    wrong = await client.get("/api/traces?limit=0&shortest=Aminata")
    assert wrong.status_code == 422
    assert wrong.headers["content-type"] == "application/problem+json"
    assert wrong.json() == {"status": 422, "code": "bad-filter", "fields": ["limit", "shortest"]}
    for address in ("/api/traces/1", "/api/paths/1"):
        unknown = await client.get(address)
        assert (unknown.status_code, unknown.json()["code"]) == (404, "unknown-trace")


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        (b"{}", {"content-type": "application/json"}, 415, "not-protobuf"),
        (b"\xff", {"content-type": "application/x-protobuf"}, 400, "not-otlp"),
        (b"x", {"content-type": "application/x-protobuf", "content-encoding": "br"}, 415, "unknown-encoding"),
        (bytes(17 * 1024 * 1024), {"content-type": "application/x-protobuf"}, 413, ""),
    ],
)
async def test_the_receiver_refuses_with_a_code(
    client: httpx.AsyncClient, body: bytes, headers: dict[str, str], status: int, code: str
) -> None:
    answer = await client.post("/v1/traces", content=body, headers=headers)
    assert answer.status_code == status
    assert code in answer.text
