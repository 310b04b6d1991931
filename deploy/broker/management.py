"""Bring a running broker to a topology: what has been taken away is taken away first, then the rest is made.

The broker's own import only adds. An agreement that ended would stay bound, and a user that lost a permission would
keep it; so bindings and permissions that the definitions do not have are removed, on the virtual hosts that they name
and nowhere else. Queues and exchanges are never removed here: they may hold what somebody still waits for.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, unquote, urlsplit

import httpx

from deploy.broker.definitions import Definitions, Permission, UserName, VirtualHost
from shared.contracts.coded import Coded

TIMEOUT_SECONDS = 30.0
NOT_FOUND = 404


class BrokerCode(StrEnum):
    """Why the broker's management interface did not do what was asked."""

    BROKER_UNREACHABLE = "broker-unreachable"
    BROKER_REFUSED = "broker-refused"


class BrokerError(Coded[BrokerCode]):
    """The management interface is away or says no to a method and a path; never a body or a password."""


@dataclass(frozen=True, slots=True)
class Removed:
    """What a broker had and the definitions did not."""

    bindings: int = 0
    permissions: int = 0


class Management:
    """RabbitMQ's management interface, as an administrator (RabbitMQ, "Management HTTP API")."""

    def __init__(self, url: str) -> None:
        """Take ``http://user:password@host:port``; the password never appears in a request line or an error."""
        parts = urlsplit(url)
        self.user = UserName(unquote(parts.username or ""))
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        self._client = httpx.Client(
            base_url=f"{parts.scheme}://{host}:{parts.port or 15672}{parts.path.rstrip('/')}/api/",
            auth=(self.user, unquote(parts.password or "")),
            timeout=TIMEOUT_SECONDS,
            trust_env=False,
        )

    def __enter__(self) -> Self:
        """Keep connections open until the block ends."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close them."""
        self._client.close()

    def get(self, *path: str) -> Any:  # noqa: ANN401 - whatever JSON the broker answers
        """Return what the broker says under ``path``; an empty list when it knows no such thing."""
        answer = self._ask("GET", path)
        return [] if answer.status_code == NOT_FOUND else answer.json()

    def put(self, *path: str, body: Mapping[str, Any] | None = None) -> None:
        """Make what ``path`` names."""
        self._ask("PUT", path, body or {})

    def post(self, *path: str, body: Mapping[str, Any]) -> None:
        """Send ``body`` to ``path``."""
        self._ask("POST", path, body)

    def delete(self, *path: str) -> None:
        """Remove what ``path`` names, if it is there."""
        self._ask("DELETE", path)

    def _ask(self, method: str, path: Iterable[str], body: Mapping[str, Any] | None = None) -> httpx.Response:
        where = "/".join(quote(part, safe="") for part in path)
        with _reachable(f"{method} {where}"):
            answer = self._client.request(method, where, json=body)
        if answer.is_success or (answer.status_code == NOT_FOUND and method in ("GET", "DELETE")):
            return answer
        raise BrokerError(BrokerCode.BROKER_REFUSED, f"{method} {where}: {answer.status_code}")


@contextmanager
def _reachable(what: str) -> Iterator[None]:
    try:
        yield
    except httpx.HTTPError as error:
        raise BrokerError(BrokerCode.BROKER_UNREACHABLE, f"{what}: {type(error).__name__}") from None


def administrator(user: UserName, host: VirtualHost) -> Permission:
    """Return what an administrator needs on ``host`` to remove bindings; it gives nothing that they could not take."""
    return Permission(user=user, vhost=host, configure=".*", write=".*", read=".*")


def apply(admin_url: str, definitions: Definitions) -> Removed:
    """Make the broker at ``admin_url`` what ``definitions`` say, on the virtual hosts they name.

    Returns what was removed. Running it twice changes nothing. Running it while messages flow loses none.

    Raises:
        BrokerError: ``broker-unreachable`` or ``broker-refused``; what had been removed by then stays removed.
    """
    with Management(admin_url) as broker:
        existing = {host["name"] for host in broker.get("vhosts")}
        removed = Removed()
        for host in (each["name"] for each in definitions["vhosts"] if each["name"] in existing):
            broker.put("permissions", host, broker.user, body=_rights(administrator(broker.user, host)))
            removed = Removed(
                removed.bindings + _remove_bindings(broker, host, definitions),
                removed.permissions + _remove_permissions(broker, host, definitions),
            )
        added = [administrator(broker.user, host["name"]) for host in definitions["vhosts"]]
        broker.post("definitions", body={**definitions, "permissions": [*definitions["permissions"], *added]})
        return removed


def hosts_of_others(admin_url: str, definitions: Definitions) -> list[VirtualHost]:
    """Return the virtual hosts of ``definitions`` that somebody uses already whom these do not know.

    Raises:
        BrokerError: ``broker-unreachable`` or ``broker-refused``.
    """
    known = {user["name"] for user in definitions["users"]}
    with Management(admin_url) as broker:
        users = {
            host["name"]: {found["user"] for found in broker.get("vhosts", host["name"], "permissions")}
            for host in definitions["vhosts"]
        }
        return [host for host, there in users.items() if there - known - {broker.user}]


def _rights(permission: Permission) -> dict[str, str]:
    return {"configure": permission["configure"], "write": permission["write"], "read": permission["read"]}


def _remove_bindings(broker: Management, host: VirtualHost, definitions: Definitions) -> int:
    wanted = {
        (binding["source"], binding["destination"], binding["routing_key"])
        for binding in definitions["bindings"]
        if binding["vhost"] == host
    }
    count = 0
    for found in broker.get("bindings", host):
        source, destination = found["source"], found["destination"]
        by_itself = not source  # every queue hangs on the default exchange
        plain = found["destination_type"] == "queue" and not found["arguments"]
        if by_itself or (plain and (source, destination, found["routing_key"]) in wanted):
            continue
        kind = "q" if found["destination_type"] == "queue" else "e"
        broker.delete("bindings", host, "e", source, kind, destination, found["properties_key"])
        count += 1
    return count


def _remove_permissions(broker: Management, host: VirtualHost, definitions: Definitions) -> int:
    wanted = {permission["user"] for permission in definitions["permissions"] if permission["vhost"] == host}
    count = 0
    for found in broker.get("vhosts", host, "permissions"):
        if found["user"] not in wanted | {broker.user}:
            broker.delete("permissions", host, found["user"])
            count += 1
    return count
