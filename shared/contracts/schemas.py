"""The JSON Schemas (draft 2020-12) of the events between organisations, for whoever writes a partner system.

``python -m shared.contracts.schemas`` writes them to ``docs/protocol/schemas/``, one file for each type; a test
compares the files with the models. A schema cannot say everything: ``docs/protocol/events.md`` has the rules that
span fields.
"""

import json
from pathlib import Path
from typing import Any, Final

from shared.contracts.event import Event
from shared.contracts.exchange import EVENTS
from shared.contracts.receipt import ReceiptGiven

FOLDER: Final = Path(__file__).resolve().parents[2] / "docs" / "protocol" / "schemas"
DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def documents() -> dict[str, str]:
    """Return the text of each schema by its file's name."""
    models: tuple[type[Event], ...] = (*EVENTS.values(), ReceiptGiven)
    types = {model: str(model.model_fields["type"].default) for model in models}
    return {f"{name}.json": _text(model, name) for model, name in types.items()}


def write(folder: Path) -> None:
    """Write the schemas to ``folder``, and take away those of types that are no more."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = documents()
    for stale in {path.name for path in folder.glob("*.json")} - texts.keys():
        (folder / stale).unlink()
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")


def _text(model: type[Event], name: str) -> str:
    schema = _without_titles(model.model_json_schema())
    required = [*schema["required"], "type"]
    head = {"$schema": DIALECT, "$id": f"urn:relais:schema:{name}", "title": name}
    return json.dumps({**head, **schema, "required": required}, indent=2, ensure_ascii=False, sort_keys=False) + "\n"


def _without_titles(node: Any) -> Any:  # noqa: ANN401 - any part of a schema
    """Leave out the titles that pydantic makes of field names: they say nothing that the names do not."""
    if isinstance(node, list):
        return [_without_titles(part) for part in node]
    if not isinstance(node, dict):
        return node
    return {key: _without_titles(part) for key, part in node.items() if key != "title" or not isinstance(part, str)}


if __name__ == "__main__":
    write(FOLDER)
