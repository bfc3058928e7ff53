"""Whether something listens at an address: one connection, by which nothing is sent."""

import asyncio
import socket
from urllib.parse import urlsplit

from scenarios.domain.durations import format_duration
from scenarios.domain.errors import StepFailed
from scenarios.drivers.gate import admit, connect
from scenarios.ports import Platform

_PORTS = {"http": 80, "https": 443}
# Less than what a step may take by default: it is only looked at.
MAX_SECONDS = 4.0


async def find_refusal(host: str, port: int, platform: Platform, seconds: float = MAX_SECONDS) -> str:
    """Why there is no connection; "" where there is one.

    Raises:
        StepImpossible: the run may not touch what is there.
    """
    try:
        async with asyncio.timeout(seconds):
            await connect(await admit(host, port, platform))
    except TimeoutError:
        return f"did not answer within {format_duration(seconds)}"
    except ConnectionRefusedError:
        return "refused the connection"
    except socket.gaierror as error:
        return f"has a name that cannot be resolved: {error.strerror}"
    except UnicodeError:
        return "has a name that cannot be resolved: it is not a host name"
    except OSError as error:
        return f"cannot be reached: {error}"
    return ""


async def require_listener(name: str, url: str, platform: Platform) -> None:
    """Look whether something listens at this web address.

    Raises:
        StepFailed: nothing does, or the run may not touch what is there.
    """
    parts = urlsplit(url)
    port = parts.port or _PORTS.get(parts.scheme)
    if parts.hostname and port and (refusal := await find_refusal(parts.hostname, port, platform)):
        raise StepFailed(f"{name} {refusal}")
