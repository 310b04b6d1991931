"""The shape of a RabbitMQ definitions file, and how it holds a password. Pure.

Source: RabbitMQ, "Schema Definition Export and Import" and "Credentials and Passwords". What RabbitMQ 3.10 and 4.x
read alike is here, nothing else.
"""

import base64
import hashlib
from typing import Final, NewType, NotRequired, TypedDict

VirtualHost = NewType("VirtualHost", str)
UserName = NewType("UserName", str)
PasswordHash = NewType("PasswordHash", str)

HASHING: Final = "rabbit_password_hashing_sha256"
SALT_BYTES: Final = 4


class Host(TypedDict):
    """A virtual host."""

    name: VirtualHost


UserLimits = TypedDict("UserLimits", {"max-connections": int, "max-channels": int})
"""How many connections and channels a user may have at once, on all virtual hosts together."""


class User(TypedDict):
    """A user, without its password."""

    name: UserName
    password_hash: PasswordHash
    hashing_algorithm: str
    tags: str
    limits: NotRequired[UserLimits]
    """None for an administrator, who must get in whatever others do."""


class Permission(TypedDict):
    """What a user may do on a virtual host: regular expressions over the names of queues and exchanges."""

    user: UserName
    vhost: VirtualHost
    configure: str
    write: str
    read: str


class TopicPermission(TypedDict):
    """Which routing keys a user may use on a topic exchange."""

    user: UserName
    vhost: VirtualHost
    exchange: str
    write: str
    read: str


class Exchange(TypedDict):
    """An exchange."""

    name: str
    vhost: VirtualHost
    type: str
    durable: bool
    auto_delete: bool
    internal: bool
    arguments: dict[str, str | int]


class Queue(TypedDict):
    """A queue."""

    name: str
    vhost: VirtualHost
    durable: bool
    auto_delete: bool
    arguments: dict[str, str | int]


class Binding(TypedDict):
    """What takes a routing key from an exchange to a queue."""

    source: str
    vhost: VirtualHost
    destination: str
    destination_type: str
    routing_key: str
    arguments: dict[str, str | int]


class Definitions(TypedDict):
    """A definitions file."""

    vhosts: list[Host]
    users: list[User]
    permissions: list[Permission]
    topic_permissions: list[TopicPermission]
    exchanges: list[Exchange]
    queues: list[Queue]
    bindings: list[Binding]


def hash_password(password: str, salt: bytes) -> PasswordHash:
    """Return what RabbitMQ stores: Base64 of salt ‖ SHA-256(salt ‖ password), with four random bytes of salt.

    One round of SHA-256 is no shelter
    for a password that a person made up: these must be random, of 128 bits or more.
    """
    if len(salt) != SALT_BYTES:
        message = f"a salt has {SALT_BYTES} bytes"
        raise ValueError(message)
    return PasswordHash(base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode())
