"""Examples in the OpenAPI document, by the names of its schemas."""

from __future__ import annotations

from typing import Any

from tidegate.rest_call import ZERO_UUID

_EVENT = "01M84S15FT6F8BF2YY0Z971PJV"
_RUN = "01M84S15FTK9QCY1KSSTMG17V5"
_STEP = "8843d7f92416211de9ebb963ff4ce28125932878"
_FROM, _UNTIL = "2026-11-23T17:00:00.000Z", "2026-11-23T18:00:00.000Z"

EXAMPLES: dict[str, Any] = {
    "EventObject": {
        "internal_id": _EVENT,
        "account_id": ZERO_UUID,
        "environment_id": ZERO_UUID,
        "environment": "production",
        "source": "",
        "source_id": None,
        "received_at": "2026-11-23T18:00:00.250Z",
        "id": "order-1042",
        "name": "shop/order.placed",
        "data": {"order": 1042, "total": "59.90"},
        "ts": 1795456799000,
        "user": {"id": "u_7"},
    },
    "RunObject": {
        "run_id": _RUN,
        "function_id": "shop-send-receipt",
        "function_version": 1,
        "environment_id": ZERO_UUID,
        "environment": "production",
        "event_id": _EVENT,
        "event_name": "shop/order.placed",
        "batch_id": None,
        "original_run_id": None,
        "replay_id": None,
        "cron": None,
        "status": "Completed",
        "attempt": 1,
        "queued_at": "2026-11-23T18:00:00.291Z",
        "run_started_at": "2026-11-23T18:00:00.291Z",
        "ended_at": "2026-11-23T18:00:30.562Z",
        "output": {"message_id": "m_88"},
    },
    "StepObject": {
        "step_id": _STEP,
        "index": 0,
        "name": "write the letter",
        "op": "run",
        "status": "Completed",
        "attempt": 1,
        "started_at": "2026-11-23T18:00:00.300Z",
        "ended_at": "2026-11-23T18:00:30.550Z",
        "due_at": None,
        "output": "m_88",
        "attempts": [
            {
                "attempt": 0,
                "started_at": "2026-11-23T18:00:00.300Z",
                "ended_at": "2026-11-23T18:00:00.310Z",
                "error": {"name": "ConnectionError", "message": "mail server did not answer"},
            },
            {
                "attempt": 1,
                "started_at": "2026-11-23T18:00:30.301Z",
                "ended_at": "2026-11-23T18:00:30.550Z",
            },
        ],
    },
    "FunctionObject": {
        "id": "shop-send-receipt",
        "app_id": "shop",
        "name": "Send the receipt",
        "triggers": [{"event": "shop/order.placed", "expression": "event.data.total > 100"}],
        "retries": 4,
        "config": {
            "timeout_s": 120,
            "visibility_timeout_s": 720,
            "max_receive_count": 14,
            "batch_size": 10,
            "max_concurrency": 50,
        },
    },
    "JobObject": {
        "id": "01M84S4QJ2Z4ZB6W3Y8B0W1C5T",
        "kind": "replay",
        "status": "Running",
        "function_id": "shop-send-receipt",
        "from": _FROM,
        "until": _UNTIL,
        "run_statuses": ["Failed"],
        "created_at": "2026-11-23T18:02:00.250Z",
        "ended_at": None,
        "found": 150,
        "done": 148,
        "skipped": 2,
        "note": f"run {_RUN} cannot be run again: its event {_EVENT} is no longer stored",
    },
    "InvokedObject": {"run_id": _RUN, "event_id": _EVENT},
    "ErrorAnswer": {"error": "Invalid event ID: nope", "data": None, "status": 400},
    "InvokeBody": {"data": {"order": 1042}, "user": {"id": "u_7"}},
    "RerunBody": {"from_step": _STEP},
    "ReplayBody": {"function_id": "shop-send-receipt", "from": _FROM, "until": _UNTIL},
    "RecoveryBody": {"function_id": "shop-send-receipt", "from": _FROM},
    "CancellationBody": {
        "app_id": "shop",
        "function_id": "send-receipt",
        "started_after": _FROM,
        "started_before": _UNTIL,
        "if": "event.data.order > 1000",
    },
}
