"""A benchmark can be started as its first line says: by its path, from any folder."""

import subprocess
import sys
from pathlib import Path

BENCHMARKS = Path(__file__).resolve().parents[3] / "benchmarks"
# Each is read in the same process, without what the one before it imported and found.
READ = """
import runpy, sys
path, modules = list(sys.path), set(sys.modules)
for script in sys.argv[1:]:
    runpy.run_path(script, run_name="read")
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if name.partition(".")[0] in {"benchmarks", "coordinator_site", "metrics_app", "scenarios", "tests"}:
            del sys.modules[name]
"""


def test_every_script_finds_what_it_imports(tmp_path: Path) -> None:
    scripts = [path for path in BENCHMARKS.glob("*.py") if "sys.path.insert" in path.read_text()]
    assert len(scripts) > 10
    # -P: as where a script is started by its path, the current folder is not looked through.
    ended = subprocess.run(
        [sys.executable, "-P", "-c", READ, *map(str, scripts)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
