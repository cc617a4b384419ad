"""Moto's calls made about a third cheaper, by not computing the same thing again and again.

Made for moto 5.2.5. What is remembered are pure functions; walking over a parsed expression asks
each node's class once instead of each node; and calls that never leave the process go unsigned,
and always say the same of who calls.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any

import botocore
import moto.core.responses
import moto.core.utils
import moto.dynamodb.responses
import moto.sns.models
import moto.sqs.models
from moto.dynamodb.parsing import ast_nodes, expressions

MOTO_VERSION = "5.2.5"

_MOST_REMEMBERED = 4096

# What is about to be overridden, and so has no types.
_expressions: Any = expressions
_ast_nodes: Any = ast_nodes


def install() -> None:
    """Make moto faster; doing it twice is no error."""
    _remember(moto.core.utils.camelcase_to_underscores)
    _remember(moto.core.utils.method_names_from_class)
    parser = _expressions.UpdateExpressionParser
    if not hasattr(parser.make, "cache_info"):
        # Whoever changes the parsed expression copies it first.
        parser.make = functools.lru_cache(_MOST_REMEMBERED)(parser.make)
    _ast_nodes.DepthFirstTraverser.traverse = _traverse


def leave_unsigned(client: Any) -> None:
    """Let a boto3 client, whose calls moto takes, sign nothing, nor describe itself anew."""
    client.meta.events.register("choose-signer", lambda **_: botocore.UNSIGNED)
    agent = client._user_agent_creator
    agent.to_string = functools.cache(agent.to_string)


def _remember(function: Callable[..., Any]) -> None:
    """Put a function that remembers in the place of a pure one, in all of moto's modules."""
    if hasattr(function, "cache_info"):
        return
    remembering = functools.lru_cache(_MOST_REMEMBERED)(function)
    for name, module in list(sys.modules.items()):
        if name.startswith("moto.") and vars(module).get(function.__name__) is function:
            setattr(module, function.__name__, remembering)


def _traverse(traverser: Any, root: Any) -> Any:
    """As moto's, which computes for each node anew which classes are to be processed."""
    classes = tuple(traverser._processing_map())
    known: dict[type, tuple[bool, bool]] = {}

    def walk(node: Any, child_id: int) -> Any:
        kind = type(node)
        if kind not in known:
            known[kind] = (issubclass(kind, _ast_nodes.Node), issubclass(kind, classes))
        is_node, is_processed = known[kind]
        if is_node:
            parent = node.parent
            for index, child in enumerate(node.children or ()):
                traverser.pre_processing_of_child(node, index)
                walk(child, index)
            if is_processed:
                node = traverser.process(node)
                node.parent = parent
                if parent:
                    parent.children[child_id] = node
        return node

    return walk(root, -1)
