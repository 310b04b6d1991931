"""The rendered topology connects who agreed, nobody else, and gives each user only its own."""

import base64
import hashlib
import re
from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.broker.definitions import Definitions, PasswordHash, Permission, VirtualHost, hash_password
from deploy.broker.topology import (
    EXCHANGE_HOST,
    Agreement,
    Limits,
    Member,
    TopologyCode,
    TopologyError,
    node_host,
    render,
    users_of,
)
from shared.contracts.ids import OrganisationId
from shared.messaging.places import from_exchange, parked_queue, to_queue

CCEM, ABRI, ACCUEIL = (OrganisationId(name) for name in ("ccem-fr", "abri-be", "accueil-fr"))
THREE = (Member(CCEM), Member(ABRI), Member(ACCUEIL, has_node=False))

organisations = st.lists(
    st.from_regex(r"[a-z0-9]{1,8}-(fr|be|de)", fullmatch=True).map(OrganisationId), min_size=1, max_size=6, unique=True
)


@st.composite
def networks(draw: st.DrawFn) -> tuple[list[Member], list[Agreement]]:
    """Some members, with and without nodes, and some of the agreements that they could have."""
    names = draw(organisations)
    members = [Member(name, has_node=draw(st.booleans())) for name in names]
    pairs = [(a, b) for a in names for b in names if a != b]
    return members, draw(st.lists(st.sampled_from(pairs), max_size=8)) if pairs else []


def rendered(members: Sequence[Member], agreements: Sequence[Agreement], limits: Limits | None = None) -> Definitions:
    return render(members, agreements, {name: PasswordHash("x") for name in users_of(members)}, limits=limits)


def allowed(permission: Permission, right: str, names: set[str]) -> set[str]:
    """Return the ``names`` that RabbitMQ would find in the regular expression, which it does not anchor."""
    pattern = {"configure": permission["configure"], "write": permission["write"], "read": permission["read"]}[right]
    return {name for name in names if re.search(pattern, name)}


@given(networks())
def test_only_who_agreed_is_connected(network: tuple[list[Member], list[Agreement]]) -> None:
    members, agreements = network
    bound = {
        (each["source"], each["destination"], each["routing_key"])
        for each in rendered(members, agreements)["bindings"]
        if each["vhost"] == EXCHANGE_HOST and each["source"] != "parked"
    }
    both_ways = {*agreements, *((b, a) for a, b in agreements)}
    assert bound == {(from_exchange(a), to_queue(b, a), b) for a, b in both_ways}


@given(networks())
def test_only_x_writes_from_x_and_reads_to_x_and_nobody_configures(
    network: tuple[list[Member], list[Agreement]],
) -> None:
    members, agreements = network
    definitions = rendered(members, agreements)
    names = {each["name"] for each in (*definitions["queues"], *definitions["exchanges"])}
    names |= {"amq.default", "amq.topic", "amq.direct"}
    for permission in definitions["permissions"]:
        assert allowed(permission, "configure", names | {"anything", "amq.gen-1"}) == set()
        if permission["vhost"] == EXCHANGE_HOST:
            owner, _, _ = permission["user"].partition(".")
            own = OrganisationId(owner)
            assert allowed(permission, "write", names) == {from_exchange(own)}
            own_queues = {name for name in names if name.startswith(f"to.{own}.from.")} | {parked_queue(own)}
            reads = "" if permission["user"].endswith(".referral") else own_queues
            assert allowed(permission, "read", names) == set(reads)


@given(networks())
def test_every_queue_keeps_what_it_cannot_pass_on(network: tuple[list[Member], list[Agreement]]) -> None:
    definitions = rendered(*network, limits=Limits(deliveries=7, messages=11, octets=13))
    bound = {
        (each["vhost"], each["source"], each["routing_key"]): each["destination"] for each in definitions["bindings"]
    }
    for queue in definitions["queues"]:
        arguments = queue["arguments"]
        assert queue["durable"]
        assert arguments["x-queue-type"] == "quorum"
        assert arguments["x-overflow"] == "reject-publish"
        assert (arguments["x-max-length"], arguments["x-max-length-bytes"]) == (11, 13)
        if queue["name"].startswith("parked."):
            assert int(arguments["x-delivery-limit"]) > 10**6
            continue
        assert arguments["x-delivery-limit"] == 7
        assert arguments["x-dead-letter-strategy"] == "at-least-once"
        source, key = str(arguments["x-dead-letter-exchange"]), str(arguments["x-dead-letter-routing-key"])
        assert bound[queue["vhost"], source, key].startswith("parked.")


@given(networks(), st.randoms(use_true_random=False))
def test_the_order_of_the_input_changes_nothing(network: tuple[list[Member], list[Agreement]], random: Random) -> None:
    members, agreements = network
    shuffled = [*members]
    random.shuffle(shuffled)
    turned = [(b, a) for a, b in reversed(agreements)]
    assert rendered(shuffled, turned) == rendered(members, agreements)


def test_a_partner_without_a_node_has_one_user_and_no_virtual_host() -> None:
    definitions = rendered(THREE, [])
    assert {each["name"] for each in definitions["users"] if each["name"].startswith(ACCUEIL)} == {"accueil-fr.partner"}
    assert {each["name"] for each in definitions["vhosts"]} == {EXCHANGE_HOST, node_host(CCEM), node_host(ABRI)}


def test_nobody_is_an_administrator_and_no_password_is_in_the_file() -> None:
    definitions = rendered(THREE, [])
    assert {each["tags"] for each in definitions["users"]} == {""}
    assert {each["password_hash"] for each in definitions["users"]} == {"x"}


def test_nobody_has_connections_or_channels_without_end() -> None:
    for user in rendered(THREE, [])["users"]:
        assert 0 < user["limits"]["max-connections"] <= user["limits"]["max-channels"] <= 300, user["name"]


def test_notify_has_no_way_out() -> None:
    permissions = [each for each in rendered(THREE, [(CCEM, ABRI)])["permissions"] if each["user"] == "ccem-fr.notify"]
    assert [(each["vhost"], each["write"]) for each in permissions] == [(VirtualHost("ccem-fr"), "^$")]


def test_the_password_is_stored_as_rabbitmq_does_it() -> None:
    # the example of RabbitMQ's "Credentials and Passwords"
    salt = bytes.fromhex("908DC60A")
    stored = base64.b64decode(hash_password("test12", salt))
    assert stored[:4] == salt
    assert stored[4:] == hashlib.sha256(salt + b"test12").digest()
    assert hash_password("test12", salt) == "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR"


def test_a_salt_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="4 bytes"):
        hash_password("test12", b"salt!")


@pytest.mark.parametrize(
    ("members", "agreements", "code"),
    [
        ([Member(OrganisationId("CCEM-fr"))], [], TopologyCode.ORGANISATION_MALFORMED),
        ([Member(OrganisationId("exchange"))], [], TopologyCode.ORGANISATION_MALFORMED),
        ([Member(OrganisationId("a.*-fr"))], [], TopologyCode.ORGANISATION_MALFORMED),
        ([Member(OrganisationId("ccem-fr\n"))], [], TopologyCode.ORGANISATION_MALFORMED),
        ([Member(OrganisationId("a" * 38 + "-fr"))], [], TopologyCode.ORGANISATION_MALFORMED),
        ([Member(CCEM), Member(CCEM, has_node=False)], [], TopologyCode.ORGANISATION_TWICE),
        ([Member(CCEM)], [(CCEM, ABRI)], TopologyCode.ORGANISATION_UNKNOWN),
        ([Member(CCEM)], [(CCEM, CCEM)], TopologyCode.AGREEMENT_WITH_ITSELF),
    ],
)
def test_what_is_no_topology_is_refused(members: list[Member], agreements: list[Agreement], code: TopologyCode) -> None:
    with pytest.raises(TopologyError) as refused:
        rendered(members, agreements)
    assert refused.value.code is code


def test_a_user_without_a_password_is_refused() -> None:
    with pytest.raises(TopologyError) as refused:
        render([Member(CCEM)], [], {})
    assert refused.value.code is TopologyCode.PASSWORD_MISSING
