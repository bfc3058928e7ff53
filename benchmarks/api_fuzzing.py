"""Schemathesis with all checks, with and without a token: `python benchmarks/api_fuzzing.py [--seed 1]`.

On SQLite, or on the database of DATABASE_URL. Exits with 1 if a check failed.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.servers.api_fuzzing import fuzz, fuzzed_installation


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--max-examples", default="100")
    parser.add_argument("--seed", default="1")
    options = parser.parse_args()
    own = {"DATABASE_URL": os.environ["DATABASE_URL"]} if "DATABASE_URL" in os.environ else {}
    failed = 0
    with (
        tempfile.TemporaryDirectory() as folder,
        fuzzed_installation(Path(folder), **own) as (installed, token),
    ):
        for word, used in (("with a token", token), ("without a token", "")):
            done = fuzz(installed, used, "--max-examples", options.max_examples, "--seed", options.seed)
            print(f"{word}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
            failed |= done.returncode
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
