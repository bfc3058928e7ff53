"""Judges dashboards by the types of Grafana's own package for them, which TypeScript compares strictly."""

import json
import re
import shutil
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.servers.node import Node

TYPESCRIPT = "typescript@5.9.3"
PACKAGE = "@grafana/schema"
# The oldest version that the dashboards are for, and the newest one. Only the former has types of queries,
# which have moved to the data source since.
OLDEST, NEWEST = "10.1.9", "13.2.3"
QUERY = "oldest/dist/esm/raw/composable/prometheus/dataquery/x/PrometheusDataQuery_types.gen.d.ts"
PANEL = "dist/esm/raw/composable/{kind}/panelcfg/x/{name}PanelCfg_types.gen.d.ts"
INDEX = {"oldest": "dist/index.d.ts", "newest": "dist/types/index.d.ts"}
BOARD = Path(__file__).parent / "grafana" / "board.ts"


class GrafanaTypes:
    """A folder with both versions."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._node = Node(folder)
        self._node.add(TYPESCRIPT, f"oldest@npm:{PACKAGE}@{OLDEST}", f"newest@npm:{PACKAGE}@{NEWEST}")
        shutil.copy(BOARD, folder)

    def find_errors(self, version: str, dashboards: Mapping[str, Any]) -> dict[str, list[str]]:
        """What TypeScript says about each of them, by `version`: oldest or newest."""
        for name, content in dashboards.items():
            text = (
                f'import type {{ Board }} from "./board";\nexport const it = {json.dumps(content, indent=1)}'
            )
            (self._folder / f"{name}.ts").write_text(f"{text} satisfies Board;\n")
        self._configure(version, [f"{name}.ts" for name in dashboards])
        compiler = self._folder / "node_modules" / "typescript" / "bin" / "tsc"
        done = self._node.run(str(compiler), "--project", ".", "--pretty", "false")
        found: dict[str, list[str]] = {name: [] for name in dashboards}
        others = defaultdict(list, found)
        for name, words in re.findall(r"(?m)^([\w./-]+?)(?:\.d)?\.ts\((.+)$", done.stdout):
            others[name].append(words)
        assert others.keys() == found.keys(), done.stdout
        assert (done.returncode == 0) is not any(found.values()), done.stdout + done.stderr
        return found

    def _configure(self, version: str, files: list[str]) -> None:
        panels = {
            f"grafana/{kind}": [f"./node_modules/{version}/{PANEL.format(kind=kind, name=name)}"]
            for kind, name in (("stat", "Stat"), ("timeseries", "TimeSeries"))
        }
        options = {
            "strict": True,
            "noEmit": True,
            "module": "esnext",
            "moduleResolution": "bundler",
            "skipLibCheck": True,
            "types": [],
            "paths": {
                PACKAGE: [f"./node_modules/{version}/{INDEX[version]}"],
                "grafana/prometheus": [f"./node_modules/{QUERY}"],
                **panels,
            },
        }
        (self._folder / "tsconfig.json").write_text(json.dumps({"compilerOptions": options, "files": files}))
