"""The words of faults of hosts, and which hosts they choose."""

from typing import Any

import pytest
from pydantic import ValidationError

from coordinator_site.setting_limits import HOST_FAULT_KINDS
from injector.host.kinds import APART, KINDS
from injector.host.store import KIND_NAMES
from scenarios.domain.errors import StepImpossible
from scenarios.drivers.host import choose_hosts
from scenarios.drivers.host_arguments import HostArguments
from scenarios.ports import RegisteredHost
from tests.unit.scenarios.drivers.conftest import build_host_arguments


def test_driver_program_and_settings_know_the_same_kinds() -> None:
    assert tuple(KINDS) == KIND_NAMES == (*HostArguments.KINDS, *APART)
    assert HostArguments.KINDS == HOST_FAULT_KINDS


@pytest.mark.parametrize(
    "words",
    [
        {"blackhole": {"to": "10.0.0.7", "port": 6379}},
        {"where": {"role": "shop"}, "pick": "50%", "seed": 7, "cpu": {"load": "80%", "cores": 2}},
        {"where": {"role": "shop"}, "pick": 1, "loss": {"to": "::1", "share": 0.2}},
        {"pause": {"unit": "shop.service"}},
        {"memory": {"size": "512MiB"}},
        {"reset": {"from": "any", "port": 8000}},
        {"dns": {"names": ["*.example.com"], "answer": "servfail", "delay": "2s"}},
        {"latency": {"to": "10.0.0.7", "port": 5432, "delay": "300ms", "jitter": "50ms"}},
    ],
)
def test_arguments_of_the_documentation_are_valid(words: dict[str, Any]) -> None:
    assert build_host_arguments(**words).kind in words


def test_arguments_are_written_for_the_program() -> None:
    assert build_host_arguments(loss={"from": "10.0.0.7", "share": "20%"}, seed=3).to_wire() == {
        "from": "10.0.0.7",
        "share": 0.2,
        "seed": 3,
    }
    assert build_host_arguments(memory={"size": "1MiB"}).to_wire() == {"size": 1 << 20}
    assert build_host_arguments(cpu={}).to_wire() == {}
    place = {"to": "::1", "port": 1}
    assert build_host_arguments(latency={**place, "delay": "300ms"}).to_wire() == {**place, "delay": 0.3}
    assert build_host_arguments(bandwidth={**place, "rate": "20KiB/s"}).to_wire() == {
        **place,
        "rate": 20 << 10,
    }


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ({}, "the fault has no kind"),
        ({"pause": {"port": 80}, "kill": {"port": 80}}, "cannot be combined: write a fault for each"),
        ({"pause": {}}, "the fault has no process"),
        ({"pause": {"port": 80, "unit": "shop"}}, "name the process in one way"),
        ({"pause": {"unit": "shop; reboot"}}, "String should match pattern"),
        ({"pause": {"pidfile": "run/shop.pid"}}, "is not an absolute path"),
        ({"blackhole": {"port": 80}}, "give 'to' or 'from'"),
        ({"blackhole": {"to": "any"}}, "needs a 'port'"),
        ({"blackhole": {"to": "shop-db"}}, "is not an IP address"),
        ({"latency": {"to": "any", "port": 1, "delay": "1s"}}, "name the address of one host"),
        ({"latency": {"to": "::1", "port": 1, "delay": "1s", "jitter": "2s"}}, "data cannot be early"),
        ({"dns": {"names": ["a"]}}, "give 'answer' or 'delay'"),
        ({"dns": {"answer": "broken"}}, "write 'servfail', 'nxdomain' or an IP address"),
        ({"dns": {"delay": "2m"}}, "is too long"),
        ({"pick": 1, "pause": {"port": 80}}, "'pick' needs 'where'"),
        ({"where": {"a": "b"}, "pick": 0, "pause": {"port": 80}}, "is not a number of hosts"),
        ({"where": {"a": "b"}, "pick": "0%", "pause": {"port": 80}}, "is not a share"),
        ({"memory": {}}, "give either 'size' or 'share'"),
        ({"blackhole": {"to": "${secret:SHOP}"}}, "'blackhole' has a secret, so nobody could know"),
        ({"name": "${secret:HOST}", "pause": {"port": 80}}, "'name' has a secret"),
        ({"where": {"role": "a ${secret:ROLE}"}, "pause": {"port": 80}}, "'where' has a secret"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(words: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        build_host_arguments(**words)


def test_the_same_seed_picks_the_same_hosts_also_when_others_are_registered() -> None:
    def pick(count: int, pick: int | str, seed: int = 7) -> set[str]:
        registered = [RegisteredHost(f"shop-{n}", "", {"role": "shop", "n": str(n)}) for n in range(count)]
        registered.append(RegisteredHost("db", "", {"role": "db"}))
        given = build_host_arguments(where={"role": "shop"}, pick=pick, seed=seed, pause={"port": 80})
        return {host.name for host in choose_hosts(given, registered)}

    assert pick(10, 3) == pick(10, 3)
    assert len(pick(10, "50%")) == 5
    assert len(pick(10, "1%")) == 1
    assert len({frozenset(pick(10, 1, seed)) for seed in range(20)}) > 1
    assert len(pick(10, 5) & pick(11, 5)) >= 4
    with pytest.raises(StepImpossible, match="pick=4 is more than the 3 hosts"):
        pick(3, 4)
    with pytest.raises(StepImpossible, match="no host has the labels role=queue"):
        choose_hosts(build_host_arguments(where={"role": "queue"}, pause={"port": 80}), [])
    with pytest.raises(StepImpossible, match="unknown host 'here'; registered hosts: none yet"):
        choose_hosts(build_host_arguments(pause={"port": 80}), [])
