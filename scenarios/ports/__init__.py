"""What the engine asks of the outside: drivers to act, a clock to wait, a journal to write."""

from scenarios.domain.plan import FaultCall
from scenarios.ports.clock import Clock
from scenarios.ports.drivers import Driver, FaultDriver, acts_when_probed
from scenarios.ports.journal import Event, Journal
from scenarios.ports.ledger import Fault, Ledger, UndoResult
from scenarios.ports.loads import LoadStarter, RunningLoad
from scenarios.ports.platform import (
    Connection,
    Gate,
    GatedPlatform,
    Intent,
    ListedPlatform,
    ListGate,
    Platform,
    Proxy,
    RegisteredHost,
)

__all__ = [
    "Clock",
    "Connection",
    "Driver",
    "Event",
    "Fault",
    "FaultCall",
    "FaultDriver",
    "Gate",
    "GatedPlatform",
    "GatedSurroundings",
    "Intent",
    "Journal",
    "Ledger",
    "ListGate",
    "ListedPlatform",
    "LoadStarter",
    "Platform",
    "Proxy",
    "RegisteredHost",
    "RunningLoad",
    "Surroundings",
    "UndoResult",
    "acts_when_probed",
]

# The names of earlier versions, for the drivers of sites; they go with the next release.
Surroundings = Platform
GatedSurroundings = GatedPlatform
