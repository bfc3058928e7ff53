"""What a server counts against what its client was answered, while its workers are killed and replaced.

python -m benchmarks.peers.exactness --requests 20000
"""

import argparse
import json
import tempfile
from pathlib import Path

from tests.gunicorn_server import CLIENTS, Load, gunicorn, scraped_meanwhile

WORKERS = 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--requests", type=int, default=20_000)
    requests: int = parser.parse_args().requests
    recycled = {"WEB_CONCURRENCY": str(WORKERS), "WEB_MAX_REQUESTS": "500"}
    with tempfile.TemporaryDirectory() as name, gunicorn(Path(name), **recycled) as server:
        load = Load(server, requests)
        kills = {requests * share // 10: server.kill_a_worker for share in (1, 2, 5, 8)}
        with scraped_meanwhile(server) as totals:
            load.run({**kills, requests * 4 // 10: server.reload, requests * 6 // 10: server.upgrade})
        result = {
            "answered": load.answered,
            "failed": load.failed,
            # A client waits for one answer at a time, and may meet a killed worker twice.
            "in_flight_at_most": 2 * CLIENTS * len(kills),
            "counted": server.counted(),
            "scrapes": len(totals),
            "files": len(list((Path(name) / "metrics").glob("*.db"))),
        }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
