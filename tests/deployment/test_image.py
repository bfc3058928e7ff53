"""What the image needs can be had for the processors that it is built for."""

import re
from pathlib import Path

from tests.servers.coordinator import PROJECT
from tests.servers.distributions import run_uv

# An instruction that says what the image is, with its further lines.
DESCRIPTION = r"(?m)^(?:ENV|LABEL|USER|VOLUME|EXPOSE|HEALTHCHECK|CMD) (?:.*\\\n)*.*$"


def test_every_locked_package_has_a_wheel_for_arm64(tmp_path: Path) -> None:
    """The registry's own word: uv finds one for this system among its files, and would install it."""
    platform = ("--python-platform=aarch64-unknown-linux-gnu", "--python-version=3.13")
    # crontab is pure Python, but has no wheel.
    wheels = ("--only-binary=:all:", "--no-binary=crontab")
    options = ("--dry-run", "--require-hashes", *wheels, *platform, f"--target={tmp_path}")
    run_uv("pip", "install", *options, f"--requirements={PROJECT / 'requirements.txt'}")


def test_both_dockerfiles_describe_the_same_image() -> None:
    """The one for other processors carries nothing out in the image itself, and is otherwise the same."""
    folder = PROJECT / "deploy" / "container"
    own, others = ((folder / name).read_text() for name in ("Dockerfile", "cross.Dockerfile"))
    described = re.findall(DESCRIPTION, own)
    assert {line.split()[0] for line in described} >= {"ENV", "LABEL", "USER", "VOLUME", "HEALTHCHECK", "CMD"}
    assert re.findall(DESCRIPTION, others) == described
    last_stage = others.rpartition("\nFROM ")[2]
    assert re.findall(r"(?m)^RUN ", last_stage) == []
