"""A proxy in front of the site may keep or remove the prefix of its addresses."""

from collections.abc import Iterable
from typing import Any

import pytest

from coordinator_site.url_prefixes import accept_prefix


def get_path(environ: dict[str, Any], _start_response: Any) -> Iterable[bytes]:
    return [environ["PATH_INFO"].encode()]


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ("/tc/admin/", "/admin/"),
        ("/tc", "/"),
        ("/tc/", "/"),
        ("/metrics", "/metrics"),
        ("/tcx/admin/", "/tcx/admin/"),
        ("/tc/tc/", "/tc/"),
    ],
)
def test_the_prefix_is_removed_where_the_proxy_has_kept_it(asked: str, answered: str) -> None:
    assert [*accept_prefix(get_path, "/tc")({"PATH_INFO": asked}, None)] == [answered.encode()]


def test_without_a_prefix_the_application_answers_itself() -> None:
    assert accept_prefix(get_path, "") is get_path
