"""`tidegate init` in an empty folder, by the wheel, in a virtual environment of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import uv

from tests.e2e.serving import PATIENCE_S, until
from tests.e2e.test_dev_command import DevCommand
from tidegate.manifest import HANDLERS

ROOT = Path(__file__).resolve().parents[2]
CDK = ROOT / "node_modules" / ".bin" / "cdk"
# The versions that are installed here anyway, so that nothing has to be fetched.
LOCK = ROOT / "requirements" / "test.txt"

# Nothing of the checkout, and no account.
ENVIRONMENT = {
    name: value
    for name, value in os.environ.items()
    if name not in ("PYTHONPATH", "VIRTUAL_ENV") and not name.startswith(("AWS_", "TIDEGATE_"))
}


@dataclass(frozen=True)
class Repository:
    """What the command wrote.

    Attributes:
        folder: the repository, with a `.venv` in it.
        printed: what the command said.
    """

    folder: Path
    printed: str

    @property
    def bin(self) -> Path:
        return self.folder / ".venv" / "bin"

    def run(self, *command: str | Path, **variables: str) -> str:
        """What a command prints that succeeds there."""
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=ENVIRONMENT | {"PATH": f"{self.bin}:{ENVIRONMENT['PATH']}"} | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout


def install(folder: Path, *packages: str) -> None:
    """Install packages into `.venv`: from what uv has kept, or else from the index."""
    command = [uv.find_uv_bin(), "pip", "install", "--quiet", "--python", ".venv/bin/python"]
    command += ["--constraints", str(LOCK), *packages]
    for offline in (["--offline"], []):
        done = subprocess.run(
            [*command, *offline], cwd=folder, env=ENVIRONMENT, capture_output=True, text=True
        )
        if done.returncode == 0:
            return
    pytest.fail(done.stderr)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    folder = tmp_path_factory.mktemp("repository") / "harbour-events"
    wheels = folder.parent / "dist"
    build = ["build", "--wheel", "--quiet", "--offline", "--no-build-isolation"]
    for arguments in (
        [*build, "--python", sys.executable, "--out-dir", str(wheels), str(ROOT)],
        ["venv", "--quiet", "--python", sys.executable, str(folder / ".venv")],
    ):
        subprocess.run([uv.find_uv_bin(), *arguments], env=ENVIRONMENT, check=True)
    [wheel] = wheels.glob("*.whl")
    install(folder, f"{wheel}[cli]")
    printed = subprocess.run(
        [folder / ".venv" / "bin" / "tidegate", "init"],
        cwd=folder,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    wheel.unlink()
    # As its Makefile does.
    install(folder, "--requirement", "requirements-dev.txt")
    return Repository(folder, printed)


def test_it_writes_what_it_says(repository: Repository) -> None:
    listed = {line.strip() for line in repository.printed.splitlines() if line.startswith("  ")}
    written = {
        path.relative_to(repository.folder).as_posix()
        for path in repository.folder.rglob("*")
        if path.is_file() and ".venv" not in path.parts
    }
    assert {
        ".github/workflows/ci.yml",
        ".gitignore",
        "Makefile",
        "README.md",
        "app.py",
        "cdk.json",
        "harbour_events/signup.py",
        "requirements.txt",
        "tests/test_signup.py",
        "wheels/tidegate-0.1.0-py3-none-any.whl",
    } <= listed & written


def test_only_the_wheel_is_there(repository: Repository) -> None:
    where = repository.run(
        repository.bin / "python",
        "-c",
        "import tidegate, tidegate_cdk; print(tidegate.__file__, tidegate_cdk.__file__)",
    )
    for file in where.split():
        assert repository.folder in Path(file).parents


def test_the_test_that_it_wrote_passes(repository: Repository) -> None:
    assert "2 passed" in repository.run(repository.bin / "pytest")


def test_the_test_that_it_wrote_finds_a_fault(repository: Repository) -> None:
    module = repository.folder / "harbour_events" / "signup.py"
    with (
        changed(module, '"ask", write', '"ask", max'),
        pytest.raises(AssertionError, match="1 failed, 1 passed"),
    ):
        repository.run(repository.bin / "pytest")


@contextmanager
def changed(file: Path, before: str, after: str) -> Iterator[None]:
    text = file.read_text()
    assert before in text
    file.write_text(text.replace(before, after))
    try:
        yield
    finally:
        file.write_text(text)


def test_its_dev_server_runs_the_function(repository: Repository) -> None:
    command = DevCommand(
        "harbour_events",
        folder=repository.folder,
        tidegate=repository.bin / "tidegate",
        environment=ENVIRONMENT,
    )
    try:
        assert "harbour_events-welcome  app/user.created" in command.introduction
        event = {"name": "app/user.created", "data": {"name": "Ada"}}
        sent = httpx.post(f"{command.url}/e/any-key", json=event, timeout=PATIENCE_S)
        assert sent.status_code == 200
        [event_id] = sent.json()["ids"]

        def completed() -> dict[str, object] | None:
            runs = httpx.get(f"{command.url}/v1/events/{event_id}/runs").json()["data"]
            return next((run for run in runs if run["status"] == "Completed"), None)

        assert until(completed)["output"] == "to Ada: how does it go?"
        assert command.terminate() == 0
    finally:
        command.process.kill()
        command.process.wait()


def test_its_stack_can_be_synthesised(repository: Repository) -> None:
    assert CDK.exists(), "the CDK's command line is not installed: run `npm ci`"
    placement = repository.folder / "placement.json"
    before = placement.read_bytes()
    repository.run(CDK, "synth", "--quiet", "--no-notices", "-c", "stage=production")
    assert placement.read_bytes() == before, "CI compares it"
    output = repository.folder / "cdk.out"
    template = json.loads((output / "Tidegate-production.template.json").read_text())
    lambdas = [
        resource["Properties"]
        for resource in template["Resources"].values()
        if resource["Type"] == "AWS::Lambda::Function"
    ]
    assert {one["Handler"] for one in lambdas} == {f"{one}.handler" for one in HANDLERS.values()}
    [asset] = output.glob("asset.*/")
    [function] = json.loads((asset / "manifest.json").read_text())["functions"]
    assert function["id"] == "harbour_events-welcome"
    for module in (function["module"], *HANDLERS.values()):
        assert (asset / f"{module.replace('.', '/')}.py").exists()
    assert (asset / "pydantic").exists()
    assert not (asset / "tidegate" / "commands").exists()


def test_a_setting_that_cannot_work_is_one_line(repository: Repository) -> None:
    with (
        changed(repository.folder / "app.py", "stage=stage", "stage=stage, retention_days=1"),
        pytest.raises(AssertionError) as caught,
    ):
        repository.run(".venv/bin/python", "app.py")
    [line] = str(caught.value).splitlines()[:1]
    assert line.startswith("tidegate: parameter retention_days (retention_days=1): ")
