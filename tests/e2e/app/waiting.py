"""A function that ends only when another one has run meanwhile."""

import threading

from tests.e2e.app import client
from tidegate import ContextSync, TriggerEvent

_begun = threading.Event()
_hurried = threading.Event()


@client.create_function(fn_id="slow", trigger=TriggerEvent(event="wait/begun"))
def slow(ctx: ContextSync) -> bool:
    _begun.set()
    return _hurried.wait(10)


@client.create_function(fn_id="quick", trigger=TriggerEvent(event="wait/*"))
def quick(ctx: ContextSync) -> bool:
    """Also started by what starts the slow one."""
    begun = _begun.wait(10)
    _hurried.set()
    return begun
