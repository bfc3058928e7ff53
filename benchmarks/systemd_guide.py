"""The systemd guide in docs/operating.md on a Debian of its own: `python benchmarks/systemd_guide.py`.

As root, with mmdebstrap and systemd-container. The Debian, with PostgreSQL, is made once (some minutes) and
kept in ~/.cache/test-coordinator. It boots each time as it was made, and has no network: pip takes the
packages of requirements.txt from a folder. Prints a line for each step; ends with 1 when one of them is not
as the guide says.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.servers.coordinator import PROJECT
from tests.servers.documented import Page

HERE = Path(__file__).resolve().parent / "systemd"
PACKAGES = (
    "systemd,systemd-sysv,dbus,polkitd,python3,python3-venv,postgresql,redis-server,curl,git,iproute2,"
    "ca-certificates"
)
RELEASE = "bookworm"
BUILD = ("setuptools", "wheel", "packaging")  # of the packages without a wheel
SECONDS = 3600
UNIT = """\
[Unit]
Wants=multi-user.target
After=multi-user.target
[Service]
Type=oneshot
TimeoutStartSec=infinity
WorkingDirectory=/trial
ExecStart=/usr/bin/python3 -u -m benchmarks.systemd.follow_guide
StandardOutput=file:/trial/output
StandardError=file:/trial/errors
ExecStopPost=/bin/systemctl poweroff --force
"""


def make_debian(cache: Path) -> Path:
    root = cache / f"debian-{RELEASE}-systemd-{hashlib.sha256(PACKAGES.encode()).hexdigest()[:12]}"
    if not root.exists():
        being_made = root.with_suffix(".new")
        shutil.rmtree(being_made, ignore_errors=True)
        command = [
            "mmdebstrap",
            "--quiet",
            "--variant=minbase",
            f"--include={PACKAGES}",
            RELEASE,
            str(being_made),
        ]
        subprocess.run(command, check=True)
        being_made.rename(root)
    return root


def fetch_packages(cache: Path) -> Path:
    requirements = PROJECT / "requirements.txt"
    folder = cache / f"wheels-{hashlib.sha256(requirements.read_bytes()).hexdigest()[:12]}"
    if folder.exists():
        return folder
    being_made = folder.with_suffix(".new")
    words = ["download", "--quiet", "--require-hashes", "--no-deps", "--disable-pip-version-check"]
    words += ["--dest", str(being_made), "--requirement", str(requirements)]
    subprocess.run([sys.executable, "-m", "pip", *words], check=True)
    # What only Debian's own Python needs, which is older than this one perhaps.
    more = re.findall(r"^(\S+==\S+) ; python_full_version < ", requirements.read_text(), re.MULTILINE)
    words = ["download", "--quiet", "--no-deps", "--dest", str(being_made), *more, *BUILD]
    subprocess.run([sys.executable, "-m", "pip", *words], check=True)
    return being_made.rename(folder)


def write_trial(folder: Path) -> None:
    """What the machine finds in /trial: the guide's boxes, what follows them, and the repository."""
    page = Page(PROJECT / "docs" / "operating.md")
    boxes = {
        name: next(box for box in page.blocks("text") if words in box)
        for name, words in (
            ("installing", "useradd"),
            ("drop_ins", "systemctl daemon-reload"),
            ("redis", "TASK_BACKEND=rq"),
        )
    }
    table = page.path.read_text().partition("| steps | file |")[2].partition("\n\n")[0]
    rows = [re.findall(r"`([\w-]+\.(?:conf|rules))`", line) for line in table.splitlines()[2:]]
    (folder / "guide.json").write_text(json.dumps({**boxes, "rows": rows}))
    shutil.copytree(HERE, folder / "benchmarks" / HERE.name)
    (folder / "trial.service").write_text(UNIT)
    bare = folder / "repository"
    # Without the links of a worktree, which lead nowhere in there.
    subprocess.run(
        ["git", "clone", "--quiet", "--bare", "--no-hardlinks", str(PROJECT), str(bare)], check=True
    )


def boot(root: Path, folder: Path, wheels: Path) -> None:
    command = ["systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--private-network"]
    command += [
        "--volatile=overlay",
        f"--directory={root}",
        "--console=pipe",
        f"--machine=guide-{os.getpid()}",
    ]
    command += [f"--bind={folder}:/trial", f"--bind-ro={wheels}:/wheels"]
    command += [f"--bind-ro={folder}/trial.service:/run/systemd/system/trial.service"]
    command += ["--boot", "systemd.unit=trial.service"]
    environment = {**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "0"}
    with (folder / "console").open("wb") as console:
        subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=console,
            timeout=SECONDS,
            check=False,
            env=environment,
        )


def main() -> int:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "test-coordinator"
    cache.mkdir(parents=True, exist_ok=True)
    root, wheels = make_debian(cache), fetch_packages(cache)
    with tempfile.TemporaryDirectory(prefix="systemd-guide-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        write_trial(folder)
        boot(root, folder, wheels)
        output = folder / "output"
        text = output.read_text() if output.exists() else (folder / "console").read_text(errors="replace")
        errors = folder / "errors"
        print(text + (errors.read_text() if errors.exists() else ""), end="")
    return 0 if text.endswith("done\n") else 1


if __name__ == "__main__":
    sys.exit(main())
