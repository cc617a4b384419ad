"""The client: sends events, and registers functions."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, overload
from urllib.parse import quote

from tidegate import registry
from tidegate.cancel import Cancel, Timeouts
from tidegate.client_settings import (
    DEFAULT_MAX_REQUEST_BYTES,
    DEV_EVENT_KEY,
    checked_env,
    in_dev_mode,
    settled_base_url,
    variable,
)
from tidegate.context import Logger
from tidegate.cron import TriggerCron
from tidegate.errors import ConfigurationError, EventKeyUnspecifiedError
from tidegate.event_model import Sendable, plain_events
from tidegate.function import Function, Handler, HandlerOf, T, check_app_id, make_function
from tidegate.sending import Sender, SendingClock, SystemSendingClock
from tidegate.step import DEFAULT_MAX_STEPS
from tidegate.trigger import TriggerEvent

DEFAULT_TIMEOUT_MS = 30_000


class Client:
    """Sends events to a deployment or to the dev server, and registers an app's functions.

    What no argument says is read from the environment when the client is made. Each variable has
    two names: `TIDEGATE_…` wins over `INNGEST_…`, which the official SDKs use; an empty one counts
    as unset. A client may be used from several threads and event loops.

    Args:
        app_id: the app's id, the first part of its functions' ids.
        event_key: authorises sending; else `…_EVENT_KEY`. Dev mode needs none.
        base_url: where the deployment is, `https://host`; else `…_BASE_URL`. In dev mode the
            default is `…_DEV`, where that is a URL, or else http://127.0.0.1:8288.
        event_api_base_url: the same for sending events only, and wins over `base_url`; else
            `…_EVENT_API_BASE_URL`.
        env: the branch environment to send to; else `…_ENV`.
        is_production: False is dev mode; else dev mode is when `…_DEV` is anything but `false` or
            `0`.
        request_timeout: how long to wait for a server, in milliseconds or as a timedelta; 30
            seconds by default. It holds for each of the five tries.
        max_request_bytes: a list whose JSON is larger is sent in several requests; 512 KiB, which
            is what a deployment takes by default.
        logger: is told of retries; by default the logger `tidegate`.
        clock: the time, for `ts`, ids and the pauses between tries.

    Raises:
        ConfigurationError: an argument or a variable cannot be used. A base URL or an event key
            that is missing is an error of `send` only, so that apps which never send need none.
    """

    def __init__(
        self,
        *,
        app_id: str,
        event_key: str | None = None,
        base_url: str | None = None,
        event_api_base_url: str | None = None,
        env: str | None = None,
        is_production: bool | None = None,
        request_timeout: int | float | timedelta = DEFAULT_TIMEOUT_MS,
        max_request_bytes: int = DEFAULT_MAX_REQUEST_BYTES,
        logger: Logger | None = None,
        clock: SendingClock | None = None,
    ) -> None:
        check_app_id(app_id)
        if max_request_bytes < 1:
            raise ConfigurationError(f"max_request_bytes={max_request_bytes}: it must be positive")
        self._app_id = app_id
        self._env = checked_env(env or variable("ENV"))
        self._is_production = not in_dev_mode() if is_production is None else is_production
        self._event_key = event_key or variable("EVENT_KEY")
        self._event_api_base_url = settled_base_url(
            "EVENT_API",
            {"event_api_base_url": event_api_base_url, "base_url": base_url},
            dev=not self._is_production,
        )
        self.logger: Logger = logger or logging.getLogger("tidegate")
        self._sender = Sender(
            headers={"x-inngest-env": self._env} if self._env else {},
            timeout_s=_timeout_s(request_timeout),
            max_request_bytes=max_request_bytes,
            clock=clock or SystemSendingClock(),
            logger=self.logger,
        )

    @property
    def app_id(self) -> str:
        """The app's id."""
        return self._app_id

    @property
    def env(self) -> str | None:
        """The branch environment that events are sent to, if one was named."""
        return self._env

    @property
    def is_production(self) -> bool:
        """Whether this is not dev mode."""
        return self._is_production

    @property
    def event_api_base_url(self) -> str | None:
        """Where events are sent to, without the path `/e/…`; None if that is not configured."""
        return self._event_api_base_url

    def __repr__(self) -> str:
        return f"Client(app_id={self._app_id!r}, event_api_base_url={self._event_api_base_url!r})"

    async def send(self, events: Sendable | Sequence[Sendable]) -> list[str]:
        """Send events and get their internal ids, in order.

        What one request cannot hold is sent in several, one after the other. A request that got no
        answer, or a status of 500 or more, is repeated up to four times under the same seed, so
        that nothing starts twice.

        Args:
            events: one event or any number of them, also as instances of the classes that declare
                them; for an empty list nothing is requested.

        Raises:
            SendEventsError: sending failed; it has the HTTP status, what the server or the network
                said, and the ids of the events that were accepted before.
            EventEncodingError: (a SendEventsError) an event cannot be written as JSON; nothing was
                sent.
            EventKeyUnspecifiedError: there is no event key and this is not dev mode.
            ConfigurationError: there is no base URL.
        """
        return await self._sender.send(self._url(), plain_events(events))

    def send_sync(self, events: Sendable | Sequence[Sendable]) -> list[str]:
        """As `send`, for code that is not async; connections are kept for the next call."""
        return self._sender.send_sync(self._url(), plain_events(events))

    @overload
    def create_function(
        self,
        *,
        fn_id: str,
        trigger: TriggerEvent[T],
        name: str | None = None,
        retries: int | None = None,
        max_steps: int = DEFAULT_MAX_STEPS,
        idempotency: str | None = None,
        on_failure: HandlerOf[dict[str, Any]] | None = None,
        cancel: Sequence[Cancel] = (),
        timeouts: Timeouts | None = None,
    ) -> Callable[[HandlerOf[T]], Function]: ...

    @overload
    def create_function(
        self,
        *,
        fn_id: str,
        trigger: TriggerCron,
        name: str | None = None,
        retries: int | None = None,
        max_steps: int = DEFAULT_MAX_STEPS,
        idempotency: str | None = None,
        on_failure: HandlerOf[dict[str, Any]] | None = None,
        cancel: Sequence[Cancel] = (),
        timeouts: Timeouts | None = None,
    ) -> Callable[[HandlerOf[dict[str, Any]]], Function]: ...

    @overload
    def create_function(
        self,
        *,
        fn_id: str,
        trigger: Sequence[TriggerEvent[Any] | TriggerCron],
        name: str | None = None,
        retries: int | None = None,
        max_steps: int = DEFAULT_MAX_STEPS,
        idempotency: str | None = None,
        on_failure: HandlerOf[dict[str, Any]] | None = None,
        cancel: Sequence[Cancel] = (),
        timeouts: Timeouts | None = None,
    ) -> Callable[[Handler], Function]: ...

    def create_function(
        self,
        *,
        fn_id: str,
        trigger: TriggerEvent[Any] | TriggerCron | Sequence[TriggerEvent[Any] | TriggerCron],
        name: str | None = None,
        retries: int | None = None,
        max_steps: int = DEFAULT_MAX_STEPS,
        idempotency: str | None = None,
        on_failure: HandlerOf[dict[str, Any]] | None = None,
        cancel: Sequence[Cancel] = (),
        timeouts: Timeouts | None = None,
    ) -> Callable[[Handler], Function]:
        """A decorator that registers a function.

        It is for `def f(ctx: ContextSync)` and for `async def f(ctx: Context)`, or, where the
        trigger has a class, `ContextSync[CartCheckedOut]` and `Context[CartCheckedOut]`.

        Args:
            fn_id: its id within the app; do not change it once the function is deployed.
            trigger: the event or the times that start it, or a list of up to ten of them.
            name: what people read; `fn_id` by default.
            retries: how often it, and each of its steps, is tried again after a failure, 0 to 20;
                4 by default.
            max_steps: how many steps a run may have, up to 10,000.
            idempotency: an expression, such as `event.data.orderId`; of all events for which it
                gives the same value, one alone starts a run, for 24 hours.
            on_failure: called as a function of its own, `<fn_id>-failure`, when a run has failed
                for good; its `ctx.event` is `inngest/function.failed`. See docs/functions.md.
            cancel: the events that cancel a run, up to five.
            timeouts: after how long a run that has not started, or not finished, is cancelled.

        Raises:
            ConfigurationError: with the function's file and line and what to change.
        """

        def decorate(handler: Handler) -> Function:
            function = make_function(
                handler,
                app_id=self._app_id,
                fn_id=fn_id,
                trigger=trigger,
                name=name,
                retries=retries,
                max_steps=max_steps,
                idempotency=idempotency,
                on_failure=on_failure,
                cancel=cancel,
                timeouts=timeouts,
            )
            return registry.register(function)

        return decorate

    def _url(self) -> str:
        """Where to post events, the event key included."""
        key = self._event_key or (None if self._is_production else DEV_EVENT_KEY)
        if key is None:
            raise EventKeyUnspecifiedError(
                "no event key: set TIDEGATE_EVENT_KEY or pass event_key=…; "
                "for the dev server, which needs none, set TIDEGATE_DEV=1"
            )
        if self._event_api_base_url is None:
            raise ConfigurationError(
                "no base URL: set TIDEGATE_BASE_URL to the URL of your deployment or pass "
                "base_url=…; for the dev server set TIDEGATE_DEV=1"
            )
        return f"{self._event_api_base_url}/e/{quote(key, safe='')}"


def _timeout_s(timeout: int | float | timedelta) -> float:
    seconds = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout / 1000
    if seconds <= 0:
        raise ConfigurationError(
            f"request_timeout={timeout!r}: it is a number of milliseconds, or a timedelta, above 0"
        )
    return seconds
