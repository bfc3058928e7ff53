"""Tokens that a command of the kubeconfig prints, as those of managed clusters."""

import asyncio
import json
import os
import time
from contextlib import suppress
from datetime import datetime

from scenarios.domain.errors import StepNotSent
from scenarios.domain.matchers import format_value
from scenarios.drivers.child.process import scrubbed_environment
from scenarios.drivers.kubernetes.clusters import ExecPlugin

PLUGIN_SECONDS = 30.0
# A token that expires sooner is not used any more.
MARGIN_SECONDS = 30.0
# By plugin: the token, and the time by `time.time` until which it is used.
_kept: dict[ExecPlugin, tuple[str, float]] = {}


async def read_token(plugin: ExecPlugin, *, again: bool = False) -> str:
    """The token that the command prints; kept until it expires, except `again`.

    Raises:
        StepNotSent: the command failed, or printed no token.
    """
    kept, until = _kept.get(plugin, ("", 0.0))
    if kept and not again and time.time() < until:
        return kept
    token, expires = _read_credential(await _run(plugin), plugin)
    _kept[plugin] = token, (expires or time.time() + PLUGIN_SECONDS + MARGIN_SECONDS) - MARGIN_SECONDS
    return token


async def _run(plugin: ExecPlugin) -> bytes:
    asked = {"apiVersion": plugin.api_version, "kind": "ExecCredential", "spec": {"interactive": False}}
    environment = {
        **scrubbed_environment(),
        **{word: os.environ[word] for word in ("HOME",) if word in os.environ},
        **dict(plugin.environment),
        "KUBERNETES_EXEC_INFO": json.dumps(asked),
    }
    name = f"the command {plugin.command!r} of the kubeconfig"
    try:
        child = await asyncio.create_subprocess_exec(
            plugin.command,
            *plugin.arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=environment,
        )
    except OSError as error:
        raise StepNotSent(f"{name} cannot be started: {error.strerror}") from error
    try:
        async with asyncio.timeout(PLUGIN_SECONDS):
            output, errors = await child.communicate()
    except TimeoutError as error:
        raise StepNotSent(f"{name} was still running after {PLUGIN_SECONDS:g} s") from error
    finally:
        with suppress(ProcessLookupError):
            child.kill()
    if child.returncode:
        said = format_value(errors.decode("utf-8", "replace").strip())
        raise StepNotSent(f"{name} failed with exit code {child.returncode}: {said}")
    return output


def _read_credential(output: bytes, plugin: ExecPlugin) -> tuple[str, float]:
    """The token, and when it expires by `time.time`; 0 where it does not say."""
    try:
        status = json.loads(output)["status"]
        token, expires = status["token"], status.get("expirationTimestamp")
        return str(token), datetime.fromisoformat(expires).timestamp() if expires else 0.0
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        # A plugin may print a certificate instead, which is not supported.
        raise StepNotSent(f"the command {plugin.command!r} of the kubeconfig printed no token") from error
