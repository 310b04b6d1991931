"""Where RabbitMQ and Erlang are on this machine, or how they come into the user's cache from Debian's packages.

They are unpacked, not installed, whoever we are: installing starts a broker on the standard ports and adds a user to
the system. The packages are fetched by apt, which checks their signatures, with lists of its own, so that neither
root nor an earlier ``apt-get update`` is needed. Debian's wrappers in /usr/sbin are not used: they insist on being
root or the system's own RabbitMQ user.
"""

import fcntl
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy.local.errors import LocalCode, LocalError
from deploy.local.progress import Progress, silent, waiting

SERVER = "rabbitmq-server"
INSTALLED = (
    Path("/usr/lib/rabbitmq/bin"),
    Path("/opt/homebrew/opt/rabbitmq/sbin"),
    Path("/usr/local/opt/rabbitmq/sbin"),
)
SYSTEM_PATH = "/opt/homebrew/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
PACKAGES = (
    *(
        f"erlang-{part}"
        for part in ("base", "asn1", "crypto", "eldap", "ftp", "inets", "mnesia", "os-mon", "parsetools")
    ),
    *(
        f"erlang-{part}"
        for part in ("public-key", "runtime-tools", "snmp", "ssl", "syntax-tools", "tftp", "tools", "xmerl")
    ),
    "rabbitmq-server",
)
ERLANG_HOME = "/usr/lib/erlang"
DOWNLOAD_SECONDS = 300


@dataclass(frozen=True, slots=True)
class RabbitBinaries:
    """RabbitMQ's scripts and the search path on which they find Erlang."""

    scripts: Path
    search_path: str

    def server(self) -> Path:
        """Return the script that becomes the broker."""
        return self.scripts / SERVER

    def port_mapper(self) -> str:
        """Return Erlang's port mapper, epmd.

        Raises:
            LocalError: ``server-unusable`` when Erlang is not where RabbitMQ expects it.
        """
        found = shutil.which("epmd", path=self.search_path)
        if found is None:
            raise LocalError(
                LocalCode.SERVER_UNUSABLE, f"RabbitMQ is in {self.scripts}, but Erlang is not on this machine"
            )
        return found


def find_binaries(
    *,
    installed: Sequence[Path] = INSTALLED,
    cache: Path | None = None,
    progress: Progress = silent,
) -> RabbitBinaries:
    """Return RabbitMQ's programs: installed ones, those unpacked before, or those unpacked now.

    Raises:
        LocalError: ``server-missing`` with what to install, ``package-failed`` when Debian's packages cannot be
            fetched.
    """
    for scripts in installed:
        if (scripts / SERVER).exists():
            return RabbitBinaries(scripts, SYSTEM_PATH)
    place = (cache or cache_folder(os.environ)) / f"rabbitmq-{_release()}-{platform.machine()}"
    if not place.exists():
        if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
            raise LocalError(
                LocalCode.SERVER_MISSING,
                "RabbitMQ is not on this machine; run `brew install rabbitmq`, or `docker compose up rabbitmq` and set "
                "RELAIS_RABBITMQ_URL and RELAIS_RABBITMQ_ADMIN_URL",
            )
        with _alone(place), waiting("fetching RabbitMQ (20 MB, once) …", progress):
            if not place.exists():
                _unpack(place)
    return RabbitBinaries(place / "usr/lib/rabbitmq/bin", f"{place}{ERLANG_HOME}/bin:{SYSTEM_PATH}")


def cache_folder(environment: Mapping[str, str]) -> Path:
    """Return where this user's programs keep what can be fetched again (XDG Base Directory)."""
    return Path(environment.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "relais"


def _release() -> str:
    """Name the system whose packages these are, such as ``debian-12``."""
    try:
        system = platform.freedesktop_os_release()
    except OSError:
        return platform.system().lower()
    return f"{system.get('ID', 'linux')}-{system.get('VERSION_ID', 'rolling')}"


@contextmanager
def _alone(place: Path) -> Iterator[None]:
    """Let one process at a time unpack into ``place``."""
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _unpack(place: Path) -> None:
    """Fetch the packages and unpack them into ``place``, which is there whole or not at all."""
    with tempfile.TemporaryDirectory(dir=place.parent, prefix=f"{place.name}.making-") as temporary:
        work = Path(temporary)
        packages, root = work / "packages", work / "root"
        for folder in (packages, root, work / "lists/partial", work / "cache/archives/partial"):
            folder.mkdir(parents=True)
        options = [
            *("-o", f"Dir::State::Lists={work / 'lists'}", "-o", f"Dir::Cache={work / 'cache'}"),
            *("-o", "Debug::NoLocking=1", "-o", "APT::Sandbox::User=", "-qq"),
        ]
        _run(["apt-get", *options, "update"], packages)
        _run(["apt-get", *options, "download", *PACKAGES], packages)
        for package in sorted(packages.glob("*.deb")):
            _run(["dpkg-deb", "-x", str(package), str(root)], packages)
        _move_erlang(root, place)
        root.chmod(0o755)
        root.rename(place)


def _move_erlang(root: Path, place: Path) -> None:
    """Tell Erlang's start scripts where they will lie; they name their own place."""
    for pattern in ("bin/erl", "bin/start", "erts-*/bin/erl", "erts-*/bin/start"):
        for script in (root / ERLANG_HOME.lstrip("/")).glob(pattern):
            if script.is_file() and not script.is_symlink():
                text = script.read_text(encoding="utf-8")
                script.write_text(text.replace(f"={ERLANG_HOME}", f"={place}{ERLANG_HOME}"), encoding="utf-8")


def _run(command: Sequence[str], folder: Path) -> None:
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=DOWNLOAD_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _package_failed(type(error).__name__) from None
    if done.returncode != 0:
        raise _package_failed((done.stderr.strip().splitlines() or ["no reason given"])[-1])


def _package_failed(reason: str) -> LocalError:
    return LocalError(
        LocalCode.PACKAGE_FAILED,
        f"RabbitMQ is not on this machine and apt could not fetch it ({reason}); run "
        "`apt-get install rabbitmq-server` as root, or set RELAIS_RABBITMQ_URL and RELAIS_RABBITMQ_ADMIN_URL",
    )
