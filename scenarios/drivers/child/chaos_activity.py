"""Calls one activity of a Chaos Toolkit extension, in its own process.

The request is JSON on standard input, and the response JSON on standard output. Everything that the activity
prints goes to standard error.
"""

import json
import os
import sys
from typing import Any

MAX_VALUE_LENGTH = 60 * 1024


def call(request: dict[str, Any]) -> dict[str, Any]:
    try:
        from chaoslib.exceptions import ActivityFailed  # noqa: PLC0415 - it may be missing
        from chaoslib.provider.python import run_python_activity  # noqa: PLC0415
    except ImportError as error:
        return {"impossible": f"chaostoolkit-lib cannot be imported: {error}; check that it is installed"}
    provider = {name: request[name] for name in ("module", "func", "arguments")}
    activity = {"name": "step", "provider": {"type": "python", **provider, "secrets": ["step"]}}
    try:
        value = run_python_activity(activity, request["configuration"], {"step": request["secrets"]})
    except ActivityFailed as error:
        return {"failed": str(error)}
    except (ImportError, AttributeError) as error:
        return {"impossible": f"{type(error).__name__}: {error}"}
    except BaseException as error:  # noqa: BLE001 - it raises bare TypeError, KeyError and SystemExit as well
        return {"failed": f"{type(error).__name__}: {error}"}
    return encode_value(value)


def encode_value(value: Any) -> dict[str, Any]:
    """Encode the returned value. Errors are failures, not 'impossible': the activity has been called."""
    try:
        encoded = json.dumps(value, default=str)
    except Exception as error:  # noqa: BLE001 - str() of the extension's objects may raise anything
        return {"failed": f"{type(error).__name__}: {error}"}
    if len(encoded) <= MAX_VALUE_LENGTH:
        return {"value": json.loads(encoded)}
    note = f"{len(encoded) - MAX_VALUE_LENGTH} more characters of the value were cut"
    return {"value": encoded[:MAX_VALUE_LENGTH], "note": note}


if __name__ == "__main__":
    answer = os.dup(1)
    os.dup2(2, 1)
    os.write(answer, json.dumps(call(json.load(sys.stdin))).encode())
