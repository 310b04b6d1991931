"""RabbitMQ for one state folder: given by address, or a private broker that is ours alone and ends with us.

A private broker's first definitions are loaded before it takes its first connection, so that there is no moment
without permissions and never a user ``guest``. It does not load them again: what has been taken away since, such as
the binding of an agreement that ended, must not come back with a restart.
"""

import os
import re
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import quote, urlsplit

from deploy.broker.definitions import Definitions, UserName, VirtualHost
from deploy.broker.management import BrokerError, Management, apply, hosts_of_others
from deploy.local import ports
from deploy.local.errors import LocalCode, LocalError
from deploy.local.folder import hold
from deploy.local.processes import Kept, Program
from deploy.local.progress import Progress, silent, waiting
from deploy.local.rabbitmq_binaries import RabbitBinaries, find_binaries
from deploy.local.rabbitmq_files import ADMIN, RabbitFiles, RabbitPorts

ADDRESS_VARIABLE: Final = "RELAIS_RABBITMQ_URL"
ADMIN_ADDRESS_VARIABLE: Final = "RELAIS_RABBITMQ_ADMIN_URL"
_USABLE: Final = re.compile(r"[A-Za-z0-9/ ._+,=@~-]+")
READY_SECONDS = 120.0
PORT_ATTEMPTS = 5
GRACE_SECONDS = 2.0
"""Listeners, connections and queues end within a tenth of a second. What then still waits for five seconds is the
management plugin, for an answer that cannot come (RabbitMQ 3.10); a quorum queue has written what it confirmed."""


class RabbitServer(Protocol):
    """A broker on which virtual hosts and users can be made."""

    @property
    def admin_url(self) -> str:
        """Management address with an administrator's name and password, as `deploy.broker.management` takes it."""

    @property
    def management_url(self) -> str:
        """Management address to show to people: without a password."""

    def url(self, vhost: VirtualHost, user: UserName, password: str) -> str:
        """Return the AMQP address of ``user`` on ``vhost``."""


class GivenRabbit:
    """A broker that somebody else keeps."""

    def __init__(self, url: str, admin_url: str) -> None:
        """Take its AMQP address (scheme, host and port are used) and its management address with an administrator."""
        self._amqp = urlsplit(url)
        self.admin_url = admin_url

    @property
    def management_url(self) -> str:
        """Management address without a password."""
        parts = urlsplit(self.admin_url)
        return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()

    def url(self, vhost: VirtualHost, user: UserName, password: str) -> str:
        """Return the AMQP address of ``user`` on ``vhost``."""
        return _amqp_url(self._amqp.scheme, self._amqp.netloc.rpartition("@")[2], vhost, user, password)


class PrivateRabbit:
    """A broker of our own in one folder; made by `private_rabbitmq`."""

    def __init__(self, folder: Path, binaries: RabbitBinaries, lock: int, progress: Progress) -> None:
        """Take the held ``folder`` and the ``lock`` that holds it; nothing is started yet."""
        self._files = RabbitFiles(folder)
        self._binaries = binaries
        self._lock = lock
        self._progress = progress
        self._mapper: Kept | None = None
        self._broker: Kept | None = None
        self._chosen: RabbitPorts | None = None

    @property
    def ports(self) -> RabbitPorts:
        """Where it listens; the same after a restart."""
        if self._chosen is None:
            raise LocalError(LocalCode.SERVER_SILENT, "RabbitMQ has no address before it has been started")
        return self._chosen

    @property
    def log(self) -> Path:
        """What it prints."""
        return self._files.log

    @property
    def pid(self) -> int | None:
        """The broker's process id, or None while it is down."""
        return self._broker.pid if self._broker is not None and self._broker.is_running() else None

    @property
    def management_url(self) -> str:
        """Management address without a password."""
        return f"http://{ports.LOOPBACK}:{self.ports.management}"

    @property
    def admin_url(self) -> str:
        """Management address with the administrator's name and password."""
        return f"http://{ADMIN}:{self._files.admin_password()}@{ports.LOOPBACK}:{self.ports.management}"

    def url(self, vhost: VirtualHost, user: UserName, password: str) -> str:
        """Return the AMQP address of ``user`` on ``vhost``."""
        return _amqp_url("amqp", f"{ports.LOOPBACK}:{self.ports.amqp}", vhost, user, password)

    def start(self, definitions: Definitions | None = None) -> None:
        """Start the broker and return when it takes connections; after a stop or a kill on the same ports and data.

        Args:
            definitions: what it is to be, from before its first connection when the folder is new, otherwise from now
                on.

        Raises:
            LocalError: ``port-taken``, ``server-died``, ``server-silent`` or ``server-unusable``.
        """
        if self.pid is not None:
            return
        with waiting("starting RabbitMQ …", self._progress):
            was_born = self._files.is_born
            if self._chosen is not None:
                self._start_on(self._chosen, definitions)
            else:
                self._start_somewhere(definitions)
            self._files.mark_born()
            if definitions is not None and was_born:
                apply(self.admin_url, definitions)

    def stop(self) -> None:
        """Stop in order, the port mapper last."""
        with waiting("stopping RabbitMQ …", self._progress):
            for kept in (self._broker, self._mapper):
                if kept is not None:
                    kept.stop()

    def kill(self) -> None:
        """SIGKILL every process of the broker, as a power cut would."""
        for kept in (self._broker, self._mapper):
            if kept is not None:
                kept.kill()

    def restart(self) -> None:
        """Stop in order and start again."""
        self.stop()
        self.start()

    def _start_somewhere(self, definitions: Definitions | None) -> None:
        for attempt in range(1, PORT_ATTEMPTS + 1):
            self._chosen = RabbitPorts.choose()
            try:
                self._start_on(self._chosen, definitions)
            except LocalError as error:
                self._chosen = None
                if error.code is not LocalCode.PORT_TAKEN or attempt == PORT_ATTEMPTS:
                    raise
            else:
                return

    def _start_on(self, chosen: RabbitPorts, definitions: Definitions | None) -> None:
        own = (chosen.amqp, chosen.management, chosen.distribution)
        ports.require_free(*own, chosen.mapper)
        self._files.write(chosen, definitions)
        mapper = [self._binaries.port_mapper(), "-address", ports.LOOPBACK, "-port", str(chosen.mapper)]
        try:
            self._mapper = self._keep("Erlang's port mapper", mapper, chosen)
            self._await(self._mapper, lambda: _maps(chosen.mapper), chosen.mapper)
            self._broker = self._keep("RabbitMQ", [str(self._binaries.server())], chosen)
            self._await(self._broker, lambda: _answers(chosen.management) and self._listens(chosen.amqp), *own)
        except BaseException:
            self.kill()
            raise

    def _keep(self, name: str, command: list[str], chosen: RabbitPorts) -> Kept:
        environment = self._files.environment(self._binaries, chosen)
        return Kept(Program(name, command, environment, self.log, grace=GRACE_SECONDS), holding=[self._lock])

    def _listens(self, port: int) -> bool:
        """Ask the broker itself whether it listens on ``port``: an open port alone might be another program's."""
        try:
            with Management(self.admin_url) as broker:
                return bool(broker.get("health", "checks", "port-listener", str(port)))
        except BrokerError:
            return False

    def _await(self, kept: Kept, fact: Callable[[], bool], *needed: int) -> None:
        """Return once ``fact`` holds for a program that listens on the ports ``needed``."""
        deadline = time.monotonic() + READY_SECONDS
        while kept.is_running():
            if fact():
                return
            if time.monotonic() > deadline:
                raise kept.failure(LocalCode.SERVER_SILENT, f"is not ready after {READY_SECONDS:.0f} s")
            time.sleep(0.02)
        ports.require_free(*needed)
        raise kept.failure(LocalCode.SERVER_DIED, "ended while it started")


@contextmanager
def private_rabbitmq(
    folder: Path,
    *,
    definitions: Definitions | None = None,
    progress: Progress = silent,
) -> Iterator[PrivateRabbit]:
    """Run a private RabbitMQ on ``folder`` for as long as the block lasts.

    A folder that is already there is started again with what it holds, then brought to ``definitions``. Nothing is
    left running afterwards, also when this process is killed.

    Raises:
        LocalError: ``node-already-running``, ``server-missing``, ``package-failed``, ``server-unusable``,
            ``server-died``, ``port-taken``, ``folder-unusable``.
    """
    _require_usable(folder)
    with ExitStack() as stack:
        lock = stack.enter_context(hold(folder, progress=progress))
        server = PrivateRabbit(folder, find_binaries(progress=progress), lock, progress)
        stack.callback(server.stop)
        server.start(definitions)
        yield server


@contextmanager
def rabbitmq(
    folder: Path,
    *,
    definitions: Definitions | None = None,
    progress: Progress = silent,
    environment: Mapping[str, str] | None = None,
) -> Iterator[GivenRabbit | PrivateRabbit]:
    """Give the broker that ``RELAIS_RABBITMQ_URL`` and ``RELAIS_RABBITMQ_ADMIN_URL`` name, or else a private one.

    A given broker is brought to ``definitions`` only where nobody else uses the virtual hosts that these name.

    Raises:
        LocalError: ``address-incomplete`` when one of the two is missing, ``address-malformed``, ``broker-not-ours``
            when organisations that the definitions do not know meet there; else see `private_rabbitmq`.
        BrokerError: the given broker is away or refuses.
    """
    variables = os.environ if environment is None else environment
    url, admin_url = variables.get(ADDRESS_VARIABLE), variables.get(ADMIN_ADDRESS_VARIABLE)
    if not url and not admin_url:
        with private_rabbitmq(folder, definitions=definitions, progress=progress) as server:
            yield server
        return
    if not url or not admin_url:
        raise LocalError(
            LocalCode.ADDRESS_INCOMPLETE,
            f"set both {ADDRESS_VARIABLE} (amqp://…) and {ADMIN_ADDRESS_VARIABLE} (http://name:password@…)",
        )
    for name, address in ((ADDRESS_VARIABLE, url), (ADMIN_ADDRESS_VARIABLE, admin_url)):
        _require_address(name, address)
    if definitions is not None:
        _require_ours(admin_url, definitions)
        apply(admin_url, definitions)
    yield GivenRabbit(url, admin_url)


def _require_address(name: str, address: str) -> None:
    """Refuse what cannot be taken apart: what the library says of it holds a part of the password."""
    try:
        parts = urlsplit(address)
        if parts.port != 0 and parts.hostname:
            return
    except ValueError:
        pass
    raise LocalError(LocalCode.ADDRESS_MALFORMED, f"{name} is no address: scheme://name:password@host:port") from None


def _require_ours(admin_url: str, definitions: Definitions) -> None:
    if taken := hosts_of_others(admin_url, definitions):
        raise LocalError(
            LocalCode.BROKER_NOT_OURS,
            f"others use virtual host {', '.join(taken)} of the broker in {ADMIN_ADDRESS_VARIABLE}, and would be shut"
            " out; name a broker of your own, or none",
        )


def _require_usable(folder: Path) -> None:
    """Refuse a folder in which RabbitMQ's scripts or Erlang lose their way: it would be waited for in vain."""
    if _USABLE.fullmatch(str(folder.resolve())) is None:
        raise LocalError(
            LocalCode.FOLDER_UNUSABLE,
            f"RabbitMQ cannot run in {folder.resolve()}: a path of unaccented letters, digits, blanks and"
            " / . _ - + , = @ ~ is what it takes; name another folder, or move this one",
        )


def _amqp_url(scheme: str, place: str, vhost: VirtualHost, user: UserName, password: str) -> str:
    return f"{scheme}://{quote(user, safe='')}:{quote(password, safe='')}@{place}/{quote(vhost, safe='')}"


def _answers(port: int) -> bool:
    """Say whether anything listens on ``port``."""
    try:
        socket.create_connection((ports.LOOPBACK, port), timeout=1).close()
    except OSError:
        return False
    return True


def _maps(port: int) -> bool:
    """Say whether what listens on ``port`` is a port mapper: asked for its names (n), it begins with its own port."""
    try:
        with socket.create_connection((ports.LOOPBACK, port), timeout=1) as mapper:
            mapper.sendall(b"\x00\x01n")
            return mapper.recv(4, socket.MSG_WAITALL) == port.to_bytes(4, "big")
    except OSError:
        return False
