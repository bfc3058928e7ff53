"""Checks whether something listens at an address, with a connection that sends nothing."""

import asyncio
import socket
from urllib.parse import urlsplit

from scenarios.domain.durations import format_duration
from scenarios.domain.errors import StepFailed
from scenarios.domain.service_urls import DEFAULT_PORTS
from scenarios.drivers.gate import admit, connect
from scenarios.ports import Platform

# Less than the default time of a step, because this is only a check.
MAX_SECONDS = 4.0


async def find_refusal(host: str, port: int, platform: Platform, seconds: float | None = None) -> str:
    """Why the connection failed within MAX_SECONDS, or within these; "" if it succeeded.

    Raises:
        StepImpossible: the run may not touch what is there.
    """
    limit = MAX_SECONDS if seconds is None else seconds
    try:
        async with asyncio.timeout(limit):
            await connect(await admit(host, port, platform))
    except TimeoutError:
        return f"did not answer within {format_duration(limit)}"
    except ConnectionRefusedError:
        return "refused the connection"
    except socket.gaierror as error:
        return f"has a host name that cannot be resolved: {error.strerror}"
    except UnicodeError:
        return "has a host name that is not valid"
    except OSError as error:
        return f"cannot be reached: {error}"
    return ""


async def require_listener(name: str, url: str, platform: Platform) -> None:
    """Check that something listens at this web address.

    Raises:
        StepFailed: nothing listens, or the run may not touch what is there.
    """
    parts = urlsplit(url)
    port = parts.port or DEFAULT_PORTS.get(parts.scheme)
    if parts.hostname and port and (refusal := await find_refusal(parts.hostname, port, platform)):
        raise StepFailed(f"{name} {refusal}")
