"""What importing the language loads."""

import subprocess
import sys


def test_domain_and_ports_import_neither_django_nor_metrics_libraries_nor_http_clients() -> None:
    script = (
        "import sys, scenarios.domain, scenarios.ports, scenarios.language.document, scenarios.drivers.http\n"
        "print(sorted({'django', 'prometheus_client', 'aiohttp'} & set(sys.modules)))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=600
    )
    assert ended.stdout.strip() == "[]"
