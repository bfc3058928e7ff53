"""A systemd that boots in a container of this machine's own /usr, with everything else empty, in seconds."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

UNIT = """\
[Unit]
After=multi-user.target
[Service]
Type=oneshot
ExecStart=/usr/bin/python3 /probe/trials.py
StandardOutput=file:/probe/output
StandardError=file:/probe/errors
ExecStopPost=/bin/systemctl poweroff --force
"""


def can_be_had() -> bool:
    programs = all(shutil.which(name) for name in ("systemd-nspawn", "/usr/bin/python3"))
    return programs and os.geteuid() == 0


def run(folder: Path, program: Path, *files: Path, places: Mapping[str, Path] | None = None) -> str:
    """What the program writes that is run there, as root, when the system is up; the files are beside it.

    `places` are paths there, with the files and folders that are found there and cannot be changed.
    """
    for file in files:
        shutil.copy(file, folder)
    shutil.copy(program, folder / "trials.py")
    (folder / "probe.service").write_text(UNIT)
    command = ["systemd-nspawn", "--register=no", "--keep-unit", "--private-network", "--volatile=yes"]
    command += [
        "--directory=/",
        f"--bind={folder}:/probe",
        "--console=pipe",
        f"--machine=probe-{os.getpid()}",
    ]
    command += [f"--bind-ro={folder}/probe.service:/run/systemd/system/probe.service"]
    command += [f"--bind-ro={outside}:{inside}" for inside, outside in (places or {}).items()]
    command += ["--boot", "systemd.firstboot=off", "systemd.unit=probe.service"]
    ended = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
        env={**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "0"},
    )
    output = folder / "output"
    assert output.exists(), ended.stdout + ended.stderr
    return output.read_text() + (folder / "errors").read_text()
