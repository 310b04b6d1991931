"""The visible header has one spelling, says nothing but who, when and under which keys, and cannot be relabelled."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from cloudevents.core.bindings import http, rabbitmq
from hypothesis import given
from hypothesis import strategies as st

from shared.contracts.ids import KeyId, MessageId, OrganisationId
from shared.sealing.codes import EnvelopeCode, EnvelopeError
from shared.sealing.header import CONTENT_TYPE, MAX_HEADER_BYTES, Header, ce_headers, check_ce_headers

AT = datetime(2026, 11, 24, 10, 20, tzinfo=UTC)
HEADER = Header(
    id=MessageId(UUID("0b5f9c6e-3f0a-4d7c-9a53-7d4a3f1f6c21")),
    source=OrganisationId("ccem-fr"),
    time=AT,
    recipient=OrganisationId("abri-be"),
    expires=AT + timedelta(days=7),
    key_id=KeyId("00112233445566778899aabbccddeeff"),
    inbox_keys=(KeyId("f" * 32), KeyId("0" * 32)),
    sequence=42,
)
SPELT = (
    '{"specversion":"1.0","id":"0b5f9c6e-3f0a-4d7c-9a53-7d4a3f1f6c21","source":"ccem-fr",'
    '"type":"org.relais.sealed.v1","time":"2026-11-24T10:20:00Z","recipient":"abri-be",'
    '"expires":"2026-12-01T10:20:00Z","keyid":"00112233445566778899aabbccddeeff",'
    '"inboxkeys":"ffffffffffffffffffffffffffffffff,00000000000000000000000000000000","sequence":"0000000000000042"}'
)

organisations = st.from_regex(r"[a-z0-9]{1,8}(-[a-z0-9]{1,8}){0,3}-[a-z]{2}", fullmatch=True).map(OrganisationId)
key_ids = st.from_regex(r"[0-9a-f]{32}", fullmatch=True).map(KeyId)
steps = st.integers(0, 5_000_000).map(lambda step: datetime(2000, 1, 1, tzinfo=UTC) + timedelta(minutes=10 * step))


def code(encoded: bytes) -> EnvelopeCode:
    with pytest.raises(EnvelopeError) as caught:
        Header.decode(encoded)
    assert isinstance(caught.value.code, EnvelopeCode)
    return caught.value.code


def test_the_spelling_is_exactly_this() -> None:
    assert HEADER.encode().decode() == SPELT
    assert Header.decode(SPELT.encode()) == HEADER


@given(
    st.builds(
        Header,
        id=st.uuids(version=4).map(MessageId),
        source=organisations,
        time=steps,
        recipient=organisations,
        expires=st.just(AT),
        key_id=key_ids,
        inbox_keys=st.lists(key_ids, min_size=1, max_size=8, unique=True).map(tuple),
        sequence=st.integers(1, 10**16 - 1),
    ),
    st.integers(1, 31 * 144),
)
def test_every_header_is_read_as_it_was_written(header: Header, lifetime: int) -> None:
    expires = header.time + timedelta(minutes=10 * lifetime)
    whole = Header(
        header.id,
        header.source,
        header.time,
        header.recipient,
        expires,
        header.key_id,
        header.inbox_keys,
        header.sequence,
    )
    encoded = whole.encode()
    assert len(encoded) <= MAX_HEADER_BYTES
    assert Header.decode(encoded) == whole


@pytest.mark.parametrize(
    ("what", "instead"),
    [
        ('"specversion":"1.0"', '"specversion":"1.1"'),
        ('"specversion":"1.0",', ""),
        ('"specversion":"1.0",', '"specversion":"1.0","specversion":"1.0",'),
        ('"specversion":"1.0",', '"specversion":"1.0","subject":"x",'),
        ('"specversion":"1.0","id"', '"specversion":"1.0", "id"'),
        ("0b5f9c6e", "0B5F9C6E"),
        ("-4d7c-", "-1d7c-"),
        ("-9a53-", "-ca53-"),
        ('"source":"ccem-fr"', '"source":"ccem"'),
        ('"source":"ccem-fr"', '"source":"Ccem-fr"'),
        ('"source":"ccem-fr"', '"source":"-ccem-fr"'),
        ('"source":"ccem-fr"', '"source":"ccem--fr"'),
        ('"source":"ccem-fr"', '"source":"ccem-fr\\u0000"'),
        ('"source":"ccem-fr"', '"source":"' + 38 * "a" + '-fr"'),
        ('"recipient":"abri-be"', '"recipient":["abri-be"]'),
        ("org.relais.sealed.v1", "org.relais.sealed.v2"),
        ("org.relais.sealed.v1", "orgXrelaisXsealedXv1"),
        ('"time":"2026-11-24T10:20:00Z"', '"time":"2026-11-24T10:21:00Z"'),
        ('"time":"2026-11-24T10:20:00Z"', '"time":"2026-11-24T10:20:01Z"'),
        ('"time":"2026-11-24T10:20:00Z"', '"time":"2026-11-24T10:20:00+00:00"'),
        ('"time":"2026-11-24T10:20:00Z"', '"time":"2026-11-24T10:20:00z"'),
        ('"time":"2026-11-24T10:20:00Z"', '"time":"2026-11-24 10:20:00Z"'),
        ('"time":"2026-11-24T10:20:00Z"', '"time":"2026-11-31T10:20:00Z"'),
        ('"time":"2026-11-24T10:20:00Z"', '"time":"2026-11-24T24:00:00Z"'),
        ('"time":"2026-11-24T10:20:00Z"', '"time":"0000-11-24T10:20:00Z"'),
        ('"expires":"2026-12-01T10:20:00Z"', '"expires":"2026-11-24T10:20:00Z"'),
        ('"expires":"2026-12-01T10:20:00Z"', '"expires":"2026-11-24T10:10:00Z"'),
        ('"expires":"2026-12-01T10:20:00Z"', '"expires":"2026-12-25T10:30:00Z"'),
        ('"expires":"2026-12-01T10:20:00Z"', '"expires":"9999-12-31T23:50:00Z"'),
        ("00112233445566778899aabbccddeeff", "00112233445566778899AABBCCDDEEFF"),
        ("00112233445566778899aabbccddeeff", "00112233445566778899aabbccddeef"),
        ("," + 32 * "0", "," + 32 * "f"),
        ("," + 32 * "0", "," + 32 * "0" + ","),
        ("," + 32 * "0", ", " + 32 * "0"),
        ("," + 32 * "0", "".join(f",{n:032x}" for n in range(8))),
        ('"sequence":"0000000000000042"', '"sequence":42'),
        ('"sequence":"0000000000000042"', '"sequence":"42"'),
        ('"sequence":"0000000000000042"', '"sequence":"0000000000000000"'),
        ('"sequence":"0000000000000042"', '"sequence":"-000000000000042"'),
        ('"sequence":"0000000000000042"', '"sequence":"00000000000000४२"'),  # digits, but not ASCII
        ('"}', '"}\n'),
        ('"}', '"},'),
        ("{", "\ufeff{"),
        ("{", "{" + 800 * " "),
    ],
)
def test_every_other_spelling_is_refused(what: str, instead: str) -> None:
    assert what in SPELT
    assert code(SPELT.replace(what, instead, 1).encode()) is EnvelopeCode.MALFORMED


@given(st.binary(max_size=1_100))
def test_noise_is_refused(noise: bytes) -> None:
    assert code(noise) is EnvelopeCode.MALFORMED


def test_the_last_possible_time_is_no_accident() -> None:
    last = SPELT.replace("2026-11-24T10:20:00Z", "9999-12-31T23:40:00Z").replace(
        "2026-12-01T10:20:00Z", "9999-12-31T23:50:00Z"
    )
    assert Header.decode(last.encode()).expires.year == 9999


def test_the_sdk_reads_the_headers_from_rabbitmq() -> None:
    body = bytes(range(256))
    message = rabbitmq.RabbitMQMessage(headers=ce_headers(HEADER), content_type=CONTENT_TYPE, body=body)
    event = rabbitmq.from_rabbitmq_event(message)
    assert event.get_id() == str(HEADER.id)
    assert event.get_source() == "ccem-fr"
    assert event.get_type() == "org.relais.sealed.v1"
    assert event.get_time() == AT
    assert event.get_extension("recipient") == "abri-be"
    assert event.get_extension("sequence") == "0000000000000042"
    assert event.get_data() == body
    assert rabbitmq.to_binary_event(event).headers == ce_headers(HEADER)


def test_the_sdk_reads_the_headers_from_http() -> None:
    body = bytes(range(256))
    message = http.HTTPMessage(headers=ce_headers(HEADER) | {"content-type": CONTENT_TYPE}, body=body)
    event = http.from_http_event(message)
    assert event.get_id() == str(HEADER.id)
    assert event.get_extension("inboxkeys") == ",".join(HEADER.inbox_keys)
    assert event.get_data() == body
    sent = {name.lower(): value for name, value in http.to_binary_event(event).headers.items()}
    assert sent == ce_headers(HEADER) | {"content-type": CONTENT_TYPE}


def test_the_labels_must_say_what_is_signed() -> None:
    labels: dict[str, object] = dict(ce_headers(HEADER))
    check_ce_headers(HEADER, labels)
    check_ce_headers(HEADER, labels | {"x-delivery-count": 3, "traceparent": "00-0"})
    check_ce_headers(HEADER, {name.title(): value for name, value in labels.items()})
    wrong: list[dict[str, object]] = [{**labels, name: "x"} for name in labels]
    wrong += [{key: value for key, value in labels.items() if key != name} for name in labels]
    wrong += [{**labels, "ce-subject": "x"}, {**labels, "ce-sequence": 42}, {}]
    for headers in wrong:
        with pytest.raises(EnvelopeError) as caught:
            check_ce_headers(HEADER, headers)
        assert caught.value.code is EnvelopeCode.MISLABELLED


def test_it_is_refused_when_it_is_not_for_us() -> None:
    HEADER.check_recipient(OrganisationId("abri-be"))
    with pytest.raises(EnvelopeError, match=r"^envelope-not-for-us$"):
        HEADER.check_recipient(OrganisationId("ccem-fr"))


def test_random_ids_are_of_version_four() -> None:
    encoded = SPELT.replace("0b5f9c6e-3f0a-4d7c-9a53-7d4a3f1f6c21", str(uuid4()))
    assert Header.decode(encoded.encode()).id.version == 4
