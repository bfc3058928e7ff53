"""The nginx examples of docs/operating.md, with a real nginx: TLS, and a path that others share."""

import http.cookiejar
import re
import ssl
import urllib.error
import urllib.parse
import urllib.request
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.servers.certificates import Authority
from tests.servers.coordinator import PROJECT, coordinator
from tests.servers.documented import Page
from tests.servers.loopback import free_port
from tests.servers.nginx import nginx

pytestmark = pytest.mark.nginx

TLS, BELOW = Page(PROJECT / "docs" / "operating.md").blocks("nginx")
PREFIX = "/coordinator"
PASSWORD = "a-password-of-the-test"
STATIC = "/static/scenarios/page.js"


class Links(HTMLParser):
    """Every address that a page of the site leads to or loads."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in {"href", "src", "action", "hx-get", "hx-post"} and value and value[0] not in "#?":
                self.found.add(value)


class Browser:
    """Keeps cookies, and trusts the test's authority."""

    def __init__(self, authority: Path) -> None:
        context = ssl.create_default_context(cafile=str(authority))
        self.cookies = http.cookiejar.CookieJar()
        self._opener = urllib.request.build_opener(
            urllib.request.HTTPSHandler(context=context), urllib.request.HTTPCookieProcessor(self.cookies)
        )

    def open(self, address: str, **form: str) -> tuple[str, str, dict[str, str]]:
        """Where it ended, the page, and its headers."""
        body = urllib.parse.urlencode(form).encode() if form else None
        request = urllib.request.Request(address, body, {"Referer": address} if form else {})
        with self._opener.open(request, timeout=120) as answer:
            return answer.url, answer.read().decode(), dict(answer.headers)

    def log_in(self, address: str) -> tuple[str, str]:
        page = self.open(address)[1]
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
        assert token
        url, page, _ = self.open(
            address, username="admin", password=PASSWORD, csrfmiddlewaretoken=token[1], next=""
        )
        return url, page


def adapt(block: str, folder: Path, port: int, upstream: int) -> str:
    """The example, for this machine."""
    block = block.replace("listen 443 ssl", f"listen 127.0.0.1:{port} ssl")
    block = re.sub(r"/etc/ssl/\S+\.(pem|key);", f"{folder}/localhost.pem;", block)
    assert "127.0.0.1:8080" in block
    return block.replace("127.0.0.1:8080", f"127.0.0.1:{upstream}")


def get_status(address: str, **headers: str) -> int:
    try:
        with urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=120) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def test_with_tls_links_and_cookies_are_secure_and_metrics_stay_inside(tmp_path: Path) -> None:
    port = free_port()
    authority = Authority(tmp_path)
    authority.issue("localhost", "localhost.pem")
    settings = {"PUBLIC_URL": f"https://localhost:{port}", "TRUSTED_PROXIES": "1", "WEB_CONCURRENCY": "1"}
    production = {"ENVIRONMENT": "production", "SECRET_KEY": "k7!" * 20}
    with coordinator(tmp_path / "data", **settings, **production) as installed:
        installed.data.mkdir()
        installed.migrate()
        installed.start_web()
        with nginx(tmp_path, adapt(TLS, tmp_path, port, installed.port), port):
            browser = Browser(authority.path)
            url, page, headers = browser.open(f"https://localhost:{port}/")
            assert url == f"https://localhost:{port}/admin/login/?next=/admin/"
            assert headers["Strict-Transport-Security"] == "max-age=31536000"
            assert all(cookie.secure for cookie in browser.cookies)
            with pytest.raises(urllib.error.HTTPError, match="404"):
                browser.open(f"https://localhost:{port}/metrics")
            assert get_status(f"http://127.0.0.1:{installed.port}/metrics") == 200
            assert "csrfmiddlewaretoken" in page


def test_below_a_prefix_every_link_and_file_is_there(tmp_path: Path) -> None:
    """The example has nginx remove the prefix; one that keeps it works, too."""
    port, other = free_port(), free_port()
    authority = Authority(tmp_path)
    authority.issue("localhost", "localhost.pem")
    settings = {
        "PUBLIC_URL": f"https://localhost:{port}{PREFIX}",
        "TRUSTED_PROXIES": "1",
        "WEB_CONCURRENCY": "1",
        "DJANGO_SUPERUSER_PASSWORD": PASSWORD,
    }
    with coordinator(tmp_path / "data", **settings) as installed:
        installed.data.mkdir()
        installed.migrate()
        installed.manage("createsuperuser", "--noinput", "--username=admin", "--email=a@example.com")
        installed.start_web()
        block = adapt(BELOW, tmp_path, port, installed.port)
        keeping = adapt(BELOW, tmp_path, other, installed.port).replace(
            f":{installed.port}/;", f":{installed.port};"
        )
        with nginx(tmp_path, block + keeping, port, other):
            below = f"https://localhost:{port}{PREFIX}"
            browser = Browser(authority.path)
            url, home = browser.log_in(f"{below}/admin/login/")
            assert url == f"{below}/admin/"
            assert {cookie.path for cookie in browser.cookies} == {PREFIX}
            links = Links()
            links.feed(home)
            assert [link for link in sorted(links.found) if not link.startswith(f"{PREFIX}/")] == []
            without_versions = {link.partition("?")[0] for link in links.found}
            assert {f"{PREFIX}{path}" for path in (STATIC, "/admin/scenarios/run/")} <= without_versions
            for link in (*filter(is_file, sorted(links.found)), f"{PREFIX}/admin/scenarios/run/"):
                browser.open(f"https://localhost:{port}{link}")
            assert f'"{PREFIX}/api/v1/scenarios"' in browser.open(f"{below}/api/v1/openapi.json")[1]
            following = browser.open(f"{below}/api/v1/allow-lists?limit=1")[2]["Link"]
            assert following.startswith(f"<{below}/api/v1/allow-lists?limit=1&cursor=")
            kept = browser.open(f"https://localhost:{other}{PREFIX}/admin/login/?next={PREFIX}/admin/")[1]
            assert f"{PREFIX}{STATIC}" in kept
        # Prometheus and health checks ask the web process itself, without the prefix.
        for path in ("/metrics", "/api/v1/health", f"{PREFIX}/api/v1/health"):
            assert get_status(f"http://127.0.0.1:{installed.port}{path}") == 200


def is_file(link: str) -> bool:
    return link.startswith(f"{PREFIX}/static/")
