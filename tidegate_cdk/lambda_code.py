"""The code of all Lambdas, in one folder, put together without Docker.

In it: `tidegate/`, as it is installed here, without what only a developer's machine runs; the
packages that the app's functions are in; `manifest.json`; Tidegate's own dependencies, locked in
`lambda.txt`, and those of the app, as wheels for the Lambda platform. The same inputs give the same
files, byte by byte, so an unchanged app is not uploaded again.

boto3 and what it needs stay out: the runtime has them. They would be more than all the rest
together, to be fetched at each cold start, and the few calls that Tidegate makes are years older
than any boto3 of the runtime. What is given up is that their version is pinned. jmespath stays in,
since powertools declares that it needs it.
"""

from __future__ import annotations

import atexit
import functools
import importlib.metadata
import importlib.util
import shutil
import tempfile
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

from aws_cdk import aws_lambda as lambda_

import tidegate
from tidegate import registry
from tidegate.errors import ConfigurationError
from tidegate.manifest import Manifest
from tidegate_cdk.config import Config
from tidegate_cdk.dependencies import installed, resolved

RUNTIME = lambda_.Runtime.PYTHON_3_14
LOCK = Path(__file__).with_name("lambda.txt")
# In the folder of the app, where the CDK starts it.
BUILD = Path(".build", "lambda")

MANIFEST = "manifest.json"
# Where Lambda unpacks the asset.
MANIFEST_PATH = f"/var/task/{MANIFEST}"

_TIDEGATE = Path(tidegate.__file__).parent
# Where installers put packages: one of these is in the Lambdas' code because it is required.
_INSTALLED = ("site-packages", "dist-packages")
_DEVELOPMENT_ONLY = (
    "local",
    "testing",
    "commands",
    "cli.py",
    "*_cli.py",
    "openapi.py",
    "openapi_examples.py",
)


def lambda_code(manifest: Manifest, config: Config) -> lambda_.Code:
    """The asset that all Lambdas of a stage share.

    Args:
        manifest: becomes `manifest.json`.
        config: the choices for the stage, with what the code consists of.

    Raises:
        ConfigurationError: the dependencies cannot be installed.
    """
    requirements = Path(config.requirements)
    if requirements.exists():
        return lambda_.Code.from_asset(str(bundle(manifest, config.functions, requirements)))
    if config.requirements != Config.requirements:
        raise ConfigurationError(f"requirements={config.requirements}: no such file")
    return lambda_.Code.from_asset(str(bundle(manifest, config.functions)))


@functools.cache
def bundle(manifest: Manifest, modules: tuple[str, ...], requirements: Path | None = None) -> Path:
    """The folder with the Lambdas' code; it lives as long as this process.

    Args:
        manifest: becomes `manifest.json`.
        modules: what registers the functions; their top-level packages go into the folder.
        requirements: lists what these import besides Tidegate.

    Raises:
        ConfigurationError: as `lambda_code`.
    """
    build = BUILD.resolve()
    build.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="asset-", dir=build))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    shutil.copytree(installed(LOCK, build), folder, dirs_exist_ok=True)
    if requirements is not None:
        with resolved(requirements, LOCK) as own:
            shutil.copytree(installed(own, build), folder, dirs_exist_ok=True)
    for source in _sources(manifest, modules):
        is_there = (folder / source.name).exists()
        if is_there and source.parent.name in _INSTALLED:
            continue
        if is_there and not _is_namespace(source):
            raise ConfigurationError(
                f"{source}: a package that the Lambdas need has the name {source.name!r}, too, and "
                "would be imported instead; rename yours, or take that one out of the requirements"
            )
        _copy(source, folder)
    _write_version(folder)
    manifest.write(folder / MANIFEST)
    _make_readable(folder)
    return folder


def _sources(manifest: Manifest, modules: tuple[str, ...]) -> Iterator[Path]:
    """The top-level packages and modules to copy: Tidegate's and those of the app."""
    yield _TIDEGATE
    named = [module.__name__ for module in registry.load(modules)]
    registering = [function.module for function in manifest.functions]
    for name in sorted({module.partition(".")[0] for module in (*named, *registering)}):
        spec = importlib.util.find_spec(name)
        if spec is None:
            raise ConfigurationError(f"module {name!r} of a function cannot be found")
        for folder in spec.submodule_search_locations or ():
            yield Path(folder)
        if not spec.submodule_search_locations and spec.origin:
            yield Path(spec.origin)


def _copy(source: Path, folder: Path) -> None:
    if source.is_file():
        shutil.copyfile(source, folder / source.name)
        return
    own = _DEVELOPMENT_ONLY if source == _TIDEGATE else ()

    def ignored(directory: str, names: list[str]) -> set[str]:
        here = own if Path(directory) == source else ()
        return {
            name
            for name in names
            if name.startswith((".", "__pycache__")) or any(fnmatch(name, own) for own in here)
        }

    shutil.copytree(source, folder / source.name, ignore=ignored, dirs_exist_ok=True)


def _is_namespace(source: Path) -> bool:
    """Whether it is a part of a package that may have others elsewhere."""
    return source.is_dir() and not (source / "__init__.py").exists()


def _write_version(folder: Path) -> None:
    """Let `importlib.metadata` find Tidegate's version in the Lambda too."""
    version = importlib.metadata.version("tidegate")
    metadata = folder / f"tidegate-{version}.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(
        f"Metadata-Version: 2.4\nName: tidegate\nVersion: {version}\n"
    )


def _make_readable(folder: Path) -> None:
    """Modes go into the asset: let none depend on this machine's umask, and Lambda read all."""
    for path in (folder, *folder.rglob("*")):
        is_program = path.is_file() and path.stat().st_mode & 0o100
        path.chmod(0o755 if path.is_dir() or is_program else 0o644)
