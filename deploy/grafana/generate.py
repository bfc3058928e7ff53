"""Writes the dashboards: `python3 -m deploy.grafana.generate`. Change the code, never the JSON.

That of the metrics package, for any Django project, goes into the package's own folder.
"""

import json
from pathlib import Path

from grafana_foundation_sdk.builders.dashboard import Dashboard
from grafana_foundation_sdk.cog.encoder import JSONEncoder

from deploy.grafana.django import django
from deploy.grafana.scenarios import scenarios
from deploy.grafana.service import service
from deploy.grafana.workers import workers

HERE = Path(__file__).resolve().parent
FOLDER = HERE / "dashboards"
PACKAGE_FOLDER = HERE.parents[1] / "metrics_app" / "monitoring"
# The SDK gives every kind of variable these fields, which Grafana knows of those of intervals alone.
OF_INTERVALS = ("auto", "auto_count", "auto_min")
DASHBOARDS = {"service": service, "scenarios": scenarios, "workers": workers}


def generated(name: str) -> str:
    return written(DASHBOARDS[name]())


def written(dashboard: Dashboard) -> str:
    content = json.loads(json.dumps(dashboard.build(), cls=JSONEncoder))
    for variable in content["templating"]["list"]:
        for name in OF_INTERVALS:
            variable.pop(name, None)
    return json.dumps(content, indent=2, sort_keys=True) + "\n"


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name in DASHBOARDS:
        (FOLDER / f"{name}.json").write_text(generated(name))
    PACKAGE_FOLDER.mkdir(exist_ok=True)
    (PACKAGE_FOLDER / "django.json").write_text(written(django()))


if __name__ == "__main__":
    main()
