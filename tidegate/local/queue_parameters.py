"""The names of all functions' queues in Parameter Store, as the stacks of a stage write them."""

from __future__ import annotations

from collections.abc import Mapping

from tidegate.aws import client
from tidegate.queue_directory import parameter_value, parameters


def write_queue_parameters(path: str, urls: Mapping[str, tuple[str, str]]) -> None:
    """Let there be parameters with those queues, and no others.

    Args:
        path: where they are.
        urls: by function id, the URLs of its queue and of its dead-letter queue.
    """
    ssm = client("ssm")
    wanted = parameters(path, 0, sorted(urls))
    for name, function_ids in wanted.items():
        value = parameter_value(
            {one: (_name(urls[one][0]), _name(urls[one][1])) for one in function_ids}
        )
        ssm.put_parameter(Name=name, Type="String", Value=value, Overwrite=True)
    pages = ssm.get_paginator("get_parameters_by_path").paginate(Path=path, Recursive=True)
    for there in [one["Name"] for page in pages for one in page["Parameters"]]:
        if there not in wanted:
            ssm.delete_parameter(Name=there)


def _name(queue_url: str) -> str:
    return queue_url.rpartition("/")[2]
