"""What an operation of the REST API takes and gives, declared beside the code that does it.

The routes are made of these declarations, and so is the OpenAPI document.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from tidegate.rest_call import Endpoint, Routes, Shape
from tidegate.rest_field import ULID_PATTERN

EndpointT = TypeVar("EndpointT", bound=Callable[..., Any])


Ulid = Annotated[str, Shape({"pattern": ULID_PATTERN})]


@dataclass(frozen=True)
class Operation:
    """What can be done with a path by a method.

    Attributes:
        method: GET, POST, DELETE.
        path: with its variable parts as `<name>`.
        name: what it is called, `list_events`.
        summary: what it does, a sentence.
        tag: what it is about.
        answer: the type of the answer's data.
        query: the TypedDict of its query parameters; None takes none.
        body: the TypedDict of its body, or the JSON Schema of one that is more than an object;
            None takes none.
        status: the HTTP status of success.
        refusals: the statuses of errors that others do not have, and when.
        is_open: whether it is answered without a key.
        is_bare: whether its answer has no envelope.
    """

    method: str
    path: str
    name: str
    summary: str
    tag: str
    answer: Any
    query: type | None = None
    body: type | Mapping[str, Any] | None = None
    status: int = 200
    refusals: Mapping[int, str] | None = None
    is_open: bool = False
    is_bare: bool = False


# All of them, as far as their modules are loaded.
OPERATIONS: list[Operation] = []


def operation(
    method: str, path: str, answer: Any, *, tag: str, **more: Any
) -> Callable[[EndpointT], EndpointT]:
    """Declare that a method of a class does this.

    Args:
        method, path, answer, tag, more: as an `Operation` has them. Its name is that of the
            method, its summary the first line of the method's docstring.
    """

    def declare(endpoint: EndpointT) -> EndpointT:
        summary = (endpoint.__doc__ or "").partition("\n")[0]
        found = Operation(method, path, endpoint.__name__, summary, tag, answer, **more)
        OPERATIONS.append(found)
        endpoint.operation = found  # type: ignore[attr-defined]
        return endpoint

    return declare


def routes_of(*resources: object) -> list[Routes]:
    """The paths of objects whose methods are declared as operations, one for each object."""
    return [_routes(resource) for resource in resources]


def _routes(resource: object) -> Routes:
    routes: dict[str, dict[str, Endpoint]] = {}
    for name, function in vars(type(resource)).items():
        found = getattr(function, "operation", None)
        if isinstance(found, Operation):
            routes.setdefault(found.path, {})[found.method] = getattr(resource, name)
    return routes
