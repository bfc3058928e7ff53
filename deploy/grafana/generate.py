"""Writes the dashboards: `python3 -m deploy.grafana.generate`. Change the code, never the JSON."""

import json
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from deploy.grafana.scenarios import scenarios
from deploy.grafana.service import service
from deploy.grafana.workers import workers

FOLDER = Path(__file__).resolve().parent / "dashboards"
DASHBOARDS = {"service": service, "scenarios": scenarios, "workers": workers}


def generated(name: str) -> str:
    return json.dumps(DASHBOARDS[name]().build(), cls=JSONEncoder, indent=2, sort_keys=True) + "\n"


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name in DASHBOARDS:
        (FOLDER / f"{name}.json").write_text(generated(name))


if __name__ == "__main__":
    main()
