"""`tidegate schemas`: the JSON Schema of every event that is declared as a class."""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from tidegate.event_model import EventModel

INDEX = "index.json"
_DIALECT = "https://json-schema.org/draft/2020-12/schema"
# Names of which each has a file name of its own when "/" is written "__", also where the file
# system takes "A" for "a".
_PLAIN = re.compile(r"(?!index\Z)(?!.*(__|_/|/_))[a-z0-9][a-z0-9._/-]{0,99}")

schemas = typer.Typer()


@schemas.command(name="schemas")
def write_schemas(
    targets: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[MODULE_OR_PATH]...",
            help="What declares events: modules, files or folders; else those that cdk.json names.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="The folder to write into: a file per event, and an index.")
    ] = None,
) -> None:
    """Write the JSON Schema of every event that is declared as a class."""
    # Only here, so that --help and other commands need not wait for it.
    from tidegate import registry
    from tidegate.errors import ConfigurationError
    from tidegate.event_model import declared
    from tidegate.local.app_modules import one_line

    if os.getcwd() not in sys.path:
        # As `python -m` does; a console script's path begins with its own folder.
        sys.path.insert(0, os.getcwd())
    try:
        targets = targets or _deployed()
        registry.load(targets)
        found = {str(model.__event_name__): (model, schema_of(model)) for model in declared()}
        if not found:
            raise ConfigurationError(
                f"{', '.join(targets)}: no event is declared there; "
                "write class MyEvent(EventModel, name='…')"
            )
        if out is None:
            print(_text({name: schema for name, (_, schema) in found.items()}), end="")
        else:
            _write(out, found)
    except (Exception, SystemExit) as error:
        print(f"tidegate: {one_line(error)}", file=sys.stderr)
        raise typer.Exit(1) from None


def schema_of(model: type[EventModel]) -> dict[str, Any]:
    """The JSON Schema of an event's data, as its senders must write it.

    Args:
        model: the class that declares the event.

    Raises:
        ConfigurationError: a field has a type that JSON Schema cannot describe.
    """
    from pydantic.errors import PydanticInvalidForJsonSchema

    from tidegate.errors import ConfigurationError

    try:
        schema = model.model_json_schema(by_alias=True, mode="validation")
    except PydanticInvalidForJsonSchema as error:
        raise ConfigurationError(f"{model.__source__}: class {model.__name__}: {error}") from error
    return {"$schema": _DIALECT, "x-event-name": model.__event_name__, **schema}


def file_name(event_name: str) -> str:
    """The name of an event's file: the same on every file system, and another for every event."""
    if _PLAIN.fullmatch(event_name):
        return f"{event_name.replace('/', '__')}.json"
    readable = re.sub(r"[^a-z0-9.-]+", "_", event_name.lower())[:80].lstrip(".")
    return f"{readable}~{hashlib.sha256(event_name.encode()).hexdigest()[:12]}.json"


def _write(out: Path, found: dict[str, tuple[type[EventModel], dict[str, Any]]]) -> None:
    out.mkdir(parents=True, exist_ok=True)
    index = {
        name: {"file": file_name(name), "class": f"{model.__module__}.{model.__qualname__}"}
        for name, (model, _) in found.items()
    }
    for name in _files_of_index(out) - {entry["file"] for entry in index.values()}:
        (out / name).unlink(missing_ok=True)
    for name, (_, schema) in found.items():
        (out / file_name(name)).write_text(_text(schema), encoding="utf-8")
    (out / INDEX).write_text(_text({"events": index}), encoding="utf-8")


def _files_of_index(out: Path) -> set[str]:
    """The files that were written before, as far as they are events' files in that folder."""
    try:
        events = json.loads((out / INDEX).read_text(encoding="utf-8"))["events"]
        files = {name: entry["file"] for name, entry in events.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return set()
    return {file for name, file in files.items() if file == file_name(name)}


def _text(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _deployed() -> list[str]:
    """The modules that the context of `cdk.json` in this folder names as functions."""
    from tidegate.errors import ConfigurationError

    try:
        names = json.loads(Path("cdk.json").read_text(encoding="utf-8"))["context"]["functions"]
        return [name.strip() for name in names.split(",")]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ConfigurationError(
            "name the modules, files or folders that declare events; "
            "cdk.json in this folder tells of none"
        ) from None
