"""The command line: `tidegate dev` serves functions; docs/command-line.md has all commands."""

from __future__ import annotations

import json
import os
import shlex
import signal
import sys
from threading import Event
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

try:
    import typer
except ModuleNotFoundError as missing:
    sys.exit(f"tidegate: the command line needs {missing.name}: pip install 'tidegate[cli]'")

from tidegate.clock import SystemClock
from tidegate.commands.connection import Surroundings, takes_options
from tidegate.commands.dead_letters import dead_letters
from tidegate.commands.doctor import doctor
from tidegate.commands.ending import run_to_the_end
from tidegate.commands.events import events
from tidegate.commands.functions import functions
from tidegate.commands.init import init
from tidegate.commands.jobs import jobs
from tidegate.commands.runs import runs
from tidegate.commands.send import send
from tidegate.event import RESERVED_PREFIX
from tidegate.keys_cli import envs, keys
from tidegate.schemas_cli import schemas

if TYPE_CHECKING:
    from tidegate.local.server import DevServer

app = typer.Typer(
    name="tidegate",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    callback=takes_options("Send an event, durable functions run, in your own AWS account."),
)
app.command()(send)
app.command()(doctor)
app.command()(init)
for group in (events, runs, functions, jobs, dead_letters, keys, envs, schemas):
    app.add_typer(group)


@app.command()
def dev(
    targets: Annotated[
        list[str],
        typer.Argument(
            metavar="MODULE_OR_PATH...", help="What registers functions: modules, files or folders."
        ),
    ],
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Where to listen; 0 takes a free port.")
    ] = 8288,
    reload: Annotated[bool, typer.Option(help="Load saved files again.")] = True,
    keep: Annotated[
        int, typer.Option(min=1, help="How many events to keep once all that they started is over.")
    ] = 10_000,
) -> None:
    """Serve functions on this machine, with production's handlers over an AWS held in memory."""
    # Only here, so that --help and other commands need not wait for it.
    from tidegate.errors import TidegateError

    try:
        from tidegate.local.console import Console
        from tidegate.local.server import DevServer
    except ModuleNotFoundError as missing:
        _exit(f"tidegate: `dev` needs {missing.name}: pip install 'tidegate[dev]'", 2)

    if os.getcwd() not in sys.path:
        # As `python -m` does; a console script's path begins with its own folder.
        sys.path.insert(0, os.getcwd())
    server = DevServer(targets, port=port, watch=reload, console=Console(), keep=keep)
    stopped = _stop_on_signals()
    try:
        server.start()
    except TidegateError as error:
        _exit(f"tidegate: {error}", 1)
    print(_introduction(server), flush=True)
    stopped.wait()
    server.stop()
    _exit("", 0)


def _stop_on_signals() -> Event:
    """What is set when the process is asked to stop."""
    stopped = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    return stopped


def _introduction(server: DevServer) -> str:
    """Where to send, what listens, and a first event to send."""
    names = [function.id for function in server.functions]
    width = max(map(len, names))
    url = server.url.replace("127.0.0.1", "localhost")
    lines = [f"Tidegate dev server  {url}", "", "Functions"]
    for function in server.functions:
        starts = [t.event for t in function.triggers] + [t.cron for t in function.crons]
        lines.append(f"  {function.id:<{width}}  {', '.join(starts) or 'when invoked'}")
    name = _example_name(server)
    event = json.dumps({"name": name, "data": _example_data(server, name)})
    lines += [
        "",
        f"Send events to {url}/e/<any key>, for example",
        f"  curl {url}/e/dev -d {shlex.quote(event)}",
        "",
    ]
    return "\n".join(lines)


def _example_name(server: DevServer) -> str:
    """The name of an event that starts one of the functions."""
    triggers = [trigger for function in server.functions for trigger in function.triggers]
    exact = [trigger.event for trigger in triggers if trigger.prefix is None]
    # Those that only the platform may send are of no use here.
    prefixes = [f"{trigger.prefix}example" for trigger in triggers if trigger.prefix is not None]
    names = [name for name in exact + prefixes if not name.lower().startswith(RESERVED_PREFIX)]
    return names[0] if names else "app/example"


def _example_data(server: DevServer, name: str) -> Any:
    """The first example of the event's declaration, as JSON Schema has it; or nothing."""
    for function in server.functions:
        for trigger in function.triggers:
            declared = trigger.model if trigger.event == name else None
            extra = declared.model_config.get("json_schema_extra") if declared else None
            examples = extra.get("examples") if isinstance(extra, dict) else None
            if isinstance(examples, list) and examples:
                return examples[0]
    return {}


def _exit(message: str, code: int) -> NoReturn:
    """End the process now, even if a function is still running, or stands at a breakpoint."""
    if message:
        print(message, file=sys.stderr)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def main() -> None:
    """The entry point of the `tidegate` command."""
    sys.exit(run_to_the_end(app, sys.argv[1:], Surroundings(SystemClock())))
