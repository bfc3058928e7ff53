"""The shipped compose files, carried out by Podman with the image that Docker has built.

`benchmarks/compose_trial.py --with podman` builds it with Podman, and does all that test_compose.py does.
"""

from collections.abc import Iterator

import pytest

from tests.servers import own_programs, podman_compose
from tests.servers.built_image import provide_image
from tests.servers.compose_project import IMAGE, LONG, ComposeProject, write_mounts
from tests.servers.container_engine import podman_engine
from tests.servers.loopback import wait_for

# It may wait for the image.
pytestmark = [pytest.mark.compose, pytest.mark.podman, pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComposeProject]:
    folder = tmp_path_factory.mktemp("compose")
    with podman_engine(storage_driver="overlay") as engine, podman_compose.health_checks(engine):
        own_programs.make_images(engine)
        provide_image(engine)
        mounts = write_mounts(folder / "programs.json")
        system = ComposeProject(engine, mounts, program=podman_compose.PROGRAM)
        system.files.append(podman_compose.write_limits(folder / "limits.json", system.files[:-1]))
        system.up()
        system.log_in()
        system.manage("scenario", "import", "-", given=LONG)
        yield system
        system.down()


def test_scenario_of_the_demo_passes_and_prometheus_counts_it(system: ComposeProject) -> None:
    assert system.find_process("web")[1].rpartition("/")[2] == IMAGE
    said = system.manage("scenario", "run", "dependency-hangs", service="worker")
    assert "PASSED" in said
    wait_for(lambda: system.query("scenario_runs_total") >= 1, what="the run is scraped")


def test_killed_worker_leaves_no_fault_and_comes_back(system: ComposeProject) -> None:
    assert system.kill_worker() == ("interrupted", "clean")
    assert system.count_outstanding() == 0
    system.wait_until_ready()
