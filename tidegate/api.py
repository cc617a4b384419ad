"""The REST API: key → environment → route → answer, all of it JSON in one envelope.

Each resource has a module of endpoints, `tidegate.rest_events` and so on, that says which paths
and methods are its own; this one knows what is the same for all of them. See docs/rest-api.md.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from threading import Lock
from typing import Any

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver
from aws_lambda_powertools.event_handler import Response as HttpResponse
from aws_lambda_powertools.event_handler.middlewares import NextMiddleware

from tidegate.caller import Callers
from tidegate.cancelling import Canceller
from tidegate.clock import Clock
from tidegate.encoding import encode
from tidegate.errors import PlatformError, RequestError
from tidegate.event_store import EventStore
from tidegate.http import Request, Response
from tidegate.key import Key
from tidegate.manifest import Manifest
from tidegate.rest_call import Call, Endpoint, Routes, rfc3339
from tidegate.rest_document import DocumentEndpoints
from tidegate.rest_events import EventEndpoints
from tidegate.rest_functions import FunctionEndpoints
from tidegate.rest_operation import OPERATIONS, routes_of
from tidegate.rest_run_jobs import RunJobEndpoints
from tidegate.rest_run_list import RunListEndpoints
from tidegate.rest_runs import RunEndpoints
from tidegate.rest_stats import StatsEndpoints
from tidegate.rest_steps import StepEndpoints
from tidegate.rest_timeline import TimelineEndpoints
from tidegate.run_store import RunStore
from tidegate.settings import MAX_REQUEST_BYTES
from tidegate.step_store import StepStore
from tidegate.tracing import Origin, came_from

logger = logging.getLogger("tidegate.api")

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "QUERY")
_NOBODY = Key("signing", "")
_OPEN_PATHS = [found.path for found in OPERATIONS if found.is_open]

# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html: 6 MB, and some are
# needed for the headers. The body is a JSON string within the answer's JSON.
MAX_ANSWER_BYTES = 6_000_000
_COMPRESSED_FROM_BYTES = 16 * 1024

# All resolvers keep the request they work on in their class, and the dev server has threads.
_ONE_AT_A_TIME = Lock()

# Events and outputs are private and runs change: nobody in between may keep an answer.
_HEADERS = {"cache-control": "no-store"}


class Api:
    """Answers the requests of the REST API.

    Args:
        callers: who may ask.
        events: the events.
        runs: the runs.
        steps: their steps.
        canceller: cancels runs.
        manifest: the functions.
        clock: the time.
        acting: the resources that start or change something.
        max_body_bytes: the largest body of a request, in bytes.

    Attributes:
        paths: what it answers, with variable parts as `<name>`.
    """

    def __init__(
        self,
        callers: Callers,
        events: EventStore,
        runs: RunStore,
        steps: StepStore,
        canceller: Canceller,
        manifest: Manifest,
        clock: Clock,
        acting: Sequence[Routes] = (),
        max_body_bytes: int = MAX_REQUEST_BYTES,
    ) -> None:
        self._callers = callers
        self._clock = clock
        self._max_body_bytes = max_body_bytes
        event_endpoints = EventEndpoints(events)
        looking = routes_of(
            DocumentEndpoints(),
            event_endpoints,
            RunListEndpoints(runs),
            RunEndpoints(runs, canceller, event_endpoints, manifest),
            StepEndpoints(runs, steps),
            TimelineEndpoints(runs, steps, events),
            RunJobEndpoints(runs, steps),
            FunctionEndpoints(manifest),
            StatsEndpoints(runs, manifest),
        )
        routes = _by_path([*looking, *acting])
        self.paths = list(routes)
        self._resolver = self._resolver_of(routes)

    def handle(self, event: Mapping[str, Any], context: Any = None) -> dict[str, Any]:
        """The gateway's answer to the gateway's event; it never raises."""
        try:
            origin = Origin.of_request(Request.from_gateway(event))
            with came_from(origin), _ONE_AT_A_TIME:
                answer = self._resolver.resolve(dict(event), context)
            if _size(answer) <= MAX_ANSWER_BYTES:
                return answer
            return _failure(
                413,
                f"the answer has more than {MAX_ANSWER_BYTES} bytes; ask for it with "
                "Accept-Encoding: gzip, or for less",
            ).to_gateway()
        except Exception as error:
            return _crashed(error).to_gateway()

    def _resolver_of(self, routes: Routes) -> APIGatewayHttpResolver:
        resolver = APIGatewayHttpResolver(debug=False)
        resolver.use([self._let_in])
        for path, endpoints in routes.items():
            for method, endpoint in endpoints.items():
                resolver.route(path, method)(self._answering(endpoint))
            others = [method for method in METHODS if method not in endpoints]
            resolver.route(path, others)(_wrong_method(endpoints))
        resolver.not_found(self._no_such_path)
        resolver.exception_handler(RequestError)(_refused)
        resolver.exception_handler(PlatformError)(_unavailable)
        # Without it the resolver would log a crash itself, in a form of its own.
        resolver.exception_handler(Exception)(lambda error: _to_resolver(_crashed(error)))
        return resolver

    def _let_in(self, resolver: APIGatewayHttpResolver, go_on: NextMiddleware) -> HttpResponse[Any]:
        """Whoever has a signing key or is logged in, into the environment that this opens."""
        _check_address(resolver.current_event.raw_event)
        if resolver.current_event.path in _OPEN_PATHS:
            resolver.context |= {"env": "", "key": _NOBODY}
            return go_on(resolver)
        request = Request.from_gateway(resolver.current_event.raw_event)
        key = self._callers.key(request)
        env = key.environment(request.headers.get("x-inngest-env"))
        self._callers.keys.check_environment(key, env)
        resolver.context |= {"env": env, "key": key}
        return go_on(resolver)

    def _answering(self, endpoint: Endpoint) -> Callable[..., HttpResponse[Any]]:
        """The endpoint as the resolver calls it, with the variable parts of the path."""

        def answer(**path: str) -> HttpResponse[Any]:
            event = self._resolver.current_event.raw_event
            query = event.get("queryStringParameters") or {}
            call = Call(
                env=self._resolver.context["env"],
                now_ms=self._clock.now_ms(),
                path=path,
                query={name: value for name, value in query.items() if value},
                body=Request.from_gateway(event).body(self._max_body_bytes),
                key=self._resolver.context["key"],
            )
            result = endpoint(call)
            metadata = {"fetched_at": rfc3339(call.now_ms), "cached_until": None, **result.metadata}
            content = {"data": result.data, "metadata": metadata}
            content = result.data if result.is_bare else content
            return _to_resolver(Response(result.status, content, _HEADERS))

        return answer

    def _no_such_path(self, _: Exception) -> HttpResponse[Any]:
        raw_path = self._resolver.current_event.path
        return _refused(RequestError(404, f"no such path: {raw_path}; see /v1/events, /v1/runs"))


def _check_address(event: Mapping[str, Any]) -> None:
    """Raise RequestError (400) for a path or query that no answer and no key could hold."""
    try:
        encode([event.get("rawPath"), event.get("queryStringParameters")])
    except ValueError:
        raise RequestError(400, "the path or the query is not valid Unicode") from None


def _by_path(resources: Iterable[Routes]) -> dict[str, dict[str, Endpoint]]:
    """The endpoints of each path, by method; several resources may share one."""
    paths: dict[str, dict[str, Endpoint]] = {}
    for routes in resources:
        for path, endpoints in routes.items():
            paths.setdefault(path, {}).update(endpoints)
    return paths


def _wrong_method(possible: Iterable[str]) -> Callable[..., HttpResponse[Any]]:
    allow = ", ".join(sorted(possible))

    def refuse(**_: str) -> HttpResponse[Any]:
        raise RequestError(405, f"this path takes {allow} only", allow=allow)

    return refuse


def _refused(error: RequestError) -> HttpResponse[Any]:
    logger.info("request refused", extra={"status": error.status, "error": error.message})
    headers = {"allow": error.allow} if error.allow else {}
    if error.status == 401:
        headers["www-authenticate"] = "Bearer"
    return _to_resolver(_failure(error.status, error.message, headers))


def _unavailable(error: PlatformError) -> HttpResponse[Any]:
    logger.error("request failed", extra={"status": 503, "error": str(error)})
    return _to_resolver(
        _failure(
            503,
            "the stored events and runs did not answer; send the request again",
            {"retry-after": str(error.retry_after_s)},
        )
    )


def _crashed(error: Exception) -> Response:
    logger.error("request crashed", exc_info=error, extra={"status": 500})
    return _failure(500, "internal error; send the request again")


def _failure(status: int, message: str, headers: Mapping[str, str] | None = None) -> Response:
    content = {"error": message, "data": None, "status": status}
    return Response(status, content, {**_HEADERS, **(headers or {})})


def _to_resolver(response: Response) -> HttpResponse[Any]:
    body = encode(response.content)
    return HttpResponse(
        status_code=response.status,
        content_type="application/json",
        body=body,
        headers=dict(response.headers),
        # Only for clients that accept gzip.
        compress=len(body) >= _COMPRESSED_FROM_BYTES,
    )


def _size(answer: Mapping[str, Any]) -> int:
    """The bytes of a body within Lambda's answer."""
    body = answer["body"]
    if answer["isBase64Encoded"] or len(body) * 6 <= MAX_ANSWER_BYTES:
        return len(body)
    return len(json.dumps(body))
