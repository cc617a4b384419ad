"""A manifest with many functions."""

from tidegate.manifest import FunctionManifest, Manifest, TriggerManifest


def many(count: int) -> Manifest:
    """Functions of the app `warehouse` with long names, each with an event of its own."""
    return Manifest(
        tuple(
            FunctionManifest(
                id=f"warehouse-function-with-quite-a-long-name-{number:03}",
                app_id="warehouse",
                name=f"Function {number}",
                module="warehouse",
                triggers=(TriggerManifest(event=f"shop/thing-{number:03}.happened"),),
                retries=4,
                timeout_s=120,
            )
            for number in range(count)
        )
    )
