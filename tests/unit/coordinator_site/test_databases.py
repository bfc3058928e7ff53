"""What this product sets of its database, and what an operator may set otherwise."""

import environ

from coordinator_site.databases import add_options


def options(url: str) -> dict[str, object]:
    found: dict[str, object] = add_options(environ.Env.db_url_config(url))["OPTIONS"]
    return found


def test_many_processes_may_write_to_one_sqlite_file() -> None:
    assert options("sqlite:////tmp/coordinator.sqlite3")["transaction_mode"] == "IMMEDIATE"


def test_a_connection_to_postgresql_is_given_up_within_seconds() -> None:
    assert options("postgres://someone@database/coordinator")["tcp_user_timeout"] == 10_000


def test_options_in_the_database_address_apply() -> None:
    found = options("postgres://someone@database/coordinator?tcp_user_timeout=60000&sslmode=require")
    assert (int(str(found["tcp_user_timeout"])), found["sslmode"]) == (60_000, "require")
    assert found["connect_timeout"] == 5
