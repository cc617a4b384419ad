"""What is in the Lambdas' code, and that it can run there."""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tidegate.errors import ConfigurationError
from tidegate.manifest import HANDLERS, Manifest
from tidegate.settings import Settings

APPS = Path(__file__).parent / "apps"
ROOT = Path(__file__).resolve().parents[2]

# Unpacked; a cold start fetches it. Lambda's limit is 250 MB.
SIZE_LIMIT_MB = 25
# e_machine in an ELF header, https://man7.org/linux/man-pages/man5/elf.5.html
ELF_AARCH64 = 183
FROM_THE_RUNTIME = {"boto3", "botocore"}


def files(folder: Path) -> dict[str, Path]:
    return {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}


def digest(folder: Path) -> str:
    """Everything that an asset's hash can depend on: names, modes, bytes."""
    content = hashlib.sha256()
    for name, path in sorted(files(folder).items()):
        content.update(f"{name} {path.stat().st_mode:o}\n".encode())
        content.update(hashlib.sha256(path.read_bytes()).digest())
    return content.hexdigest()


# --- what is in it --------------------------------------------------------------------------------


def test_the_asset_holds_tidegate_the_handlers_and_the_app(asset: Path) -> None:
    names = files(asset)
    for module in HANDLERS.values():
        assert f"{module.replace('.', '/')}.py" in names
    assert {"tidegate/__init__.py", "tidegate/ingest.py"} <= set(names)
    assert "warehouse.py" in names


def test_the_asset_holds_the_rest_apis_description_but_not_what_makes_it(asset: Path) -> None:
    names = files(asset)
    served = ROOT / "tidegate" / "openapi.json"
    assert names["tidegate/openapi.json"].read_bytes() == served.read_bytes()
    assert not [name for name in names if name.startswith("tidegate/openapi") and "py" in name]


def test_the_asset_holds_the_dashboards_files(asset: Path) -> None:
    folder = Path("tidegate/dashboard/static")
    here = {name: path.read_bytes() for name, path in files(ROOT / folder).items()}
    assert {"index.html", "app.js", "style.css", "vendor/preact.js"} <= set(here)
    assert {name: path.read_bytes() for name, path in files(asset / folder).items()} == here


def test_what_a_developers_machine_runs_stays_there(asset: Path) -> None:
    names = files(asset)
    assert not [
        n for n in names if n.startswith(("tidegate/local/", "tidegate/testing/", "tidegate/cli."))
    ]
    assert not [
        n
        for n in names
        if n.startswith(("moto", "uvicorn", "aws_cdk", "tidegate_cdk", "tests", "bin/"))
    ]
    assert not [n for n in names if n.split("/")[0] in ("boto3", "botocore", "s3transfer")]


def test_nothing_differs_from_machine_to_machine(asset: Path) -> None:
    names = files(asset)
    assert not [n for n in names if n.endswith(".pyc") or "__pycache__" in n]
    assert not [n for n in names if n.endswith(("/RECORD", "/INSTALLER", "direct_url.json"))]
    assert not [n for n in names if n.startswith(".")]


def test_native_code_is_for_arm64(asset: Path) -> None:
    native = [path for path in files(asset).values() if path.read_bytes()[:4] == b"\x7fELF"]
    assert any(path.name.startswith("_pydantic_core.cpython-314-aarch64") for path in native)
    for path in native:
        assert int.from_bytes(path.read_bytes()[18:20], "little") == ELF_AARCH64, path


def test_the_size_stays_within_a_limit(asset: Path) -> None:
    size_mb = sum(path.stat().st_size for path in files(asset).values()) / 1e6
    print(f"{size_mb:.1f} MB unpacked")
    assert size_mb < SIZE_LIMIT_MB


def test_the_manifest_is_where_the_lambdas_look_for_it(asset: Path, manifest: Manifest) -> None:
    assert Manifest.read(asset / "manifest.json") == manifest


def test_the_versions_of_packages_can_be_asked_for(asset: Path) -> None:
    found = {
        distribution.metadata["Name"].replace("_", "-"): distribution.version
        for distribution in importlib.metadata.distributions(path=[str(asset)])
    }
    assert found["tidegate"] == importlib.metadata.version("tidegate")
    assert {"pydantic", "python-ulid", "httpx", "aws-lambda-powertools"} <= set(found)


# --- it can run there -----------------------------------------------------------------------------


def imported(tree: ast.AST) -> Iterator[str]:
    """The top-level packages that code imports when it runs, so not what only type checkers see."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            yield node.module.split(".")[0]
        else:
            yield from imported(node)


def test_whatever_is_imported_is_there(asset: Path) -> None:
    there = {path.name.removesuffix(".py") for path in asset.iterdir()}
    there |= FROM_THE_RUNTIME | sys.stdlib_module_names
    sources = [
        path
        for name, path in files(asset).items()
        if name.endswith(".py") and name.startswith(("tidegate/", "warehouse"))
    ]
    missing = {
        f"{path.relative_to(asset)}: {package}"
        for path in sources
        for package in imported(ast.parse(path.read_text()))
        if package not in there
    }
    assert len(sources) > 20
    assert not missing, "add it to the dependencies in pyproject.toml, then `make lock`"


@pytest.mark.parametrize("handler", HANDLERS)
def test_a_handler_starts_with_what_its_lambda_is_told(
    template: dict[str, Any], asset: Path, handler: str
) -> None:
    module = HANDLERS[handler]
    given = next(
        resource["Properties"]["Environment"]["Variables"]
        for resource in template["Resources"].values()
        if resource["Type"] == "AWS::Lambda::Function"
        and resource["Properties"]["Handler"] == f"{module}.handler"
    )
    told = {name: value if isinstance(value, str) else "resource" for name, value in given.items()}
    Settings.read(told)
    done = subprocess.run(
        [sys.executable, "-c", f"from {module} import handler; assert callable(handler)"],
        cwd=ROOT,
        env={
            **told,
            "TIDEGATE_MANIFEST": str(asset / "manifest.json"),
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "PATH": os.environ["PATH"],
            "PYTHONPATH": f"{ROOT}:{APPS}",
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


# --- how it is made -------------------------------------------------------------------------------


def test_the_same_app_gives_the_same_asset(
    manifest: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tidegate_cdk.lambda_code import bundle

    monkeypatch.syspath_prepend(str(APPS))
    first = bundle.__wrapped__(manifest, ("warehouse",))
    second = bundle.__wrapped__(manifest, ("warehouse",))
    assert first != second
    assert digest(first) == digest(second)
    other = bundle.__wrapped__(Manifest(functions=manifest.functions[:1]), ("warehouse",))
    assert digest(other) != digest(first)


def test_the_same_lock_installs_the_same_files(tmp_path: Path) -> None:
    from tidegate_cdk.dependencies import installed
    from tidegate_cdk.lambda_code import LOCK

    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
    first, second = (installed(LOCK, folder) for folder in folders)
    assert digest(first) == digest(second)


def test_dependencies_are_installed_once(tmp_path: Path) -> None:
    from tidegate_cdk.dependencies import installed
    from tidegate_cdk.lambda_code import LOCK

    first = installed(LOCK, tmp_path)
    (first / "marker").touch()
    assert installed(LOCK, tmp_path) == first
    assert (first / "marker").exists()
    assert list(tmp_path.iterdir()) == [first], "nothing is left behind"


def test_an_app_in_a_package_is_copied_whole(
    manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tidegate_cdk.lambda_code import bundle

    package = tmp_path / "depot" / "orders"
    package.mkdir(parents=True)
    for folder in (package.parent, package):
        (folder / "__init__.py").touch()
    (package / "receive.py").write_text("import depot.stock\n")
    (package.parent / "stock.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    function = replace(manifest.functions[0], module="depot.orders.receive")
    folder = bundle.__wrapped__(Manifest(functions=(function,)), ("depot.orders",))
    assert {"depot/stock.py", "depot/orders/receive.py"} <= set(files(folder))


def test_a_package_that_registers_nothing_comes_along_when_it_is_named(
    manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tidegate_cdk.lambda_code import bundle

    # Beside the app, where the CDK starts it: their names are also their folders.
    for package in ("depot_app", "depot_pricing"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").touch()
    (tmp_path / "depot_alone.py").touch()
    program = tmp_path / "depot_pricing" / "table.sh"
    program.touch(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    function = replace(manifest.functions[0], module="depot_app")
    modules = ("depot_app", "depot_pricing", "depot_alone.py")
    folder = bundle.__wrapped__(Manifest(functions=(function,)), modules)
    names = files(folder)
    assert {"depot_app/__init__.py", "depot_pricing/__init__.py", "depot_alone.py"} <= set(names)
    assert names["depot_pricing/table.sh"].stat().st_mode & 0o777 == 0o755, "it can be run"
    assert names["depot_pricing/__init__.py"].stat().st_mode & 0o777 == 0o644


def test_a_package_of_the_app_must_not_be_called_as_one_that_is_required(
    manifest: Manifest, requirements: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tidegate_cdk.lambda_code import bundle

    wheel(tmp_path / "wheels", "depot_scales", "1.2")
    with requirements.open("a") as file:
        file.write("depot_scales\n")
    (tmp_path / "depot_scales.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(
        ConfigurationError, match=r"depot_scales\.py: .* the name .*; rename yours, or"
    ):
        bundle.__wrapped__(manifest, ("depot_scales",), requirements)


def test_parts_of_a_package_that_lie_apart_are_put_together(
    manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tidegate_cdk.lambda_code import bundle

    for part in ("north", "south"):
        (tmp_path / part / "depots" / part).mkdir(parents=True)
        (tmp_path / part / "depots" / part / "__init__.py").touch()
        monkeypatch.syspath_prepend(str(tmp_path / part))
    folder = bundle.__wrapped__(manifest, ("depots.north", "depots.south"))
    assert {"depots/north/__init__.py", "depots/south/__init__.py"} <= set(files(folder))


def wheel(folder: Path, name: str, version: str, *requires: str) -> None:
    """A wheel with one module of that name, which says its version."""
    about = f"Metadata-Version: 2.4\nName: {name}\nVersion: {version}\n"
    about += "".join(f"Requires-Dist: {one}\n" for one in requires)
    notes = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        archive.writestr(f"{name}.py", f"VERSION = {version!r}\n")
        archive.writestr(f"{notes}/METADATA", about)
        archive.writestr(
            f"{notes}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{notes}/RECORD", "")


@pytest.fixture
def requirements(tmp_path: Path) -> Path:
    """An app's requirements, which are looked up in the folder `wheels` and nowhere else."""
    (tmp_path / "wheels").mkdir()
    file = tmp_path / "requirements.txt"
    file.write_text(f"--no-index\n--find-links {tmp_path / 'wheels'}\n")
    return file


def test_what_the_app_requires_is_in_the_asset_and_what_is_there_already_is_not(
    manifest: Manifest, requirements: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tidegate_cdk.lambda_code import bundle

    wheel(tmp_path / "wheels", "scales", "1.2", "weights>=2", "boto3")
    wheel(tmp_path / "wheels", "weights", "2.0")
    with requirements.open("a") as file:
        file.write("scales # what it weighs\ntidegate[dev]\nboto3>=99\n")
    monkeypatch.syspath_prepend(str(APPS))
    folder = bundle.__wrapped__(manifest, ("warehouse",), requirements)
    names = files(folder)
    assert names["scales.py"].read_text() == "VERSION = '1.2'\n"
    assert "weights.py" in names, "what it requires itself"
    assert {"pydantic/__init__.py", "warehouse.py"} <= set(names)
    assert not [name for name in names if name.startswith(("boto3", "moto/"))]


def test_an_app_gets_no_other_version_than_tidegate_has(requirements: Path, tmp_path: Path) -> None:
    from tidegate_cdk.dependencies import resolved
    from tidegate_cdk.lambda_code import LOCK

    wheel(tmp_path / "wheels", "pydantic", "1.10")
    with requirements.open("a") as file:
        file.write("pydantic<2\n")
    with (
        pytest.raises(ConfigurationError, match=r"requirements\.txt cannot .*(?s:.*)pydantic"),
        resolved(requirements, LOCK),
    ):
        pass


def test_a_package_that_nobody_has_is_named(requirements: Path) -> None:
    from tidegate_cdk.dependencies import resolved
    from tidegate_cdk.lambda_code import LOCK

    with requirements.open("a") as file:
        file.write("scales\n")
    with (
        pytest.raises(ConfigurationError, match=r"requirements\.txt cannot .*(?s:.*)scales"),
        resolved(requirements, LOCK),
    ):
        pass


@pytest.mark.usefixtures("requirements")
def test_requirements_may_be_a_projects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tidegate_cdk.dependencies import installed, resolved
    from tidegate_cdk.lambda_code import LOCK

    monkeypatch.setenv("UV_NO_INDEX", "1")
    monkeypatch.setenv("UV_FIND_LINKS", str(tmp_path / "wheels"))
    wheel(tmp_path / "wheels", "scales", "1.2")
    project = tmp_path / "pyproject.toml"
    project.write_text(
        "[project]\nname = 'p'\nversion = '1'\ndependencies = ['scales', 'tidegate']\n"
    )
    with resolved(project, LOCK) as locked:
        assert "scales.py" in files(installed(locked, tmp_path))


def test_requirements_may_list_nothing(requirements: Path, tmp_path: Path) -> None:
    from tidegate_cdk.dependencies import installed, resolved
    from tidegate_cdk.lambda_code import LOCK

    requirements.write_text("# nothing yet\n")
    with resolved(requirements, LOCK) as locked:
        assert files(installed(locked, tmp_path)) == {}


def test_a_wheel_that_is_not_the_locked_one_is_refused(tmp_path: Path) -> None:
    from tidegate_cdk.dependencies import installed

    requirements = tmp_path / "lambda.txt"
    requirements.write_text(f"typing-extensions==4.16.0 --hash=sha256:{'0' * 64}\n")
    with pytest.raises(ConfigurationError, match=r"lambda\.txt cannot be installed for aarch64"):
        installed(requirements, tmp_path)
    assert list(tmp_path.iterdir()) == [requirements]
