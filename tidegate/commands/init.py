"""`tidegate init`: a repository for functions, ready to be tested, served and deployed."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import keyword
import re
import shutil
import sys
from pathlib import Path
from typing import Annotated
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

import typer

from tidegate.errors import ConfigurationError

# What it writes. Dots at the beginning of names are spelled out, so that nothing here is hidden
# from what packs the wheel.
TEMPLATE = Path(__file__).with_name("repository")
TEMPLATE_NAME = "my_app"
# https://www.npmjs.com/package/aws-cdk: the command line of the CDK.
CDK_VERSION = "2.1148.1"
WHEELS = "wheels"

_EXTRAS = "deploy,dev"
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
# Beside the package in the repository, or of a package that it imports.
_TAKEN = {"app", "tests", "tidegate", "tidegate_cdk"}


def init(
    folder: Annotated[
        Path, typer.Argument(metavar="[FOLDER]", help="Where to; it is made if it is not there.")
    ] = Path(),
    name: Annotated[
        str | None,
        typer.Option(help="What the package of the functions is called; else as the folder."),
    ] = None,
) -> None:
    """Write a repository for functions: an app to deploy, a function, a test, and a CI file."""
    package = _checked(name, "--name") if name is not None else _name_of(folder)
    requirement, wheel = _requirement()
    files = _files(package, requirement)
    _refuse_to_overwrite(folder, [*files, *([Path(WHEELS, wheel.name)] if wheel else [])])
    try:
        for path, text in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text, encoding="utf-8")
        if wheel is not None:
            (folder / WHEELS).mkdir(exist_ok=True)
            shutil.copyfile(wheel, folder / WHEELS / wheel.name)
    except OSError as error:
        raise ConfigurationError(f"{error.filename}: {error.strerror}") from None
    print(_next_steps(folder, files, requirement, wheel))


def _name_of(folder: Path) -> str:
    """The package's name, after the folder."""
    called = folder.resolve().name
    return _checked(
        re.sub(r"[-. ]+", "_", called.lower()), f"the folder {called!r} gives no name, use --name"
    )


def _checked(name: str, what: str) -> str:
    """A name that a package of functions can have.

    Raises:
        ConfigurationError: it cannot be imported, or something else is imported by that name.
    """
    if not _NAME.fullmatch(name) or keyword.iskeyword(name):
        raise ConfigurationError(
            f"{what}: {name!r} cannot be imported; a package's name has lower-case letters, digits "
            "and '_', begins with a letter, and is no word of Python's own"
        )
    if name in _TAKEN or name in sys.stdlib_module_names or _is_installed(name):
        raise ConfigurationError(f"{what}: another package is called {name!r} already")
    return name


def _is_installed(name: str) -> bool:
    return name in importlib.metadata.packages_distributions()


def _requirement() -> tuple[str, Path | None]:
    """The line that requires Tidegate as it is installed here, and the wheel to come along.

    An index that has this version is enough. A wheel that was installed from a file is nowhere
    else, perhaps, so it becomes a part of the repository. Where a package comes from is said by
    https://packaging.python.org/en/latest/specifications/direct-url/.
    """
    installed = importlib.metadata.distribution("tidegate")
    origin = json.loads(installed.read_text("direct_url.json") or "{}")
    url = str(origin.get("url", ""))
    if "archive_info" in origin and url.startswith("file:"):
        wheel = Path(url2pathname(unquote(urlsplit(url).path)))
        if wheel.suffix == ".whl" and wheel.is_file():
            return f"./{WHEELS}/{wheel.name}[{_EXTRAS}]", wheel
    if "archive_info" in origin and url.startswith("https:"):
        return f"tidegate[{_EXTRAS}] @ {url}", None
    return f"tidegate[{_EXTRAS}]=={installed.version}", None


def _files(package: str, requirement: str) -> dict[Path, str]:
    """What is written, by path in the repository."""
    found = {}
    for source in sorted(TEMPLATE.rglob("*")):
        if source.is_dir() or "__pycache__" in source.parts:
            continue
        path = source.relative_to(TEMPLATE).as_posix()
        path = re.sub(r"(^|/)dot-", r"\1.", path).replace(TEMPLATE_NAME, package)
        text = source.read_text(encoding="utf-8").replace(TEMPLATE_NAME, package)
        text = text.replace("@TIDEGATE@", requirement).replace("@CDK_VERSION@", CDK_VERSION)
        found[Path(path)] = text
    return found


def _refuse_to_overwrite(folder: Path, paths: list[Path]) -> None:
    there = sorted(path.as_posix() for path in paths if (folder / path).exists())
    if there:
        raise ConfigurationError(
            f"{folder}: {', '.join(there)} {'is' if len(there) == 1 else 'are'} there already; "
            "nothing was written"
        )


def _next_steps(folder: Path, files: dict[Path, str], requirement: str, wheel: Path | None) -> str:
    lines = [f"Wrote into {folder.resolve()}", ""]
    lines += [f"  {path.as_posix()}" for path in sorted(files)]
    if wheel is not None:
        lines += [f"  {WHEELS}/{wheel.name}"]
    lines += ["", "Next"]
    if folder.resolve() != Path.cwd():
        lines += [f"  cd {folder}"]
    lines += [
        "  make test     runs the test",
        "  make dev      serves the function on http://localhost:8288",
        "  make deploy   deploys it; README.md says what that takes",
    ]
    if "==" in requirement:
        lines += ["", f"requirements-dev.txt asks your package index for {requirement}."]
    return "\n".join(lines)
