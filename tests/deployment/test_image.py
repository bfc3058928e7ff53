"""What the image needs can be had for the processors that it is built for."""

from pathlib import Path

from tests.servers.coordinator import PROJECT
from tests.servers.distributions import run_uv


def test_every_locked_package_has_a_wheel_for_arm64(tmp_path: Path) -> None:
    """The registry's own word: uv finds one for this system among its files, and would install it."""
    platform = ("--python-platform=aarch64-unknown-linux-gnu", "--python-version=3.13")
    # crontab is pure Python, but has no wheel.
    wheels = ("--only-binary=:all:", "--no-binary=crontab")
    options = ("--dry-run", "--require-hashes", *wheels, *platform, f"--target={tmp_path}")
    run_uv("pip", "install", *options, f"--requirements={PROJECT / 'requirements.txt'}")
