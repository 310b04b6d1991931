"""PostgreSQL for one state folder: given by address, or a private one that is ours alone and ends with us.

A private server listens on 127.0.0.1 only, on a port of its own, with no Unix socket, asks everybody for a password
(SCRAM-SHA-256) and keeps fsync on: what a node has confirmed survives a power cut. Its log holds no statement, no
parameter and no row, whatever goes wrong.
"""

import os
import secrets
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

from deploy.local import ports
from deploy.local.errors import LocalCode, LocalError
from deploy.local.folder import hold
from deploy.local.postgres_binaries import PostgresBinaries, as_ordinary_user, find_binaries, within_reach
from deploy.local.processes import Kept, Program
from deploy.local.progress import Progress, silent, waiting
from shared.files import write_private

ADDRESS_VARIABLE = "RELAIS_POSTGRES_DSN"
ADMIN = "postgres"
READY_SECONDS = 300.0
"""Going through the log after a power cut can take long."""
PORT_ATTEMPTS = 5
STATUS_LINE = 8
"""Which line of postmaster.pid says how far the server is."""

SETTINGS: Mapping[str, str] = {
    "listen_addresses": ports.LOOPBACK,
    "unix_socket_directories": "",
    "password_encryption": "scram-sha-256",
    "max_connections": "200",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    # what a killed server leaves behind lies in its folder, nowhere else
    "dynamic_shared_memory_type": "mmap",
    # personal data reaches no log: no statement, no parameter, no DETAIL (it quotes rows), and no error of a statement
    # (it quotes values; whoever sent it is told). "log" ranks above "error" here: what concerns the server is kept
    "log_min_messages": "log",
    "log_statement": "none",
    "log_min_error_statement": "panic",
    "log_min_duration_statement": "-1",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
    "log_error_verbosity": "terse",
    "debug_print_parse": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "jit": "off",
}

ACCESS = """\
# the cluster's own databases are the administrator's; every role reaches the databases that it may CONNECT to
host  postgres,template1  postgres  127.0.0.1/32  scram-sha-256
host  postgres,template1  all       127.0.0.1/32  reject
host  all                 all       127.0.0.1/32  scram-sha-256
"""


class PostgresServer(Protocol):
    """A server on which databases can be made."""

    @property
    def admin_dsn(self) -> str:
        """Address with a role that may create roles and databases."""


class GivenPostgres:
    """A server that somebody else keeps."""

    def __init__(self, admin_dsn: str) -> None:
        """Take its address, with a role that may create roles and databases."""
        self.admin_dsn = admin_dsn


class PrivatePostgres:
    """A server of our own in one folder; made by `private_postgres`."""

    def __init__(self, folder: Path, binaries: PostgresBinaries, lock: int, progress: Progress) -> None:
        """Take the held ``folder`` and the ``lock`` that holds it; nothing is started yet."""
        self.data = folder / "data"
        self.log = folder / "postgres.log"
        self._binaries = binaries
        self._lock = lock
        self._progress = progress
        self._password_file = folder / "admin-password"
        self._kept: Kept | None = None
        self.port = 0

    @property
    def admin_dsn(self) -> str:
        """Address as the superuser, on the database ``postgres``."""
        return f"postgresql://{ADMIN}:{quote(self._password())}@{ports.LOOPBACK}:{self.port}/postgres"

    @property
    def pid(self) -> int | None:
        """The postmaster's process id, or None while it is down."""
        return None if self._kept is None or not self._kept.is_running() else self._kept.pid

    def start(self) -> None:
        """Start the server and return when it takes connections; after a stop or a kill on the same port and data.

        Raises:
            LocalError: ``port-taken``, ``server-died``, ``server-silent`` or ``server-unusable``.
        """
        if self.pid is not None:
            return
        with waiting("starting PostgreSQL …", self._progress):
            self._initialise()
            if self.port:
                self._start_on(self.port)
                return
            for attempt in range(1, PORT_ATTEMPTS + 1):
                (port,) = ports.free_ports(1)
                try:
                    self._start_on(port)
                except LocalError as error:
                    if error.code is not LocalCode.PORT_TAKEN or attempt == PORT_ATTEMPTS:
                        raise
                else:
                    self.port = port
                    return

    def stop(self) -> None:
        """Stop in order: sessions are ended, everything is written."""
        if self._kept is not None:
            with waiting("stopping PostgreSQL …", self._progress):
                self._kept.stop()

    def kill(self) -> None:
        """SIGKILL every process of the server, as a power cut would."""
        if self._kept is not None:
            self._kept.kill()

    def restart(self) -> None:
        """Stop in order and start again."""
        self.stop()
        self.start()

    def _initialise(self) -> None:
        if (self.data / "PG_VERSION").exists():
            return
        self._binaries.initialise(self.data, superuser=ADMIN, password_file=self._new_password_file(), log=self.log)
        (self.data / "pg_hba.conf").write_text(ACCESS, encoding="utf-8")

    def _new_password_file(self) -> Path:
        write_private(self._password_file, secrets.token_urlsafe(24))
        return self._password_file

    def _password(self) -> str:
        return self._password_file.read_text(encoding="ascii").strip()

    def _start_on(self, port: int) -> None:
        ports.require_free(port)
        self.log.write_bytes(b"")
        self._forget_stranger()
        settings = [f"--{name}={value}" for name, value in {**SETTINGS, "port": str(port)}.items()]
        self._kept = Kept(
            Program(
                name="PostgreSQL",
                command=as_ordinary_user(
                    [str(self._binaries.path("postgres")), "-D", str(self.data), *settings], self.data
                ),
                environment=self._binaries.environment(),
                log=self.log,
                stop_signal=signal.SIGINT,  # "fast shutdown" in PostgreSQL's words
            ),
            holding=[self._lock],
        )
        try:
            self._await_ready(port, self._kept)
        except BaseException:
            self._kept.kill()
            raise

    def _forget_stranger(self) -> None:
        """Remove the lock file of a server that died, if its process id is now another program's.

        PostgreSQL itself tells a dead owner from a living one, but would take the stranger for a living one and
        refuse to start.
        """
        file = self.data / "postmaster.pid"
        if file.exists():
            pid = file.read_text(encoding="utf-8", errors="replace").partition("\n")[0]
            name = Path("/proc") / pid / "comm"
            if name.exists() and name.read_text(errors="replace").strip() not in ("postgres", "postmaster"):
                file.unlink()

    def _await_ready(self, port: int, kept: Kept) -> None:
        """Wait for the word that the postmaster itself writes into its lock file, where pg_ctl reads it too."""
        deadline = time.monotonic() + READY_SECONDS
        status = self.data / "postmaster.pid"
        while kept.is_running():
            lines = status.read_text(encoding="utf-8", errors="replace").splitlines() if status.exists() else []
            if len(lines) >= STATUS_LINE and lines[0] == str(kept.pid) and lines[STATUS_LINE - 1].strip() == "ready":
                return
            if time.monotonic() > deadline:
                raise kept.failure(LocalCode.SERVER_SILENT, f"is not ready after {READY_SECONDS:.0f} s")
            time.sleep(0.01)
        ports.require_free(port)
        raise kept.failure(LocalCode.SERVER_DIED, "ended while it started")


@contextmanager
def private_postgres(folder: Path, *, progress: Progress = silent) -> Iterator[PrivatePostgres]:
    """Run a private PostgreSQL on ``folder`` for as long as the block lasts.

    A folder that is already there is started again with what it holds. Nothing is left running afterwards, also when
    this process is killed.

    Raises:
        LocalError: ``node-already-running``, ``server-missing``, ``server-unusable``, ``server-died``, ``port-taken``.
    """
    with ExitStack() as stack:
        lock = stack.enter_context(hold(folder, progress=progress))
        binaries = stack.enter_context(within_reach(find_binaries(folder / "data")))
        server = PrivatePostgres(folder, binaries, lock, progress)
        stack.callback(server.stop)
        server.start()
        yield server


@contextmanager
def postgres(
    folder: Path,
    *,
    progress: Progress = silent,
    environment: Mapping[str, str] | None = None,
) -> Iterator[GivenPostgres | PrivatePostgres]:
    """Give the server whose address is in ``RELAIS_POSTGRES_DSN``; without one, a private one on ``folder``.

    Raises:
        LocalError: see `private_postgres`.
    """
    given = (os.environ if environment is None else environment).get(ADDRESS_VARIABLE)
    if given:
        yield GivenPostgres(given)
        return
    with private_postgres(folder, progress=progress) as server:
        yield server
