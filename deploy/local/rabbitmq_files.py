"""The files and the environment of a private RabbitMQ: everything in its folder, everything on the loopback interface.

What must never happen: that a message reaches a file other than the queues' own. So nothing is traced, no crash dump
is written, and what the scripts would read from /etc is replaced.
"""

import json
import os
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from deploy.broker.definitions import HASHING, SALT_BYTES, Definitions, User, UserName, hash_password
from deploy.broker.management import administrator
from deploy.local import ports
from deploy.local.rabbitmq_binaries import RabbitBinaries
from shared.files import write_private

ADMIN: Final = UserName("relais-admin")
NODE: Final = "relais@localhost"
"""The broker's data are bound to this name; it need not differ, for the port mapper is the broker's own."""
LARGEST_MESSAGE: Final = 1024 * 1024
"""Octets; four times the largest envelope."""
LOOPBACK_ONLY: Final = "-kernel inet_dist_use_interface {127,0,0,1} -start_epmd false"
EMPTY = Definitions(vhosts=[], users=[], permissions=[], topic_permissions=[], exchanges=[], queues=[], bindings=[])


@dataclass(frozen=True, slots=True)
class RabbitPorts:
    """The four ports of a private broker."""

    amqp: int
    management: int
    distribution: int
    mapper: int

    @classmethod
    def choose(cls) -> Self:
        """Return four that were free a moment ago."""
        return cls(*ports.free_ports(4))


@dataclass(frozen=True, slots=True)
class RabbitFiles:
    """A private broker's folder."""

    folder: Path

    @property
    def log(self) -> Path:
        """What the broker and its port mapper print."""
        return self.folder / "rabbitmq.log"

    @property
    def is_born(self) -> bool:
        """Whether the broker has once come up on this folder, so that its own data say what it is."""
        return self._birth.exists()

    def mark_born(self) -> None:
        """Remember that it came up."""
        self._birth.touch()

    def admin_password(self) -> str:
        """Return the administrator's password, made once."""
        return self._secret("admin-password")

    def write(self, chosen: RabbitPorts, definitions: Definitions | None) -> None:
        """Write the configuration; a folder on which the broker never came up also gets its first definitions."""
        self._secret(".erlang.cookie")
        lines = [
            f"listeners.tcp.default = {ports.LOOPBACK}:{chosen.amqp}",
            f"management.tcp.ip = {ports.LOOPBACK}",
            f"management.tcp.port = {chosen.management}",
            f"max_message_size = {LARGEST_MESSAGE}",
            "log.file = false",
            "log.console = true",
            "log.console.level = warning",
            "log.console.use_colors = off",
        ]
        if not self.is_born:
            shutil.rmtree(self._data, ignore_errors=True)
            first = self.folder / "definitions.json"
            write_private(first, json.dumps(self._with_administrator(definitions or EMPTY), indent=1))
            lines.append(f"load_definitions = {first}")
        (self.folder / "rabbitmq.conf").write_text("\n".join([*lines, ""]), encoding="utf-8")
        (self.folder / "enabled_plugins").write_text("[rabbitmq_management].\n", encoding="utf-8")
        self.log.write_bytes(b"")

    def environment(self, binaries: RabbitBinaries, chosen: RabbitPorts) -> dict[str, str]:
        """Return the whole environment that the broker's programs get; nothing of ours is in it."""
        return {
            "PATH": binaries.search_path,
            "LANG": "C.UTF-8",
            "HOME": str(self.folder),
            "ERL_CRASH_DUMP_SECONDS": "0",
            "ERL_EPMD_ADDRESS": ports.LOOPBACK,
            "ERL_EPMD_PORT": str(chosen.mapper),
            "RABBITMQ_NODENAME": NODE,
            "RABBITMQ_NODE_PORT": str(chosen.amqp),
            "RABBITMQ_NODE_IP_ADDRESS": ports.LOOPBACK,
            "RABBITMQ_DIST_PORT": str(chosen.distribution),
            "RABBITMQ_CONF_ENV_FILE": os.devnull,
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(self.folder / "advanced.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(self._data),
            "RABBITMQ_LOG_BASE": str(self.folder / "log"),
            "RABBITMQ_PID_FILE": str(self.folder / "pid"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(self.folder / "generated"),
            "RABBITMQ_PLUGINS_EXPAND_DIR": str(self.folder / "plugins"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": LOOPBACK_ONLY,
            "RABBITMQ_CTL_ERL_ARGS": LOOPBACK_ONLY,
            # the script becomes the broker instead of waiting for it: one process, and the one that signals reach
            "RUNNING_UNDER_SYSTEMD": "true",
        }

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    @property
    def _birth(self) -> Path:
        return self.folder / "born"

    def _with_administrator(self, definitions: Definitions) -> Definitions:
        """Add the administrator, who has a password of this folder's own, in place of RabbitMQ's ``guest``."""
        user = User(
            name=ADMIN,
            password_hash=hash_password(self.admin_password(), secrets.token_bytes(SALT_BYTES)),
            hashing_algorithm=HASHING,
            tags="administrator",
        )
        rights = [administrator(ADMIN, host["name"]) for host in definitions["vhosts"]]
        return {
            **definitions,
            "users": [*definitions["users"], user],
            "permissions": [*definitions["permissions"], *rights],
        }

    def _secret(self, name: str) -> str:
        """Return the random word in the file ``name``, which only we may read."""
        file = self.folder / name
        if not file.exists():
            write_private(file, secrets.token_hex(24))
        return file.read_text(encoding="ascii")
