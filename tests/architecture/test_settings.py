"""Every setting is read, and docs/operate/settings.md gives its default and bounds; no document names any other."""

import ast
import re
from collections.abc import Iterable, Mapping
from importlib import import_module
from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from shared.contracts.services import Service
from shared.settings import NodeSettings
from tests.architecture.tree import REPOSITORY, files, sources, write

PAGE = REPOSITORY / "docs" / "operate" / "settings.md"
ROW = re.compile(r"^\| `(RELAIS_[A-Z_]+)` \|([^|]*)\|[^|]*\|$", re.MULTILINE)
DEFAULT = re.compile(r"`([^`]+)`(?:, (.+))?")
NOTHING = {"none", "nowhere"}
LIMITS = ("gt", "ge", "lt", "le")
UNIT = re.compile(r"_(SECONDS|A_SECOND|A_MINUTE|PORT|RATIO|CONNECTIONS)$")
VARIABLE = re.compile(r"\bRELAIS_[A-Z][A-Z_]*[A-Z]\b")


def fields() -> dict[str, FieldInfo]:
    """Return the variables that the services read."""
    for service in Service:
        import_module(f"services.{service}.settings")
    kinds: list[type[NodeSettings]] = [NodeSettings, *NodeSettings.__subclasses__()]
    return {f"RELAIS_{name.upper()}": field for kind in kinds for name, field in kind.model_fields.items()}


def wrong_rows(page: str, known: Mapping[str, FieldInfo]) -> list[str]:
    """Return every variable whose default or bounds the page gives otherwise than the settings."""
    given = {name: cell.strip() for name, cell in ROW.findall(page)}
    return [name for name, field in known.items() if not _is_right(given.get(name, ""), field)]


def _is_right(cell: str, field: FieldInfo) -> bool:
    if field.is_required():
        return not cell
    if field.default is None:
        return cell in NOTHING
    written = DEFAULT.fullmatch(cell)
    return written is not None and _is_default(written[1], field) and (written[2] or "") == bounds(field)


def _is_default(text: str, field: FieldInfo) -> bool:
    reader: TypeAdapter[object] = TypeAdapter(field.annotation or object)
    try:
        read = reader.validate_json(text) if text.startswith("[") else reader.validate_python(text)
    except ValidationError:
        return False
    return bool(read == field.default)


def bounds(field: FieldInfo) -> str:
    """Return between which numbers a setting lies, as the page says it; empty where it is no number."""
    limits = [(name, getattr(each, name)) for each in field.metadata for name in LIMITS if hasattr(each, name)]
    match sorted(limits):
        case []:
            return ""
        case [("gt", least)]:
            return f"more than {least:g}"
        case [("ge", least)]:
            return f"{least:g} or more"
        case [("ge", least), ("le", most)]:
            return f"{least:g} to {most:g}"
        case others:
            pytest.fail(f"say here how the page gives such bounds: {others}")


def without_unit(known: Mapping[str, FieldInfo]) -> list[str]:
    """Return every number whose name does not end with what it counts: there the page and the code say its unit."""
    return [name for name, field in known.items() if field.annotation in {int, float} and not UNIT.search(name)]


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


def unread(root: Path, known: Iterable[str]) -> list[str]:
    """Return every variable whose setting nobody asks for: as ``settings.…``, or as ``self.…`` beside the settings."""
    read = {
        f"RELAIS_{node.attr.upper()}"
        for name, tree in sources(root, "services/", "shared/")
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
        if node.value.id == ("self" if name.endswith("/settings.py") else "settings")
    }
    return sorted(set(known) - read)


def test_every_setting_is_documented() -> None:
    undocumented = fields().keys() - set(VARIABLE.findall(PAGE.read_text(encoding="utf-8")))
    assert not undocumented, "docs/operate/settings.md lacks their lines"


def test_every_setting_is_read() -> None:
    assert unread(REPOSITORY, fields()) == [], "services/ and shared/ ask for them nowhere"


def test_a_setting_that_nobody_reads_is_found(tmp_path: Path) -> None:
    write(tmp_path, "services/intake/settings.py", "class A:\n    def b(self): return self.folder\n")
    write(tmp_path, "services/intake/app.py", "def create_app(settings, port): return settings.host, port.forms\n")
    known = [f"RELAIS_{name}" for name in ("FOLDER", "HOST", "FORMS", "PORT")]
    assert unread(tmp_path, known) == ["RELAIS_FORMS", "RELAIS_PORT"]


def test_every_default_on_the_page_is_the_default_with_its_bounds() -> None:
    wrong = wrong_rows(PAGE.read_text(encoding="utf-8"), fields())
    assert not wrong, "docs/operate/settings.md gives another default or other bounds, or another than none"


@pytest.mark.parametrize("cell", ["`8002`, 0 to 65535", "", "`[]`", "`8001`", "`8001`, 1 to 65535", "none", "8001"])
def test_a_wrong_row_is_found(cell: str) -> None:
    names = ("RELAIS_FOLDER", "RELAIS_OTLP_ENDPOINT", "RELAIS_INTAKE_PORT")
    known = {name: fields()[name] for name in names}
    page = f"| `RELAIS_INTAKE_PORT` | {cell} | |\n| `RELAIS_FOLDER` | `/` | |\n| `RELAIS_OTLP_ENDPOINT` | `here` | |\n"
    assert wrong_rows(page, known) == list(names)


def test_the_name_of_every_number_says_what_it_counts() -> None:
    assert without_unit(fields()) == []
    assert without_unit({"RELAIS_PAUSE": FieldInfo(annotation=int)}) == ["RELAIS_PAUSE"]


def test_no_document_names_a_setting_that_is_not_there() -> None:
    assert strangers(REPOSITORY, fields().keys() | in_code()) == []


@pytest.mark.parametrize("name", ["docs/operate/settings.md", "docker-compose.yml"])
def test_a_setting_that_is_not_there_is_found(name: str, tmp_path: Path) -> None:
    write(tmp_path, name, "Set `RELAIS_NO_SUCH_THING` and RELAIS_ORGANISATION.\n")
    assert strangers(tmp_path, {"RELAIS_ORGANISATION"}) == [f"{name}: RELAIS_NO_SUCH_THING"]
