"""The shipped compose files, carried out as docs/operating.md says: `python benchmarks/compose_trial.py`.

    python benchmarks/compose_trial.py [--with docker | podman | podman-compose]

Needs root and what the tests with the markers `compose` and `podman` need. `podman` is what `podman compose`
does: docker-compose speaks to Podman's socket. podman-compose is installed from PyPI. The steps are those of
tests/deployment/test_compose.py with figures, and with the shipped times of alerts. Exits with 1 if a step
misses its goal.
"""

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.goals import Goals
from coordinator_site import __version__
from tests.servers import base_image, own_programs, podman_compose
from tests.servers.compose_project import (
    ALERTMANAGER,
    BASE,
    IMAGE,
    LONG,
    NEXT_IMAGE,
    PROMETHEUS,
    QUEUE,
    ComposeProject,
    way_out,
    write_compose,
    write_mounts,
    write_next_release,
)
from tests.servers.container_engine import ContainerEngine, docker_engine, podman_engine
from tests.servers.coordinator import PROJECT
from tests.servers.distributions import EmptyEnvironment
from tests.servers.loopback import wait_for

PODMAN_COMPOSE = "podman-compose==1.6.0"
LEASE_SECONDS = 15
ALERT = "CoordinatorOutstandingFault"
# `podman` on the PATH of podman-compose: that of the trial, not of the machine. It must not find itself.
PODMAN = """\
#!/bin/sh
export PATH='{path}'
exec {spaces} sh -c 'cd "$0" && exec "$@"' "$PWD" {words} "$@"
"""


def timed(action: Callable[[], object]) -> float:
    begun = time.monotonic()
    action()
    return time.monotonic() - begun


@contextmanager
def engine_and_program(name: str, folder: Path) -> Iterator[tuple[ContainerEngine, Sequence[str]]]:
    """The engine, and the words before those of compose."""
    if name == "docker":
        with docker_engine(storage_driver="overlay2") as engine:
            yield engine, ("docker-compose",)
        return
    with podman_engine(storage_driver="overlay") as engine:
        podman = folder / "podman"
        spaces = engine.podman[: -len(engine.podman_words)]
        words = " ".join(engine.podman_words)
        podman.write_text(PODMAN.format(path=os.environ["PATH"], spaces=" ".join(spaces), words=words))
        podman.chmod(0o755)
        if name == "podman":
            yield engine, podman_compose.PROGRAM
        else:
            installed = EmptyEnvironment(folder / "podman-compose")
            installed.install(PODMAN_COMPOSE)
            path = f"PATH={folder}:{os.environ['PATH']}"
            yield engine, ("env", path, str(installed.programs / "podman-compose"))


def begin(goals: Goals, system: ComposeProject) -> None:
    # Not by `up --build`: Podman would first try to pull the image of the services that do not build it.
    goals.tell("compose build", timed(lambda: system.compose("build")), "s")
    goals.at_most("compose up until ready: images are there", timed(system.up), 60, "s")


def look_at_image(goals: Goals, engine: ContainerEngine) -> None:
    found = engine.ask("GET", f"/images/{IMAGE}/json")
    goals.at_most("the image", found["Size"] / 2**20, 250, "MiB")
    goals.at_least("  its user is 10001", int(found["Config"]["User"] == "10001"), 1)


def carry_out(goals: Goals, system: ComposeProject) -> None:
    said = system.manage("scenario", "run", "dependency-hangs", service="worker")
    goals.at_least("dependency-hangs by the guide's command: passed", int("PASSED" in said), 1)
    system.log_in()
    system.manage("scenario", "import", "-", given=LONG)
    pass_over_api(goals, system, "exchange-latency over the API: passed")


def pass_over_api(goals: Goals, system: ComposeProject, what: str) -> None:
    ended = system.wait_for_end(system.start("exchange-latency"))
    goals.at_least(what, int(ended == ("passed", "clean")), 1)


def kill_worker(goals: Goals, system: ComposeProject) -> None:
    run = system.break_orders()
    os.kill(system.find_process("worker")[0], signal.SIGKILL)
    undone = timed(lambda: wait_for(system.orders_work, what="the fault is undone"))
    goals.at_most("worker killed in a fault: undone after", undone, LEASE_SECONDS + 5, "s")
    ended = system.wait_for_end(run)
    goals.at_least("  its run: interrupted, clean", int(ended == ("interrupted", "clean")), 1)
    back = timed(system.wait_until_ready)
    goals.tell("  its worker is back, started by the engine, after another", back, "s")


def scrape(goals: Goals, system: ComposeProject) -> None:
    wait_for(lambda: system.query("scenario_runs_total") >= 3, what="the runs are scraped")
    goals.at_least("runs that Prometheus has scraped", system.query("scenario_runs_total"), 3)
    wait_for(
        lambda: {rule["health"] for rule in system.list_rules()} == {"ok"}, what="every rule was evaluated"
    )
    active = system.ask(PROMETHEUS, "/api/v1/alertmanagers")["data"]["activeAlertmanagers"]
    goals.at_least("Alertmanagers that Prometheus sends to", len(active), 1)


def fire_alert(goals: Goals, system: ComposeProject) -> None:
    run = system.break_orders()
    system.compose("stop", "exchange")
    system.stop(run)

    def fires() -> bool:
        alerts = system.ask(ALERTMANAGER, "/api/v2/alerts") or []
        return any(alert["labels"]["alertname"] == ALERT for alert in alerts)

    waited = timed(lambda: wait_for(fires, what="Alertmanager has the alert", seconds=900))
    goals.tell(f"undo impossible: Alertmanager has {ALERT} after", waited, "s")
    system.compose("start", "exchange")
    wait_for(lambda: system.count_outstanding() == 0, what="the fault is undone", seconds=600)
    goals.at_most("  outstanding once the service is back", system.count_outstanding(), 0)


def roll(goals: Goals, system: ComposeProject, folder: Path) -> None:
    """A second tag with another migration, while one run goes on and another waits."""
    broken, waiting = system.break_orders(), system.start("long", hold="1s")
    system.files.append(write_next_release(folder))
    goals.tell(
        "image rolled in a fault, with a migration: ready after", timed(lambda: system.up("--build")), "s"
    )
    ended = system.wait_for_end(broken)
    goals.at_least("  the run: interrupted, clean", int(ended == ("interrupted", "clean")), 1)
    ended = system.wait_for_end(waiting)
    goals.at_least("  the run that waited: passed, clean", int(ended == ("passed", "clean")), 1)
    images = {system.find_process(name)[1].rpartition("/")[2] for name in ("web", "worker", "watchdog")}
    goals.at_least("  web, worker and watchdog have the new image", int(images == {NEXT_IMAGE}), 1)
    if images != {NEXT_IMAGE}:
        print(f"  but {images}", flush=True)
    goals.at_least("  nothing is left broken", int(system.orders_work()), 1)
    goals.at_most("  outstanding faults", system.count_outstanding(), 0)


def drain(goals: Goals, system: ComposeProject) -> None:
    """By the guide's words: the run goes on to its end."""
    run = system.start("long", hold="10s")
    wait_for(lambda: not system.orders_work(), what="the fault is injected")
    system.compose("kill", "--signal", "SIGUSR1", "worker")
    ended = system.wait_for_end(run)
    goals.at_least("worker drained: its run passed", int(ended == ("passed", "clean")), 1)
    system.up()


def try_fault_proxy(goals: Goals, engine: ContainerEngine, folder: Path) -> None:
    """The image of the fault proxy alone, tried by the program that is beside its Dockerfile."""
    name = f"fault-proxy:{__version__}"
    build = {"context": str(PROJECT), "dockerfile": "deploy/fault-proxy/Dockerfile"}
    file = write_compose(folder / "fault-proxy.json", {"fault-proxy": {"image": name, "build": build}})
    command = ["docker-compose", "--project-name=fault-proxy", f"--file={file}", "build"]
    subprocess.run(command, env={**os.environ, "DOCKER_HOST": engine.url}, check=True, timeout=1800)
    program = str(PROJECT / "deploy" / "fault-proxy" / "try-image.sh")
    tried = subprocess.run(
        [*engine.inside, "env", f"DOCKER=docker --host {engine.url}", "bash", program, name],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    pages = re.findall(r"(?m)^(\d{3}) in ", tried.stdout)
    goals.at_least(
        "the fault proxy's image: 200, 503 in a fault, 200", int(pages == ["200", "503", "200"]), 1
    )
    goals.at_least("  it ends with 0", int("exit code 0" in tried.stdout), 1)
    if tried.returncode:
        print(f"{tried.stdout}{tried.stderr}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--with", dest="engine", choices=("docker", "podman", "podman-compose"), default="docker"
    )
    chosen = parser.parse_args().engine
    goals = Goals()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="compose-")))
        engine, program = stack.enter_context(engine_and_program(chosen, folder))
        stack.enter_context(way_out(engine))
        goals.tell("a Debian with Python made, to build on", timed(lambda: import_base(engine)), "s")
        own_programs.make_images(engine)
        system = ComposeProject(engine, write_mounts(folder / "programs.json"), program=program)
        if chosen == "podman-compose":
            system.options_of_up = ("--no-deps",)  # which Podman 4.3 cannot follow
        if chosen != "docker":
            stack.enter_context(podman_compose.health_checks(engine))
            system.files.append(podman_compose.write_limits(folder / "limits.json", system.files[:-1]))
        begin(goals, system)
        look_at_image(goals, engine)
        carry_out(goals, system)
        kill_worker(goals, system)
        scrape(goals, system)
        fire_alert(goals, system)
        roll(goals, system, folder)
        drain(goals, system)
        system.files += [QUEUE, write_mounts(folder / "queue.json", queue=True)]
        if chosen != "docker":
            system.files.append(podman_compose.write_limits(folder / "queue-limits.json", [QUEUE]))
        system.up()
        pass_over_api(goals, system, "exchange-latency through RQ on Redis: passed")
        if chosen == "docker":
            try_fault_proxy(goals, engine, folder)
        goals.at_most("compose down, nothing left", timed(system.down), 90, "s")
    return goals.status


def import_base(engine: ContainerEngine) -> None:
    engine.import_image(BASE, base_image.build_root(), *base_image.CHANGES)


if __name__ == "__main__":
    sys.exit(main())
