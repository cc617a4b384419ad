"""The wheels that the Lambdas need, installed into a folder for the Lambda platform by uv."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uv

from tidegate.errors import ConfigurationError

PYTHON_VERSION = "3.14"
PLATFORM = "aarch64-manylinux_2_28"

# What an app may list and does not bring along: it is in every asset, or in Lambda's runtime.
_THERE_ALREADY = ("tidegate", "boto3", "botocore", "s3transfer")

# Differs from machine to machine, or is of no use in a Lambda.
_INSTALLERS_NOTES = ("INSTALLER", "RECORD", "REQUESTED", "direct_url.json", "uv_cache.json")


def installed(requirements: Path, cache: Path) -> Path:
    """A folder with the wheels of a locked requirements file, installed for Lambda.

    Args:
        requirements: pinned, with hashes.
        cache: a folder that keeps the result for the next time.

    Raises:
        ConfigurationError: what the installer said.
    """
    inputs = requirements.read_bytes() + Path(__file__).read_bytes()
    target = cache / f"dependencies-{hashlib.sha256(inputs).hexdigest()[:16]}"
    if target.exists():
        return target
    with tempfile.TemporaryDirectory(dir=cache) as parent:
        fresh = Path(parent) / "installed"
        _install(requirements, fresh)
        _strip(fresh)
        # Two at once install the same files; the second rename fails and loses nothing.
        try:
            fresh.rename(target)
        except OSError:
            if not target.exists():
                raise
    return target


@contextmanager
def resolved(requirements: Path, lock: Path) -> Iterator[Path]:
    """A locked file of all that an app's own requirements come to on Lambda, while it is entered.

    Args:
        requirements: as a person writes them: a requirements file, or a pyproject.toml.
        lock: Tidegate's own dependencies; what both need has the version that is there.

    Raises:
        ConfigurationError: what the resolver said.
    """
    with tempfile.TemporaryDirectory() as folder:
        excluded = Path(folder, "excluded.txt")
        excluded.write_text("\n".join(_THERE_ALREADY))
        found = Path(folder, requirements.name).with_suffix(".txt")
        arguments = ["compile", str(requirements), "--output-file", str(found)]
        arguments += ["--constraints", str(lock), "--excludes", str(excluded)]
        arguments += ["--generate-hashes", "--emit-index-url", "--emit-find-links"]
        _uv_pip(arguments, requirements)
        yield found


def _install(requirements: Path, folder: Path) -> None:
    arguments = ["install", "--target", str(folder), "--requirement", str(requirements)]
    # The file is a complete lock but for the boto3 family, so nothing is left to resolve.
    _uv_pip([*arguments, "--require-hashes", "--no-deps"], requirements)


def _uv_pip(arguments: list[str], requirements: Path) -> None:
    """Have uv work on a requirements file for the Lambda platform."""
    command = [uv.find_uv_bin(), "pip", *arguments, "--quiet", "--python", sys.executable]
    command += ["--python-platform", PLATFORM, "--python-version", PYTHON_VERSION]
    command += ["--only-binary", ":all:"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode != 0:
        raise ConfigurationError(
            f"{requirements.name} cannot be installed for {PLATFORM}, Python {PYTHON_VERSION}:\n"
            f"{done.stderr.strip()}"
        )


def _strip(folder: Path) -> None:
    shutil.rmtree(folder / "bin", ignore_errors=True)
    (folder / ".lock").unlink(missing_ok=True)
    for metadata in folder.glob("*.dist-info"):
        for name in _INSTALLERS_NOTES:
            (metadata / name).unlink(missing_ok=True)
