"""The postgresql driver as a probe, against a real server: what it reads, and what its errors say."""

import asyncio
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from pydantic import ValidationError
from pytest_django.fixtures import Settings

from scenarios.domain.errors import StepFailed, StepImpossible, StepNotDone, StepNotSent
from scenarios.drivers.postgresql import Postgresql, PostgresqlArguments
from tests.servers.loopback import wait_for
from tests.servers.postgresql import PostgreSQL

from .conftest import Platform, Respond, Serve

ODD_PASSWORD = "p'a\\s s=@:/%41#?"
pytestmark = pytest.mark.postgresql


@pytest.fixture(scope="module")
def database(postgresql_server: PostgreSQL) -> Iterator[str]:
    """A database with a table, and a role that needs a password."""
    database_url = postgresql_server.new_database()
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE orders (id int PRIMARY KEY, price numeric, placed timestamptz)")
        connection.execute("INSERT INTO orders VALUES (1, 9.5, '2026-01-02T03:04:05Z'), (2, 'NaN', NULL)")
        password = psycopg.sql.Literal(ODD_PASSWORD)
        connection.execute(psycopg.sql.SQL("CREATE ROLE guarded LOGIN PASSWORD {}").format(password))
        connection.execute("CREATE ROLE only_by_tls LOGIN")
        postgresql_server.put_first(
            "host all guarded all scram-sha-256",
            "hostssl all only_by_tls all trust",
            "host all only_by_tls all reject",
        )
        wait_for(lambda: is_refused(database_url.replace("coordinator@", "guarded@")), what="the rules hold")
        yield database_url.replace("coordinator@", "")
        connection.execute("DROP ROLE guarded")
        connection.execute("DROP ROLE only_by_tls")


def is_refused(url: str) -> bool:
    try:
        psycopg.connect(url).close()
    except psycopg.OperationalError:
        return True
    return False


async def ask(url: str, query: str, **words: Any) -> dict[str, Any]:
    arguments = PostgresqlArguments.model_validate(
        {"service": "exchange", "user": "coordinator", "query": query, **words}
    )
    return dict(await Postgresql().probe(arguments, Platform(url)))


async def test_only_column_of_the_only_row_is_the_value(database: str) -> None:
    seen = await ask(database, "SELECT count(*) FROM orders")
    assert (seen["value"], seen["rows"], seen["count"]) == (2, [{"count": 2}], 1)


async def test_types_that_json_lacks_become_text(database: str) -> None:
    seen = await ask(database, "SELECT price, placed, '1 day'::interval AS age, '\\x00'::bytea b FROM orders")
    assert seen["rows"] == [
        {"price": 9.5, "placed": seen["rows"][0]["placed"], "age": 86400.0, "b": "AA=="},
        {"price": "NaN", "placed": None, "age": 86400.0, "b": "AA=="},
    ]
    assert str(seen["rows"][0]["placed"]).startswith("2026-01-02T")
    assert "value" not in seen


async def test_parameters_are_not_part_of_the_query(database: str) -> None:
    seen = await ask(database, "SELECT id FROM orders WHERE id = %s", parameters=[2])
    assert seen["value"] == 2
    assert (await ask(database, "SELECT 7 % 4"))["value"] == 3


async def test_many_rows_are_cut_with_a_note(database: str) -> None:
    seen = await ask(database, "SELECT * FROM generate_series(1, 5000)")
    assert seen["count"] == 1000
    assert "more than these 1000 rows" in seen["note"]
    wide = await ask(database, "SELECT repeat('x', 100000) FROM generate_series(1, 500)")
    assert wide["count"] < 20


@pytest.mark.parametrize(
    "query",
    [
        "INSERT INTO orders VALUES (3) RETURNING id",
        "WITH new AS (INSERT INTO orders VALUES (3) RETURNING id) SELECT * FROM new",
        "SELECT 1; INSERT INTO orders VALUES (3)",
        "COMMIT",
        "DO $$ BEGIN INSERT INTO orders VALUES (3); END $$",
        "COPY orders TO '/tmp/test-coordinator-orders'",
        "SELECT nextval('numbers')",
        "SELECT id FROM orders FOR UPDATE",
    ],
)
async def test_query_that_would_change_something_is_refused(database: str, query: str) -> None:
    with psycopg.connect(database, user="coordinator", autocommit=True) as connection:
        connection.execute("CREATE SEQUENCE IF NOT EXISTS numbers")
        with pytest.raises(StepNotDone, match="exchange at postgres://"):
            await ask(database, query)
        assert connection.execute("SELECT count(*) FROM orders").fetchone() == (2,)


async def test_slow_query_is_ended_by_the_server_too(database: str) -> None:
    with pytest.raises(StepFailed, match=r"did not answer within 300ms|statement timeout"):
        await ask(database, "SELECT pg_sleep(1000)", timeout="300ms")
    with psycopg.connect(database, user="coordinator", autocommit=True) as connection:
        running = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%%pg_sleep(1000)%%' AND pid <> %s"
        own = connection.info.backend_pid
        wait_for(lambda: connection.execute(running, [own]).fetchone() == (0,), what="the query has ended")


async def test_password_may_contain_any_character(database: str) -> None:
    seen = await ask(database, "SELECT current_user::text", user="guarded", password=ODD_PASSWORD)
    assert seen["value"] == "guarded"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ({"user": "guarded", "password": "wrong"}, "refused the user or its password"),
        ({"user": "guarded"}, "asks for a password"),
        ({"user": "only_by_tls"}, "pg_hba.conf has no fitting line"),
        ({"sslmode": "require"}, "does not offer TLS"),
        ({"database": "no_such_database"}, 'database "no_such_database" does not exist'),
        ({"user": "nobody_knows"}, 'role "nobody_knows" does not exist'),
    ],
)
async def test_refused_connection_has_a_sentence(database: str, words: dict[str, Any], sentence: str) -> None:
    with pytest.raises(StepNotSent, match=f"exchange at postgres://.*{sentence}") as refusal:
        await ask(database, "SELECT 1", **words)
    assert "wrong" not in str(refusal.value)


async def test_environment_gives_no_password_away(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSWORD", ODD_PASSWORD)
    monkeypatch.setenv("PGOPTIONS", "-c work_mem=1MB")
    with pytest.raises(StepNotSent, match="asks for a password"):
        await ask(database, "SELECT 1", user="guarded")
    assert (await ask(database, "SELECT current_setting('work_mem')"))["value"] != "1MB"


async def test_server_that_never_answers_ends_the_step_in_time(serve: Serve) -> None:
    with pytest.raises(StepNotSent, match="did not answer within 200ms"):
        await ask((await serve(saying(b""))).replace("http", "postgres"), "SELECT 1", timeout="200ms")


async def test_server_of_another_kind_is_recognised(serve: Serve) -> None:
    url = (await serve(saying(b"HTTP/1.1 400 Bad Request\r\n\r\n"))).replace("http", "postgres")
    with pytest.raises(StepNotSent, match="exchange at"):
        await ask(url, "SELECT 1", sslmode="disable", timeout="60s")


def saying(answer: bytes) -> Respond:
    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(answer)
        if not answer:
            await asyncio.sleep(300)

    return respond


async def test_closed_port_refuses(closed_port: int) -> None:
    arguments = PostgresqlArguments.model_validate({"service": "exchange", "query": "SELECT 1"})
    platform = Platform(f"postgres://127.0.0.1:{closed_port}")
    with pytest.raises(StepNotSent, match=r"refused the connection$"):
        await Postgresql().probe(arguments, platform)
    with pytest.raises(StepFailed, match="refused the connection"):
        await Postgresql().reach(arguments, platform)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ({"service": "shop", "url": "postgres://host"}, "cannot be combined"),
        ({}, "give 'service' or 'url'"),
        ({"url": "postgres://me:hidden@host"}, "leave the user and the password out"),
        ({"url": "http://host"}, "unknown scheme 'http'; begin the URL with one of postgres://"),
        ({"url": "postgres://host:0"}, "is not a port"),
        ({"url": "postgres://host:99999"}, "is not a port"),
    ],
)
def test_address_that_makes_no_sense_is_refused(words: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence) as refusal:
        PostgresqlArguments.model_validate({"query": "SELECT 1", **words})
    assert "hidden" not in refusal.value.errors()[0]["msg"]


def test_service_of_another_kind_is_refused() -> None:
    arguments = PostgresqlArguments.model_validate({"service": "exchange", "query": "SELECT 1"})
    with pytest.raises(
        StepImpossible, match="the address of 'exchange' is not one of PostgreSQL: unknown scheme 'http'"
    ):
        Postgresql().check(arguments, Platform("http://127.0.0.1:80"))


async def test_only_registered_services_leaves_no_url(settings: Settings) -> None:
    settings.ONLY_REGISTERED_SERVICES = True
    with pytest.raises(ValidationError, match="'url' is not allowed"):
        PostgresqlArguments.model_validate({"query": "SELECT 1", "url": "postgres://host"})


async def test_action_is_impossible() -> None:
    arguments = PostgresqlArguments.model_validate({"service": "exchange", "query": "SELECT 1"})
    with pytest.raises(StepImpossible, match="only reads"):
        await Postgresql().act(arguments, Platform())
