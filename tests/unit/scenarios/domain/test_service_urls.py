"""Addresses of services, fault proxies and hosts: what is accepted, and the sentence for what is not."""

import pytest

from scenarios.domain.service_urls import (
    HostAndPort,
    format_ssh_address,
    parse_host_and_port,
    parse_service_url,
    parse_ssh_address,
)

HINTS = r"write it as|begin |leave |must end after|use a number|contains a|is not a URL"


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        ("http://127.0.0.1:9101", "127.0.0.1", 9101),
        ("https://shop.example.com/api", "shop.example.com", 443),
        ("http://payments", "payments", 80),
        ("http://bücher.example:8080", "bücher.example", 8080),
        ("tcp://[::1]:6379", "::1", 6379),
        ("postgres://shop_db:5433/shop", "shop_db", 5433),
        ("postgresql://db/shop", "db", 5432),
        ("redis://cache/1", "cache", 6379),
        ("redis://cache:6380", "cache", 6380),
        ("grpc://[fe80::1%eth0]:50051", "fe80::1%eth0", 50051),
    ],
)
def test_address_of_a_service_has_a_host_and_a_port(url: str, host: str, port: int) -> None:
    assert parse_service_url(url).place == HostAndPort(host, port)


@pytest.mark.parametrize(
    ("url", "part"),
    [
        ("127.0.0.1:9101", "begin it with one of http://, https://, tcp://"),
        ("ftp://shop:21", "unknown scheme 'ftp'"),
        ("mysql://db:3306/shop", "postgres://, postgresql://, redis://, grpc://"),
        ("http://", "has no host"),
        ("http:///health", "has no host"),
        ("http://shop example", "contains a space"),
        ("http://shop\n", "control character"),
        ("http://-shop", "'-shop' in 'http://-shop' is not a host"),
        ("http://shop:99999", "'99999' in 'http://shop:99999' is not a port"),
        ("http://shop:0", "from 1 to 65535"),
        ("http://shop:٨٠", "is not a port"),
        ("http://[::1", "is not a URL"),
        ("tcp://shop", "'tcp://shop' has no port; write it as tcp://127.0.0.1:9000"),
        ("tcp://shop:1/path", "may have nothing else after the port"),
        ("tcp://::1:6379", "has an IPv6 address without brackets; write it as [::1]:8080"),
        ("grpc://shop", "has no port"),
        ("redis://cache:6379/zero", "may have the number of a database after the port"),
        ("postgres://db/shop?password=hunter2", "must end after the host, the port and the database"),
        ("postgres://db/shop/orders", "may have nothing else"),
        ("http://shop/api?version=2", "must end before '?' and '#'"),
        ("https://shop/#top", "must end before '?' and '#'"),
        ("http://shop?", "must end before '?' and '#'"),
    ],
)
def test_other_addresses_are_refused_with_a_hint(url: str, part: str) -> None:
    with pytest.raises(ValueError, match=HINTS) as refused:
        parse_service_url(url)
    assert part in str(refused.value)


def test_web_address_may_have_a_password_as_in_earlier_versions() -> None:
    url = "http://ann:hunter2@shop/api"
    assert str(parse_service_url(url, may_have_user=True).place) == "shop:80"
    with pytest.raises(ValueError, match="leave the user and the password out"):
        parse_service_url("redis://ann:hunter2@shop", may_have_user=True)


@pytest.mark.parametrize(
    "url",
    [
        "http://ann:hunter2@shop",
        "tcp://ann:hunter2@shop:1",
        "postgres://ann:hunter2@db/shop",
        "redis://:hunter2@c",
        "ann:hunter2@shop",
    ],
)
def test_password_in_an_address_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ValueError, match=HINTS) as refused:
        parse_service_url(url)
    assert "hunter2" not in str(refused.value)
    assert "secrets" in str(refused.value) or "://" not in url


@pytest.mark.parametrize(
    "text", ["127.0.0.1", "127.0.0.1:", ":5433", "127.0.0.1:postgres", "", "::1:5433", "a b:1"]
)
def test_listener_without_host_and_port_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"write it as|is not a port"):
        parse_host_and_port(text)


def test_listener_may_be_of_ipv6() -> None:
    assert str(parse_host_and_port("[::1]:5433")) == "[::1]:5433"


@pytest.mark.parametrize(
    ("address", "full"),
    [
        ("chaos@shop-1", "chaos@shop-1:22"),
        ("chaos@10.0.0.7:2222", "chaos@10.0.0.7:2222"),
        ("chaos@[fd00::7]", "chaos@[fd00::7]:22"),
        ("", ""),
    ],
)
def test_ssh_address_gets_its_port(address: str, full: str) -> None:
    assert format_ssh_address(address) == full


@pytest.mark.parametrize(
    "address",
    [
        "shop-1",
        "@shop-1",
        "chaos@",
        "chaos@shop-1:x",
        "-oProxyCommand=x@shop",
        "chaos:hunter2@shop-1",
        "chaos@-shop",
        "a b@shop",
    ],
)
def test_other_ssh_addresses_are_refused(address: str) -> None:
    with pytest.raises(ValueError, match=r"write it as|is not a port") as refused:
        parse_ssh_address(address)
    assert "hunter2" not in str(refused.value)
