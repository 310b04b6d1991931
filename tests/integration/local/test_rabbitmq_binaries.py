"""RabbitMQ where none is installed: from Debian's packages, whole or not at all, or a sentence that helps."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.local import rabbitmq_binaries
from deploy.local.errors import LocalCode, LocalError
from deploy.local.rabbitmq_binaries import RabbitBinaries, cache_folder, find_binaries

DPKG_DEB = shutil.which("dpkg-deb")
needs_debian = pytest.mark.skipif(DPKG_DEB is None, reason="packages are unpacked with dpkg-deb")
FILES = {
    "usr/lib/rabbitmq/bin/rabbitmq-server": "#!/bin/sh\n",
    "usr/lib/erlang/bin/erl": '#!/bin/sh\nROOTDIR="${ERL_ROOTDIR:-/usr/lib/erlang}"\nROOTDIR=/usr/lib/erlang\n',
    "usr/lib/erlang/erts-1/bin/erl": "ROOTDIR=/usr/lib/erlang\n",
    "usr/lib/erlang/bin/epmd": "#!/bin/sh\n",
}


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """Give a Debian package laid out like Erlang's and RabbitMQ's."""
    tree = tmp_path / "tree"
    for name, text in FILES.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(text)
        (tree / name).chmod(0o755)
    (tree / "DEBIAN").mkdir()
    (tree / "DEBIAN" / "control").write_text(
        "Package: tiny\nVersion: 1\nArchitecture: all\nMaintainer: nobody <nobody@example.org>\nDescription: tiny\n"
    )
    build = [str(DPKG_DEB), "-b", str(tree), str(tmp_path / "tiny.deb")]
    subprocess.run(build, check=True, capture_output=True)
    return tmp_path / "tiny.deb"


@pytest.fixture
def with_apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Give a function that puts a script in apt-get's place, because tests reach no network."""

    def put(script: str) -> None:
        place = tmp_path / "path"
        place.mkdir()
        (place / "apt-get").write_text(f"#!/bin/sh\n{script}\n")
        (place / "apt-get").chmod(0o755)
        monkeypatch.setenv("PATH", f"{place}:{os.environ['PATH']}")

    return put


@needs_debian
def test_what_is_fetched_is_unpacked_once_and_finds_itself(
    tmp_path: Path, package: Path, with_apt: Callable[[str], None]
) -> None:
    with_apt(f'echo "$@" >> {tmp_path}/calls; case "$*" in *download*) cp {package} . ;; esac')
    first, again = (find_binaries(installed=(), cache=tmp_path / "cache") for _ in range(2))
    assert first == again
    assert first.server().exists()
    calls = (tmp_path / "calls").read_text().splitlines()
    assert [call.split(" -qq ")[1].split()[0] for call in calls] == ["update", "download"]
    place = first.scripts.parents[3]
    for name in ("bin/erl", "erts-1/bin/erl"):
        script = (place / "usr/lib/erlang" / name).read_text()
        assert f"ROOTDIR={place}/usr/lib/erlang" in script
        assert "ROOTDIR=/usr/lib/erlang" not in script
    assert first.port_mapper() == str(place / "usr/lib/erlang/bin/epmd")
    assert sorted(path.suffix for path in (tmp_path / "cache").iterdir()) == ["", ".lock"]


@needs_debian
@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo 'E: Could not resolve the archive' >&2; exit 100", "Could not resolve the archive"),
        ('case "$*" in *download*) echo rubbish > rubbish.deb ;; esac', "not a Debian format archive"),
    ],
)
def test_what_cannot_be_fetched_leaves_nothing_and_says_what_helps(
    tmp_path: Path, with_apt: Callable[[str], None], script: str, reason: str
) -> None:
    with_apt(script)
    with pytest.raises(LocalError) as refused:
        find_binaries(installed=(), cache=tmp_path / "cache")
    assert refused.value.code is LocalCode.PACKAGE_FAILED
    assert reason in refused.value.sentence
    assert "apt-get install rabbitmq-server" in refused.value.sentence
    assert [path.suffix for path in (tmp_path / "cache").iterdir()] == [".lock"]


def test_where_there_are_no_packages_the_commands_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LocalError) as refused:
        find_binaries(installed=(), cache=tmp_path / "cache")
    assert refused.value.code is LocalCode.SERVER_MISSING
    assert "brew install rabbitmq" in refused.value.sentence
    assert "docker compose" in refused.value.sentence


def test_an_installed_one_comes_first(tmp_path: Path) -> None:
    (tmp_path / "rabbitmq-server").touch()
    assert find_binaries(installed=(tmp_path,)) == RabbitBinaries(tmp_path, rabbitmq_binaries.SYSTEM_PATH)


def test_the_cache_is_the_users_own(tmp_path: Path) -> None:
    assert cache_folder({"XDG_CACHE_HOME": str(tmp_path)}) == tmp_path / "relais"
    assert cache_folder({}) == Path.home() / ".cache" / "relais"
