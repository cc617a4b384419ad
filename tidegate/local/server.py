"""The dev server: everything of a stage in one process, with production's handlers."""

from __future__ import annotations

import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack

import uvicorn

from tidegate.clock import Clock, SystemClock
from tidegate.errors import ConfigurationError
from tidegate.function import Function
from tidegate.local.app_modules import AppModules, LoadError
from tidegate.local.cloud import BUCKET, Cloud
from tidegate.local.environment import environment
from tidegate.local.event_source import EventSourceMapping
from tidegate.local.history import KEPT_EVENTS, History
from tidegate.local.http_front import HttpFront
from tidegate.local.lambda_function import LambdaFunction
from tidegate.local.reload import Watcher
from tidegate.local.schedules import ScheduleClock
from tidegate.local.wiring import PREFIX, FunctionWiring, MatcherWiring
from tidegate.manifest import HANDLERS, ROUTES, Manifest

logger = logging.getLogger("tidegate.local")

HOST = "127.0.0.1"
DEFAULT_PORT = 8288

_STOP_S = 1.0
_MOMENT_S = 0.1
_MATCHER = "matcher"
# A thread that waits for the interpreter gets it after this time; by default after 5 ms, which is
# much of the way of an event here, where all Lambdas share one interpreter.
_SWITCH_INTERVAL_S = 0.001


class DevServer:
    """Serves the functions of some modules on this machine; nothing leaves it.

    Only one can run in a process at a time, since it takes over the process's boto3 calls.

    Args:
        targets: dotted names of modules, or paths of files or folders.
        port: where to listen, on the loopback interface; 0 takes a free port.
        watch: whether saved files are loaded again.
        console: what is told of each event and run; nothing by default.
        clock: when schedules are due.
        keep: how many events that are over are kept, with what they started.

    Attributes:
        functions: the functions that are served.
        url: where it listens.
    """

    def __init__(
        self,
        targets: Iterable[str],
        *,
        port: int = DEFAULT_PORT,
        watch: bool = False,
        console: logging.Handler | None = None,
        clock: Clock | None = None,
        keep: int = KEPT_EVENTS,
    ) -> None:
        self.functions: list[Function] = []
        self.url = ""
        self._app = AppModules(targets)
        self._port = port
        self._watch = watch
        self._console = console or logging.NullHandler()
        self._clock = clock or SystemClock()
        self._keep = keep
        self._cloud = Cloud()
        self._lambdas: dict[str, LambdaFunction] = {}
        self._mappings: dict[str, EventSourceMapping] = {}
        self._reload_lock = threading.Lock()
        self._undo = ExitStack()

    def __enter__(self) -> DevServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Serve; when it returns the server answers.

        Raises:
            ConfigurationError: the port is taken.
            LoadError: a module is missing or broken, or there is no function in them.
        """
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop within two seconds; invocations that last longer are abandoned."""
        self._undo.close()

    def reload(self) -> list[Function]:
        """Load the modules again and serve them as they are now; events and runs are kept.

        Raises:
            LoadError: a module is broken; then everything goes on as before.
        """
        with self._reload_lock:
            self._serve(self._app.reload())
        return self.functions

    def _start(self) -> None:
        listener = _listen(self._port)
        self._undo.callback(listener.close)
        self.url = f"http://{HOST}:{listener.getsockname()[1]}"
        self._undo.callback(sys.setswitchinterval, sys.getswitchinterval())
        sys.setswitchinterval(_SWITCH_INTERVAL_S)
        self._log_to(self._console)
        self._undo.enter_context(environment({"TIDEGATE_DEV": _dev_url(self.url)}))
        functions = self._app.load()
        self._undo.callback(self._cloud.stop)
        self._cloud.start()
        self._undo.callback(self._stop_lambdas)
        self._serve(functions)
        schedules = ScheduleClock(PREFIX, self._clock)
        self._undo.callback(schedules.stop)
        schedules.start()
        history = History(self._cloud.tables, BUCKET, self._clock, events=self._keep)
        self._undo.callback(history.stop)
        history.start()
        self._undo.callback(_serve_http(HttpFront(ROUTES, self._lambda), listener))
        if self._watch:
            watcher = Watcher(self._app.roots, self._files_changed)
            self._undo.callback(watcher.stop)
            watcher.start()

    def _log_to(self, handler: logging.Handler) -> None:
        """Let the handler have what Tidegate logs, and nobody else."""
        root = logging.getLogger("tidegate")
        before = (root.level, root.propagate)

        def restore() -> None:
            root.removeHandler(handler)
            root.setLevel(before[0])
            root.propagate = before[1]

        self._undo.callback(restore)
        root.addHandler(handler)
        root.setLevel(logging.INFO)
        root.propagate = isinstance(handler, logging.NullHandler)

    def _serve(self, functions: list[Function]) -> None:
        """Make the cloud and its Lambdas be what the functions ask for."""
        # What has been served before and is gone now ends its runs, as in a deployment.
        manifest = Manifest.of(functions).keeping(self._cloud.wiring)
        self._cloud.provision(manifest)
        self._lambdas = self._make_lambdas(manifest)
        self._feed(_MATCHER, _MATCHER, self._cloud.matcher)
        for function in manifest.deployed:
            self._feed(function.id, _worker(function.id), self._cloud.wiring[function.id])
        self.functions = functions

    def _make_lambdas(self, manifest: Manifest) -> dict[str, LambdaFunction]:
        lambdas = {
            "ingest": LambdaFunction(
                "ingest", HANDLERS["ingest"], self._cloud.ingest_environment()
            ),
            "api": LambdaFunction("api", HANDLERS["api"], self._cloud.api_environment()),
            _MATCHER: LambdaFunction(
                _MATCHER, HANDLERS["matcher"], self._cloud.matcher_environment()
            ),
        }
        for function in manifest.deployed:
            lambdas[_worker(function.id)] = LambdaFunction(
                _worker(function.id),
                HANDLERS["worker"],
                self._cloud.worker_environment(function.id),
            )
        return lambdas

    def _feed(self, name: str, lambda_name: str, wiring: FunctionWiring | MatcherWiring) -> None:
        """Let a queue feed its Lambda as it is now."""
        invoke = self._lambda(lambda_name)
        mapping = self._mappings.get(name)
        if mapping is not None:
            mapping.invoke = invoke
            return
        mapping = EventSourceMapping(
            name,
            wiring.queue_url,
            wiring.queue_arn,
            invoke,
            batch_size=wiring.batch_size,
            max_concurrency=wiring.max_concurrency,
        )
        self._mappings[name] = mapping
        mapping.start()

    def _lambda(self, name: str) -> Callable[[dict[str, object]], object]:
        return self._lambdas[name].invoke

    def _files_changed(self) -> None:
        before = {function.id for function in self.functions}
        try:
            functions = self.reload()
        except LoadError as error:
            logger.error("not reloaded: %s", error)
        except Exception:
            logger.exception("not reloaded")
        else:
            logger.info("reloaded: %d functions", len(functions))
            for gone in sorted(before - {function.id for function in functions}):
                logger.info("removed: %s; its runs that wait are ended when they go on", gone)

    def _stop_lambdas(self) -> None:
        end = time.monotonic() + _STOP_S
        mappings, self._mappings = self._mappings, {}
        for mapping in mappings.values():
            mapping.stop()
        for mapping in mappings.values():
            mapping.drain(max(end - time.monotonic(), _MOMENT_S))


def _worker(function_id: str) -> str:
    return f"worker-{function_id}"


def _dev_url(url: str) -> str:
    """Where clients of this process send to: here, unless the developer names another server."""
    named = os.environ.get("TIDEGATE_DEV", "")
    return named if named.startswith(("http://", "https://")) else url


def _listen(port: int) -> socket.socket:
    # asyncio turns Nagle's algorithm off (40 ms a response) only where the protocol is named.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        # Requests that come while the server starts wait instead of being refused.
        listener.listen(2048)
    except OSError as error:
        listener.close()
        raise ConfigurationError(
            f"port {port} of {HOST} cannot be used ({error.strerror}); choose another with --port"
        ) from error
    return listener


def _serve_http(front: HttpFront, listener: socket.socket) -> Callable[[], None]:
    """Serve in a thread; returns what ends it."""
    config = uvicorn.Config(
        front,
        access_log=False,
        lifespan="off",
        log_config=None,
        log_level="warning",
        ws="none",
        proxy_headers=False,
        server_header=False,
        backlog=2048,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(
        target=server.run, kwargs={"sockets": [listener]}, name="http", daemon=True
    )
    thread.start()

    def stop() -> None:
        server.should_exit = True
        thread.join(2 * _STOP_S)
        front.close()

    return stop
