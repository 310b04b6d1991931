"""Every setting has its line in docs/operate/settings.md, and no document names one that is not there."""

import re
from importlib import import_module
from pathlib import Path

import pytest

from shared.contracts.services import Service
from shared.settings import NodeSettings
from tests.architecture.tree import REPOSITORY, files, sources, write

PAGE = REPOSITORY / "docs" / "operate" / "settings.md"
VARIABLE = re.compile(r"\bRELAIS_[A-Z][A-Z_]*[A-Z]\b")


def fields() -> set[str]:
    """Return the variables that the services read."""
    for service in Service:
        import_module(f"services.{service}.settings")
    kinds: list[type[NodeSettings]] = [NodeSettings, *NodeSettings.__subclasses__()]
    return {f"RELAIS_{field.upper()}" for kind in kinds for field in kind.model_fields}


def in_code() -> set[str]:
    """Return every variable that code names outside the settings, such as those of `make up`."""
    ours = ("deploy/", "services/", "shared/", "examples/", "bench/", "tests/support/")
    paths = [REPOSITORY / name for name, _ in sources(REPOSITORY, *ours)]
    return {name for path in paths for name in VARIABLE.findall(path.read_text(encoding="utf-8"))}


def strangers(root: Path, known: set[str]) -> list[str]:
    """Return every variable that a document names and nobody reads."""
    return sorted(
        f"{path.relative_to(root)}: {name}"
        for path in files(root, ".md", ".yml", ".yaml", "Makefile", "Dockerfile")
        for name in set(VARIABLE.findall(path.read_text(encoding="utf-8"))) - known
    )


def test_every_setting_is_documented() -> None:
    assert fields() - set(VARIABLE.findall(PAGE.read_text(encoding="utf-8"))) == set()


def test_no_document_names_a_setting_that_is_not_there() -> None:
    assert strangers(REPOSITORY, fields() | in_code()) == []


@pytest.mark.parametrize("name", ["docs/operate/settings.md", "docker-compose.yml"])
def test_a_setting_that_is_not_there_is_found(name: str, tmp_path: Path) -> None:
    write(tmp_path, name, "Set `RELAIS_NO_SUCH_THING` and RELAIS_ORGANISATION.\n")
    assert strangers(tmp_path, {"RELAIS_ORGANISATION"}) == [f"{name}: RELAIS_NO_SUCH_THING"]
