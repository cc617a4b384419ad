"""Environments in the REST API: those that branch keys have opened."""

from __future__ import annotations

from dataclasses import dataclass

from typing_extensions import TypedDict

from tidegate.environments import Environment, Environments
from tidegate.errors import NotFoundError, RequestError
from tidegate.rest_call import Call, Result, Time, rfc3339
from tidegate.rest_operation import operation

_BRANCH_ONLY = {403: "the key opens no branch environments"}


class EnvironmentObject(TypedDict):
    """An environment that a branch key has opened.

    Attributes:
        name: its name.
        created_at: when its first event came.
        archived_at: since when it takes no events; null while it does.
    """

    name: str
    created_at: Time
    archived_at: Time | None


@dataclass(frozen=True)
class EnvironmentEndpoints:
    """What looks after branch environments, for branch keys.

    Attributes:
        environments: the environments.
    """

    environments: Environments

    @operation(
        "GET", "/v1/environments", list[EnvironmentObject], tag="Keys", refusals=_BRANCH_ONLY
    )
    def list_environments(self, call: Call) -> Result:
        """All environments that branch keys have opened, by name."""
        _check_branch(call)
        return Result([_object(one) for one in self.environments.all()])

    @operation(
        "POST",
        "/v1/environments/<environment>/archive",
        EnvironmentObject,
        tag="Keys",
        refusals=_BRANCH_ONLY,
    )
    def archive_environment(self, call: Call) -> Result:
        """Let an environment take no more events, within 60 seconds; its runs go on."""
        return self._changed(call, is_archived=True)

    @operation(
        "POST",
        "/v1/environments/<environment>/unarchive",
        EnvironmentObject,
        tag="Keys",
        refusals=_BRANCH_ONLY,
    )
    def unarchive_environment(self, call: Call) -> Result:
        """Let an environment take events again."""
        return self._changed(call, is_archived=False)

    def _changed(self, call: Call, *, is_archived: bool) -> Result:
        _check_branch(call)
        name = call.path["environment"]
        try:
            change = self.environments.archive if is_archived else self.environments.unarchive
            return Result(_object(change(name)))
        except NotFoundError as error:
            raise RequestError(404, str(error)) from None


def _check_branch(call: Call) -> None:
    if not call.key.branch:
        raise RequestError(403, "this key opens no branch environments; use a branch key")


def _object(environment: Environment) -> EnvironmentObject:
    archived_ms = environment.archived_ms
    return {
        "name": environment.name,
        "created_at": rfc3339(environment.created_ms),
        "archived_at": None if archived_ms is None else rfc3339(archived_ms),
    }
