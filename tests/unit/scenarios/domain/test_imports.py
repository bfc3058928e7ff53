"""What the language costs whoever imports it."""

import subprocess
import sys


def test_the_domain_and_the_ports_load_no_django_no_metrics_library_and_no_http_client() -> None:
    script = (
        "import sys, scenarios.domain, scenarios.ports, scenarios.language.document, scenarios.drivers.http\n"
        "print(sorted({'django', 'prometheus_client', 'aiohttp'} & set(sys.modules)))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert ended.stdout.strip() == "[]"
