"""SQS queues whose cost does not grow with their backlog, in place of moto's.

Made for moto 5.2.5. There, sending and receiving compute every attribute of a queue, which walks
over its whole backlog; deleting rebuilds the list of messages; a long poll sleeps on when a delay
or a visibility timeout ends; and receivers in several threads can be given the same message. Here
a queue keeps what is ready apart from what is hidden until some time, all under one lock.
FIFO queues are left as they are.
"""

from __future__ import annotations

import copy
import heapq
import itertools
import time
import uuid
from collections import OrderedDict, deque
from typing import Any

import moto.sqs.models
from moto.core.utils import unix_time, unix_time_millis
from moto.sqs.exceptions import ReceiptHandleIsInvalid
from moto.sqs.models import Message

MOTO_VERSION = "5.2.5"

# So many receipt handles of deleted messages are known, to those who delete them once more.
MOST_DELETED = 2_000
_MOST_STALE = 64

# What is about to be overridden, and so has no types.
_moto: Any = moto.sqs.models
_MotoQueue: Any = _moto.Queue
_moto_receive = _moto.SQSBackend.receive_message
_moto_change_visibility = _moto.SQSBackend.change_message_visibility
_moto_purge = _moto.SQSBackend.purge_queue


class StandardQueue(_MotoQueue):  # type: ignore[misc]
    """A standard queue: each call costs what it returns, whatever the backlog."""

    def __new__(cls, name: str, region: str, account_id: str, **kwargs: Any) -> Any:
        if name.endswith(".fifo"):
            return _MotoQueue(name, region, account_id, **kwargs)
        return super().__new__(cls)

    def __init__(self, name: str, region: str, account_id: str, **kwargs: Any) -> None:
        super().__init__(name, region, account_id, **kwargs)
        self._wakeups = 0
        self._order = itertools.count()
        self.clear()

    # What moto's attributes and clean-up look at.

    @property
    def approximate_number_of_messages(self) -> int:
        """How many messages could be received now."""
        with self._messages_lock:
            self._release()
            return len(self._messages) - len(self._hidden)

    @property
    def approximate_number_of_messages_delayed(self) -> int:
        """How many messages wait for the end of their delay."""
        with self._messages_lock:
            self._release()
            return len(self._hidden) - self._in_flight

    @property
    def approximate_number_of_messages_not_visible(self) -> int:
        """How many messages were received and are neither deleted nor visible again."""
        with self._messages_lock:
            self._release()
            return self._in_flight

    @property
    def messages(self) -> list[Message]:
        """The messages that could be received now."""
        with self._messages_lock:
            self._release()
            return [m for id_, m in self._messages.items() if id_ not in self._hidden]

    def bodies(self) -> list[str]:
        """The texts of all its messages, also of those that are delayed or being handled."""
        with self._messages_lock:
            return [message.body for message in self._messages.values()]

    def clear(self) -> None:
        """Remove every message."""
        with self._messages_lock:
            self._messages: dict[str, Message] = {}
            self._ready: deque[Message] = deque()
            # Until when a message is hidden, by its id; in a heap too, whose stale entries are
            # those that this does not confirm.
            self._hidden: dict[str, float] = {}
            self._heap: list[tuple[float, int, str]] = []
            self._deleted: OrderedDict[str, None] = OrderedDict()
            self._in_flight = 0
            self._receipts: dict[str, Message] = {}

    # What SQS does.

    def add_message(self, message: Message) -> None:
        """Take in a message that was sent, or that another queue gave up on."""
        with self._messages_lock:
            self._messages[message.id] = message
            if message.delayed:
                self._hide(message, message.delayed_until)
            else:
                self._ready.append(message)
            self._messages_lock.notify_all()

    def receive(self, count: int, wait_s: float, visibility_s: int) -> list[Message]:
        """Up to `count` messages; waits for the first one, and no longer than `wait_s`."""
        end = time.monotonic() + wait_s
        with self._messages_lock:
            wakeups = self._wakeups
            while True:
                received = self._take(count, visibility_s)
                left_s = end - time.monotonic()
                if received or left_s <= 0 or self._wakeups != wakeups:
                    return received
                self._messages_lock.wait(min(left_s, self._next_release_s()))

    def wake(self) -> None:
        """Let those who wait for messages return with none."""
        with self._messages_lock:
            self._wakeups += 1
            self._messages_lock.notify_all()

    def delete_message(self, receipt_handle: str) -> None:
        """Delete a message by any receipt handle it ever had; doing it twice is no error."""
        with self._messages_lock:
            if receipt_handle in self._deleted:
                return
            message = self._message(receipt_handle)
            self._deleted.update(dict.fromkeys(self._forget(message)))
            while len(self._deleted) > MOST_DELETED:
                self._deleted.popitem(last=False)

    def change_visibility(self, receipt_handle: str, visibility_s: int) -> None:
        """Let a message be hidden for so many seconds from now on; 0 makes it visible."""
        with self._messages_lock:
            message = self._message(receipt_handle)
            if message.id in self._hidden:
                message.change_visibility(visibility_s)
                self._hide(message, message.visible_at)
                self._messages_lock.notify_all()

    # The rest is inside the lock.

    def _take(self, count: int, visibility_s: int) -> list[Message]:
        self._release()
        taken: list[Message] = []
        while self._ready and len(taken) < count:
            message = self._ready.popleft()
            if message.id not in self._messages or self._expired(message):
                self._forget(message)
            elif self._exhausted(message):
                self._forget(message)
                self.dead_letter_queue.add_message(message)
            else:
                taken.append(self._received(message, visibility_s))
        return taken

    def _received(self, message: Message, visibility_s: int) -> Message:
        now_ms = unix_time_millis()
        message.approximate_first_receive_timestamp = (
            message.approximate_first_receive_timestamp or int(now_ms)
        )
        message.approximate_receive_count += 1
        if message.receipt_handle:
            message._old_receipt_handles.append(message.receipt_handle)
        message.receipt_handle = uuid.uuid4().hex
        message.visible_at = now_ms + visibility_s * 1000
        self._receipts[message.receipt_handle] = message
        self._in_flight += 1
        self._hide(message, message.visible_at)
        return copy.copy(message)

    def _exhausted(self, message: Message) -> bool:
        policy = self.redrive_policy
        return (
            self.dead_letter_queue is not None
            and bool(policy)
            and message.approximate_receive_count >= policy["maxReceiveCount"]
        )

    def _expired(self, message: Message) -> bool:
        return bool(
            int(message.sent_timestamp or 0) / 1000 + self.message_retention_period <= unix_time()
        )

    def _hide(self, message: Message, until_ms: float) -> None:
        self._hidden[message.id] = until_ms
        heapq.heappush(self._heap, (until_ms, next(self._order), message.id))
        # What is deleted was to be hidden for minutes or hours: its entries would pile up.
        if len(self._heap) > 2 * len(self._hidden) + _MOST_STALE:
            self._heap = [entry for entry in self._heap if self._hidden.get(entry[2]) == entry[0]]
            heapq.heapify(self._heap)

    def _release(self) -> None:
        """Make ready what is no longer hidden."""
        now_ms = unix_time_millis()
        while self._heap and self._heap[0][0] <= now_ms:
            until_ms, _, id_ = heapq.heappop(self._heap)
            if self._hidden.get(id_) == until_ms:
                message = self._messages[id_]
                self._show(message)
                self._ready.append(message)

    def _show(self, message: Message) -> None:
        if self._hidden.pop(message.id, None) is not None and message.approximate_receive_count:
            self._in_flight -= 1

    def _next_release_s(self) -> float:
        if not self._heap:
            return float("inf")
        return max(self._heap[0][0] - unix_time_millis(), 0.0) / 1000

    def _message(self, receipt_handle: str) -> Message:
        try:
            return self._receipts[receipt_handle]
        except KeyError:
            raise ReceiptHandleIsInvalid() from None

    def _forget(self, message: Message) -> list[str]:
        """Remove a message; returns the receipt handles it had."""
        self._show(message)
        self._messages.pop(message.id, None)
        handles = [handle for handle in message.all_receipt_handles if handle]
        for handle in handles:
            self._receipts.pop(handle, None)
        return handles


def _receive_message(
    backend: Any,
    queue_name: str,
    count: int,
    wait_seconds_timeout: int,
    visibility_timeout: int,
    message_attribute_names: list[str] | None = None,
) -> Any:
    queue = backend.get_queue(queue_name)
    names = message_attribute_names or []
    if not isinstance(queue, StandardQueue):
        return _moto_receive(
            backend, queue_name, count, wait_seconds_timeout, visibility_timeout, names
        )
    messages = queue.receive(count, float(wait_seconds_timeout), int(visibility_timeout or 0))
    for message in messages:
        _moto._filter_message_attributes(message, names)
    return messages


def _change_message_visibility(
    backend: Any, queue_name: str, receipt_handle: str, visibility_timeout: int
) -> None:
    queue = backend.get_queue(queue_name)
    if isinstance(queue, StandardQueue):
        queue.change_visibility(receipt_handle, int(visibility_timeout))
    else:
        _moto_change_visibility(backend, queue_name, receipt_handle, visibility_timeout)


def _purge_queue(backend: Any, queue_name: str) -> None:
    queue = backend.get_queue(queue_name)
    if isinstance(queue, StandardQueue):
        queue.clear()
    else:
        _moto_purge(backend, queue_name)


def install() -> None:
    """Let queues that moto creates from now on be `StandardQueue`s; doing it twice is no error."""
    _moto.Queue = StandardQueue
    _moto.SQSBackend.receive_message = _receive_message
    _moto.SQSBackend.change_message_visibility = _change_message_visibility
    _moto.SQSBackend.purge_queue = _purge_queue


def wake_receivers() -> None:
    """Let every long poll that is under way return at once, with no messages."""
    for account in list(_moto.sqs_backends.values()):
        for backend in list(account.values()):
            for queue in list(backend.queues.values()):
                if isinstance(queue, StandardQueue):
                    queue.wake()
