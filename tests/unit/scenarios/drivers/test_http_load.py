"""What the `http` driver tells the process of a load, and what may not be sent."""

from typing import Any

import pytest

from scenarios.domain.errors import StepFailed, StepImpossible, StepNotSent
from scenarios.drivers.http import Http
from scenarios.drivers.http_arguments import HttpArguments
from scenarios.engine.step_platform import StepPlatform
from scenarios.ports import Connection, Intent
from tests.fakes import NoServices


class Gate:
    """Notes what is asked for; refuses port 9."""

    def __init__(self) -> None:
        self.asked: list[tuple[Connection, Intent]] = []

    async def admit(self, connection: Connection, intent: Intent) -> frozenset[str]:
        self.asked.append((connection, intent))
        if connection.addresses[0][1] == 9:
            raise StepImpossible("nobody has approved it")
        return frozenset()


async def prepare(gate: Gate, **arguments: Any) -> Any:
    platform = StepPlatform(NoServices(), gate, Intent.ACT, frozenset())
    return await Http().prepare_load(HttpArguments.model_validate(arguments), platform)


async def test_the_addresses_pass_the_gate_as_those_of_an_action() -> None:
    gate = Gate()
    draft = await prepare(
        gate, url="http://127.0.0.1:8/${item}", method="POST", json={"a": 1}, query={"q": ["x", 2]}, ok=[201]
    )
    assert gate.asked == [(Connection("127.0.0.1", (("127.0.0.1", 8),)), Intent.ACT)]
    assert (draft["url"], draft["addresses"]) == ("http://127.0.0.1:8/${item}", [["127.0.0.1", 8]])
    assert (draft["method"], draft["has_json"], draft["json"], draft["ok"]) == ("POST", True, {"a": 1}, [201])
    assert draft["query"] == [("q", "x"), ("q", "2")]
    assert not draft["is_tls"]


@pytest.mark.parametrize(
    ("url", "error", "sentence"),
    [
        ("http://127.0.0.1:9/", StepImpossible, "nobody has approved it"),
        ("http://me:secret@127.0.0.1:8/", StepImpossible, "takes no user and password in its URL"),
        (f"http://{'x' * 64}.test/", StepNotSent, "cannot be resolved"),
    ],
)
async def test_forbidden_requests_are_refused(url: str, error: type[StepFailed], sentence: str) -> None:
    with pytest.raises(error, match=sentence):
        await prepare(Gate(), url=url)
