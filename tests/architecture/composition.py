"""What is wrong with a Compose file, beyond what its schema says: found without an engine.

Each rule is a function from a parsed file to the sentences that say what is wrong.
"""

import re
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from importlib.util import find_spec
from pathlib import Path
from typing import Any

Compose = Mapping[str, Any]
LOOPBACK = "127.0.0.1:"
SECRET_NAME = re.compile(r"PASSWORD|PASSPHRASE|SECRET|TOKEN|DSN|_KEY$")
FILE_OF_A_SECRET = re.compile(r"^/(run|var)/\S+$")
PINNED = re.compile(r"^[^:]+:v?\d+\.\d+\S*$")
OURS = "relais:local"
MUTE = {"collector"}
"""Services whose image holds nothing that could ask after their health from within."""


def services(compose: Compose) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield every service by its name."""
    yield from compose["services"].items()


def one_shots(compose: Compose) -> set[str]:
    """Return the services that run once and end: those that another waits for until they have."""
    return {
        name
        for _, service in services(compose)
        for name, how in service.get("depends_on", {}).items()
        if how["condition"] == "service_completed_successfully"
    }


def dangling(compose: Compose) -> list[str]:
    """Return what is named and not there, and what is there and not named."""
    found = []
    for kind in ("networks", "volumes", "secrets", "configs"):
        declared = set(compose.get(kind, {}))
        used = {name for _, service in services(compose) for name in names(kind, service)}
        found += [f"{kind}: {name} is not declared" for name in used - declared]
        found += [f"{kind}: {name} is not used" for name in declared - used]
    known = dict(services(compose))
    for name, service in known.items():
        for other, how in service.get("depends_on", {}).items():
            if other not in known:
                found.append(f"{name} waits for {other}, which is not there")
            elif how["condition"] == "service_healthy" and "healthcheck" not in known[other]:
                found.append(f"{name} waits until {other} is healthy, which has no health check")
    return sorted(found + circles(compose))


def circles(compose: Compose) -> list[str]:
    """Return the services that wait for one another in a circle, so that none would ever start."""
    try:
        TopologicalSorter({name: service.get("depends_on", {}) for name, service in services(compose)}).prepare()
    except CycleError as circle:
        return [f"{' waits for '.join(circle.args[1])}"]
    return []


def unknown_programs(compose: Compose) -> list[str]:
    """Return every module that a container of ours starts and that is not there."""
    return [
        f"{name} starts {module}"
        for name, service in services(compose)
        if service["image"] == OURS
        for module in service["command"]
        if find_spec(module) is None
    ]


def names(kind: str, service: Mapping[str, Any]) -> set[str]:
    """Return the networks, named volumes, secrets or configs that a service names."""
    listed = service.get(kind, [])
    if kind != "volumes":
        return {item if isinstance(item, str) else item["source"] for item in listed}
    sources = [item.split(":")[0] if isinstance(item, str) else item.get("source", "") for item in listed]
    return {source for source in sources if source and not source.startswith((".", "/"))}


def missing_files(compose: Compose, root: Path) -> list[str]:
    """Return every file or folder that a service mounts or is built from and that is not in the repository."""
    wanted = [
        source
        for _, service in services(compose)
        for item in service.get("volumes", [])
        if (source := item.split(":")[0] if isinstance(item, str) else item.get("source", "")).startswith(".")
    ]
    for _, service in services(compose):
        build = service.get("build")
        wanted += [f"{build['context']}/{build['dockerfile']}"] if build else []
    return sorted({path for path in wanted if not (root / path).exists()})


def exposed(compose: Compose) -> list[str]:
    """Return every port that is published beyond the loopback interface."""
    return [
        f"{name} publishes {port}"
        for name, service in services(compose)
        for port in service.get("ports", [])
        if not str(port).startswith(LOOPBACK)
    ]


def soft(compose: Compose) -> list[str]:
    """Return what a service lacks that would hold whoever breaks into it."""
    ending = one_shots(compose)
    found = []
    for name, service in services(compose):
        user = str(service.get("user", "root")).split(":")[0]
        lacks = {
            "a read-only root": service.get("read_only") is True,
            "dropped capabilities": service.get("cap_drop") == ["ALL"],
            "no-new-privileges": "no-new-privileges:true" in service.get("security_opt", []),
            "an ordinary user": user not in {"root", "0"},
            "a health check": name in ending | MUTE or "healthcheck" in service,
            "a pinned image": service["image"] == OURS or PINNED.match(service["image"]),
            "no privileges": "privileged" not in service and "cap_add" not in service,
        }
        found += [f"{name} lacks {what}" for what, there in lacks.items() if not there]
    return found


def secrets_in_clear(compose: Compose) -> list[str]:
    """Return every variable that is named like a secret and is not the place of a file."""
    return [
        f"{name} sets {variable}"
        for name, service in services(compose)
        for variable, value in service.get("environment", {}).items()
        if SECRET_NAME.search(variable) and not FILE_OF_A_SECRET.match(str(value))
    ]
