"""The image and the Compose file are sound, as far as can be told without an engine."""

import copy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from deploy.local.databases import CONNECTIONS, SERVICES
from deploy.local.postgres import SETTINGS
from tests.architecture import composition
from tests.architecture.tree import REPOSITORY, write

COMPOSE = REPOSITORY / "docker-compose.yml"
TOOLS = Path(sys.executable).parent
KEPT_FOR_ADMINISTRATORS = 10
"""PostgreSQL keeps three for superusers; the owner migrates with one or two."""


def load(path: Path = COMPOSE) -> dict[str, Any]:
    """Read a YAML file, with its anchors and merges resolved."""
    read: dict[str, Any] = YAML(typ="safe").load(path)
    return read


def run(*command: str | Path, path: str = "/usr/bin:/bin") -> subprocess.CompletedProcess[str]:
    """Run a tool of the environment, with ``path`` as its ``PATH``."""
    return subprocess.run(
        [TOOLS / command[0], *command[1:]], env={"PATH": path}, capture_output=True, text=True, check=False
    )


def postgres_settings() -> dict[str, str]:
    """Return what the container's PostgreSQL is told."""
    words = [word.removeprefix("-c") for word in load()["services"]["postgres"]["command"] if word.startswith("-c")]
    return dict(word.split("=", 1) for word in words)


def test_the_compose_file_has_its_schema() -> None:
    done = run("check-jsonschema", "--builtin-schema", "vendor.compose-spec", COMPOSE)
    assert done.returncode == 0, done.stdout


def test_a_compose_file_that_breaks_the_schema_is_found(tmp_path: Path) -> None:
    write(tmp_path, "compose.yml", "services: {intake: {imaeg: relais}}\n")
    assert run("check-jsonschema", "--builtin-schema", "vendor.compose-spec", tmp_path / "compose.yml").returncode == 1


def test_a_second_reader_sees_the_same_services(tmp_path: Path) -> None:
    """podman-compose resolves the file; it asks for podman's version first, which is all of podman that it gets."""
    podman = tmp_path / "podman"
    podman.write_text("#!/bin/sh\necho podman version 5.4.0\n")
    podman.chmod(0o755)
    done = run("podman-compose", "-f", COMPOSE, "config", path=f"{tmp_path}:/usr/bin:/bin")
    assert done.returncode == 0, done.stderr
    theirs, ours = YAML(typ="safe").load(done.stdout)["services"], load()["services"]
    assert set(theirs) == set(ours)
    assert {name: service["environment"] for name, service in theirs.items() if service.get("environment")} == {
        name: service["environment"] for name, service in ours.items() if "environment" in service
    }


def test_the_dockerfile_is_sound() -> None:
    done = run("hadolint", "--config", REPOSITORY / "deploy/hadolint.yaml", REPOSITORY / "deploy/Dockerfile")
    assert done.stdout == ""
    assert done.returncode == 0


def test_a_dockerfile_that_is_not_is_found(tmp_path: Path) -> None:
    write(tmp_path, "Dockerfile", "FROM python\nRUN cd /opt && pip install relais\n")
    done = run("hadolint", "--config", REPOSITORY / "deploy/hadolint.yaml", tmp_path / "Dockerfile")
    assert {"DL3006", "DL3003", "DL3013"} <= {word for line in done.stdout.splitlines() for word in line.split()}


def test_nothing_dangles() -> None:
    assert composition.dangling(load()) == []


def test_every_container_of_ours_starts_a_program_that_is_there() -> None:
    assert composition.unknown_programs(load()) == []


def test_everything_that_is_mounted_is_there() -> None:
    assert composition.missing_files(load(), REPOSITORY) == []


def test_only_loopback_is_published() -> None:
    assert composition.exposed(load()) == []


def test_every_container_is_hardened() -> None:
    assert composition.soft(load()) == []


def test_no_secret_stands_in_the_file() -> None:
    assert composition.secrets_in_clear(load()) == []


def test_every_postgresql_of_ours_keeps_what_people_wrote_out_of_its_log() -> None:
    ours = {name: value for name, value in SETTINGS.items() if name.startswith("log_") and name != "log_timezone"}
    said = {name: value for name, value in postgres_settings().items() if name.startswith("log_")}
    assert said == ours
    page = (REPOSITORY / "docs/operate/README.md").read_text(encoding="utf-8")
    assert [name for name, value in ours.items() if f"   {name} = {value}" not in page] == []


def test_every_postgresql_of_ours_has_room_for_all_that_the_services_of_two_nodes_may_open() -> None:
    wanted = 2 * len(SERVICES) * CONNECTIONS
    for given in (SETTINGS, postgres_settings()):
        assert int(given["max_connections"]) - KEPT_FOR_ADMINISTRATORS >= wanted
    assert f"CONNECTION LIMIT {CONNECTIONS}" in (REPOSITORY / "docs/operate/README.md").read_text(encoding="utf-8")


def test_prometheus_asks_services_that_are_there() -> None:
    known = load()["services"]
    targets = {
        target.split(":")[0]
        for job in load(REPOSITORY / "deploy/compose/prometheus.yaml")["scrape_configs"]
        for group in job["static_configs"]
        for target in group["targets"]
    }
    assert targets - set(known) == set()
    ours = {name for name in known if name.endswith(("-intake", "-referral", "-notify"))}
    assert ours - targets == set()


@pytest.mark.parametrize(
    ("rule", "service", "change", "found"),
    [
        ("dangling", "ccem-fr-intake", {"networks": ["nowhere"]}, "networks: nowhere is not declared"),
        ("dangling", "ccem-fr-intake", {"volumes": ["lost:/run/lost"]}, "volumes: lost is not declared"),
        (
            "dangling",
            "ccem-fr-intake",
            {"depends_on": {"ghost": {"condition": "service_healthy"}}},
            "ccem-fr-intake waits for ghost, which is not there",
        ),
        (
            "dangling",
            "prepare",
            {"depends_on": {"postgres": {"condition": "service_healthy"}}},
            "prepare waits for postgres waits for prepare",
        ),
        ("unknown_programs", "migrate", {"command": ["deploy.compose.gone"]}, "migrate starts deploy.compose.gone"),
        ("exposed", "ccem-fr-intake", {"ports": ["8101:8000"]}, "ccem-fr-intake publishes 8101:8000"),
        ("soft", "postgres", {"read_only": False}, "postgres lacks a read-only root"),
        ("soft", "postgres", {"user": "root"}, "postgres lacks an ordinary user"),
        ("soft", "postgres", {"cap_drop": []}, "postgres lacks dropped capabilities"),
        ("soft", "postgres", {"image": "postgres:latest"}, "postgres lacks a pinned image"),
        ("soft", "postgres", {"cap_add": ["CHOWN"]}, "postgres lacks no privileges"),
        (
            "secrets_in_clear",
            "postgres",
            {"environment": {"POSTGRES_PASSWORD": "hunter2"}},
            "postgres sets POSTGRES_PASSWORD",
        ),
    ],
)
def test_what_is_unsound_is_found(rule: str, service: str, change: dict[str, Any], found: str) -> None:
    compose = copy.deepcopy(load())
    compose["services"][service].update(change)
    assert found in getattr(composition, rule)(compose)


def test_a_file_that_is_not_there_is_found(tmp_path: Path) -> None:
    assert "./deploy/compose/prometheus.yaml" in composition.missing_files(load(), tmp_path)
