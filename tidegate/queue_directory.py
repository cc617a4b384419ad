"""Where each function's queues are: what a deployment wrote into Parameter Store.

CloudFormation names the queues, and a Lambda's environment has no room for those of hundreds of
functions. Each stack of a stage writes parameters with those of its own functions:

    /tidegate/<stack>/queues/<number of the stack>/<n>  {"<function id>": ["<queue>", "<its dead>"]}
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tidegate.aws import AWS_ERRORS, client, unavailable
from tidegate.clock import Clock
from tidegate.encoding import decode, encode

# Under this name the matcher's queues are there, too; a function's id has a `-` in it.
MATCHER = "matcher"
# A parameter holds 4 KB; an id has up to 128 characters, a queue's name 80. See
# https://docs.aws.amazon.com/systems-manager/latest/userguide/parameter-store-advanced-parameters.html
FUNCTIONS_A_PARAMETER = 12
_FRESH_MS = 60_000


@dataclass(frozen=True)
class FunctionQueues:
    """The queues of a function.

    Attributes:
        function_id: the function.
        queue_url: what its worker reads.
        dead_letter_url: where messages go that were received too often, or can never be handled.
    """

    function_id: str
    queue_url: str
    dead_letter_url: str


@dataclass
class QueueDirectory:
    """Finds the queues of functions, a minute old at the most.

    Attributes:
        path: where the stage's parameters are.
        matcher_queue_url: the queues are in its account and region.
        clock: the time.
    """

    path: str
    matcher_queue_url: str
    clock: Clock
    _found: Mapping[str, FunctionQueues] = field(default_factory=dict)
    _found_ms: int | None = None

    def all(self) -> Mapping[str, FunctionQueues]:
        """The queues of all functions, by id, and those of the matcher.

        Raises:
            PlatformError: Parameter Store did not answer.
        """
        now_ms = self.clock.now_ms()
        if self._found_ms is None or now_ms - self._found_ms >= _FRESH_MS:
            self._found = {one.function_id: one for one in self._read()}
            self._found_ms = now_ms
        return self._found

    def _read(self) -> Iterator[FunctionQueues]:
        base = self.matcher_queue_url.rpartition("/")[0]
        for text in self._values():
            for function_id, (queue, dead_letters) in decode(text).items():
                yield FunctionQueues(function_id, f"{base}/{queue}", f"{base}/{dead_letters}")

    def _values(self) -> list[str]:
        pages = client("ssm").get_paginator("get_parameters_by_path")
        try:
            found = pages.paginate(Path=self.path, Recursive=True)
            return [one["Value"] for page in found for one in page["Parameters"]]
        except AWS_ERRORS as error:
            raise unavailable("the names of the queues could not be read", error) from error


def parameters(path: str, stack: int, functions: Sequence[str]) -> dict[str, list[str]]:
    """The names of a stack's parameters, and the ids of the functions in each.

    Args:
        path: where the stage's parameters are.
        stack: the stack's number.
        functions: the ids of its functions.
    """
    size = FUNCTIONS_A_PARAMETER
    return {
        f"{path}/{stack}/{first // size}": list(functions[first : first + size])
        for first in range(0, len(functions), size)
    }


def parameter_value(names: Mapping[str, tuple[str, str]]) -> str:
    """The text of a parameter.

    Args:
        names: by function id, the names of its queue and of its dead-letter queue.
    """
    return encode(names)
