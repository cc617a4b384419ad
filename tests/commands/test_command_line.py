"""The command line itself: options, variables, exit codes, errors, completion."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.commands.conftest import Commands
from tidegate.commands.completion import TIMEOUT_S

COMMAND = [sys.executable, "-c", "from tidegate.cli import main; main()"]
FUNCTIONS: list[dict[str, Any]] = [
    {
        "id": "shop-pay",
        "name": "pay",
        "triggers": [{"event": "shop/order"}, {"event": "shop/*"}],
        "config": {},
    },
    {"id": "shop-rest", "name": "rest", "triggers": [{"cron": "* * * * *"}], "config": {}},
    {"id": "mail", "name": "mail", "triggers": [{"event": "mail/a b"}, {"event": "shop/\x1b[2J"}]},
]


class Api:
    """A REST API that answers as it is told, and notes what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.answer: Callable[[str], tuple[int, Any]] = lambda path: (200, FUNCTIONS)
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                headers = {name.lower(): value for name, value in self.headers.items()}
                api.asked.append((self.path, headers))
                status, data = api.answer(self.path)
                content = {"data": data, "metadata": {}} if status == 200 else {"error": data}
                body = json.dumps(content).encode()
                self.send_response(status)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def api() -> Iterator[Api]:
    started = Api()
    yield started
    started.stop()


@pytest.fixture
def closed() -> str:
    """The URL of a port at which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{taken.getsockname()[1]}"


def test_options_go_before_or_after_the_command(offline: Commands, api: Api) -> None:
    options = ["--url", api.url, "--env", "feature/x", "--signing-key", "signkey-a-1", "--json"]
    before = offline(*options, "functions", "list")
    after = offline("functions", "list", *options)
    assert before.json == after.json == FUNCTIONS
    [first, second] = [headers for _, headers in api.asked]
    assert first == second
    assert first["authorization"] == "Bearer signkey-a-1"
    assert first["x-inngest-env"] == "feature/x"
    offline(*options, "functions", "--env", "other")
    assert api.asked[-1][1]["x-inngest-env"] == "other", "what is nearer wins"


@pytest.mark.parametrize("prefix", ["TIDEGATE", "INNGEST"])
@pytest.mark.parametrize("place", ["BASE_URL", "API_BASE_URL", "DEV"])
def test_variables_are_those_of_the_clients(
    offline: Commands, api: Api, monkeypatch: pytest.MonkeyPatch, prefix: str, place: str
) -> None:
    monkeypatch.setenv(f"{prefix}_{place}", api.url)
    monkeypatch.setenv(f"{prefix}_SIGNING_KEY", "old")
    monkeypatch.setenv(f"{prefix}_SIGNING_KEY_FALLBACK", "new")
    monkeypatch.setenv(f"{prefix}_ENV", "staging")
    keys = iter([(401, "no"), (200, [])])
    api.answer = lambda path: next(keys)
    assert offline("functions", "--json").json == []
    sent = [(headers["authorization"], headers["x-inngest-env"]) for _, headers in api.asked]
    assert sent == [("Bearer old", "staging"), ("Bearer new", "staging")]


@pytest.mark.parametrize(
    ("status", "code"),
    [(400, 2), (401, 4), (403, 4), (404, 3), (409, 1), (410, 1), (413, 1), (503, 5), (307, 5)],
)
def test_the_exit_code_tells_why(offline: Commands, api: Api, status: int, code: int) -> None:
    api.answer = lambda path: (status, "so \x1b[2J it\nis")
    ran = offline("--url", api.url, "functions")
    assert (ran.code, ran.out) == (code, "")
    assert ran.error.startswith(f"{api.url}: so \\x1b[2J it is (HTTP {status})")


def test_no_key_is_told_with_the_variable(offline: Commands, api: Api) -> None:
    api.answer = lambda path: (401, "Authentication failed")
    assert "check TIDEGATE_SIGNING_KEY" in offline("--url", api.url, "runs").error


def test_a_server_that_is_not_there_is_one_line(offline: Commands, closed: str) -> None:
    for arguments in (["runs"], ["send", "app/a"], ["runs", "cancel", "x"]):
        ran = offline("--url", closed, *arguments)
        assert (ran.code, ran.out) == (5, "")
        assert closed in ran.error
        assert "refused" in ran.error
        assert "start the dev server with `tidegate dev`" in ran.error


def test_what_is_no_tidegate_is_told_as_such(offline: Commands, api: Api) -> None:
    api.answer = lambda path: (404, None)
    ran = offline("--url", api.url, "functions")
    assert ran.code == 3
    assert "this is not Tidegate's REST API" in ran.error


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["runs", "nope"], "No such command 'nope'; see tidegate runs --help"),
        (["nope"], "No such command 'nope'; see tidegate --help"),
        (["runs", "--nope"], "No such option: --nope; see tidegate runs list --help"),
        (["runs", "show"], "Missing argument 'RUN'; see tidegate runs show --help"),
        (["runs", "--limit", "0"], "Invalid value for '--limit': "),
        (["runs", "show", ""], "'' is no id"),
        (["runs", "cancel"], "cancel takes the ids of runs, or --function; not both"),
        (["runs", "cancel", "x", "--from", "1h"], "--from, --until and --if go with --function"),
        (["runs", "replay", "f"], "--from is needed, such as --from 2h"),
        (["runs", "recover", "f"], "--from is needed: since when events may be lost, such as 2d"),
        (["runs", "--from", "soon"], "--from 'soon' is no moment"),
        (["--url", "localhost:8288", "runs"], "--url='localhost:8288' is no base URL"),
        (["--env", "ü", "runs"], "env='ü': it travels as a header"),
        (["functions", "invoke", "f", "--data", "{"], "--data is not valid JSON"),
    ],
)
def test_wrong_usage_is_one_line(offline: Commands, arguments: list[str], fault: str) -> None:
    ran = offline(*arguments)
    assert (ran.code, ran.out) == (2, "")
    assert ran.error.startswith(fault)


def test_help_is_there_for_every_command(offline: Commands) -> None:
    ran = offline("--help")
    assert ran.code == 0
    for command in ("dev", "send", "events", "runs", "functions", "jobs", "keys", "schemas"):
        assert f"\n  {command}  " in ran.out
        assert offline(command, "--help").code == 0
    for command in ("list", "show", "cancel", "rerun", "replay", "recover", "tail"):
        text = offline("runs", command, "--help").out
        assert "--url" in text
        assert "--json" in text
    bare = offline()
    assert (bare.code, bare.out) == (2, "")
    assert "Usage: tidegate" in bare.err


def completed(line: str, **variables: str) -> list[str]:
    """What a shell offers behind a line."""
    words = line.split(" ")
    process = subprocess.run(
        COMMAND,
        env={
            **os.environ,
            "_TIDEGATE_COMPLETE": "complete_bash",
            "COMP_WORDS": line,
            "COMP_CWORD": str(len(words) - 1),
            **variables,
        },
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert process.stderr == ""
    return process.stdout.split()


def test_ids_and_names_are_completed_from_the_server(api: Api) -> None:
    assert completed(f"tidegate --url {api.url} runs replay shop-") == ["shop-pay", "shop-rest"]
    assert completed("tidegate runs --function m", TIDEGATE_BASE_URL=api.url) == ["mail"]
    # Wildcards are no names; nor is offered what a shell would cut or obey.
    assert completed(f"tidegate send --url {api.url} ") == ["shop/order"]
    assert completed("tidegate runs --status C") == ["Completed", "Cancelled"]


def test_completion_offers_nothing_where_no_server_answers(closed: str) -> None:
    assert completed("tidegate runs replay shop-", TIDEGATE_BASE_URL=closed) == []
    assert completed("tidegate runs replay shop-", TIDEGATE_BASE_URL="nonsense") == []


def test_completion_does_not_wait_for_a_server_that_hangs() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        assert completed("tidegate send app/", TIDEGATE_BASE_URL=url) == []
    assert TIMEOUT_S < 1


def test_shells_get_a_script() -> None:
    script = completed("", _TIDEGATE_COMPLETE="source_bash")
    assert " ".join(script).endswith("complete -o default -F _tidegate_completion tidegate")


def test_a_reader_that_has_enough_ends_it_quietly(api: Api) -> None:
    many = [{**FUNCTIONS[0], "name": "x" * 1000}] * 1000
    api.answer = lambda path: (200, many)
    process = subprocess.Popen(
        [*COMMAND, "functions", "--url", api.url],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.read(10)
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(30) == 141


def test_a_terminal_without_unicode_is_no_reason_to_fail(api: Api) -> None:
    api.answer = lambda path: (200, [{**FUNCTIONS[0], "name": "bezahlen für 配送"}])
    process = subprocess.run(
        [*COMMAND, "functions", "--url", api.url],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (process.returncode, process.stderr) == (0, "")
    assert "bezahlen f\\xfcr \\u914d\\u9001" in process.stdout


def test_what_is_missing_is_told_without_a_traceback() -> None:
    code = "import sys; sys.modules['typer'] = None; from tidegate.cli import main; main()"
    process = subprocess.run(
        [sys.executable, "-c", code, "runs"], capture_output=True, text=True, timeout=60
    )
    assert process.returncode == 1
    assert process.stderr == "tidegate: the command line needs typer: pip install 'tidegate[cli]'\n"


def test_a_dev_server_that_is_not_installed_is_told_without_a_traceback() -> None:
    code = "import sys; sys.modules['moto'] = None; from tidegate.cli import main; main()"
    process = subprocess.run(
        [sys.executable, "-c", code, "dev", "."], capture_output=True, text=True, timeout=60
    )
    assert process.returncode == 2
    assert process.stderr == "tidegate: `dev` needs moto: pip install 'tidegate[dev]'\n"


def test_looking_up_loads_neither_the_dev_server_nor_aws() -> None:
    code = (
        "import sys; sys.argv = ['tidegate', 'runs', '--url', 'http://127.0.0.1:1', '--help']\n"
        "from tidegate.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print([m for m in ('moto', 'botocore', 'uvicorn', 'tidegate.local') if m in sys.modules])"
    )
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60
    )
    assert process.stdout.splitlines()[-1] == "[]"
