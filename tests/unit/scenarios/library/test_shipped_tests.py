"""A new test keeps the comments and the form of the shipped scenario that it is made of."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from scenarios.drivers import documents
from scenarios.library.shipped_tests import list_shipped_tests, write_scalar, write_test
from scenarios.pictures.client_view import SEEN, draw_client_view

TESTS = list_shipped_tests()


@pytest.mark.parametrize("name", TESTS)
def test_every_shipped_test_can_be_written_under_another_name(name: str) -> None:
    test = TESTS[name]
    text = write_test(test, "mine", "Mine: all of it", {"service": "shop", "path": "/a?b={c}, #d"})
    document = documents.read_document(text)
    assert (document.name, document.title) == ("mine", "Mine: all of it")
    assert document.variables["service"].default == "shop"
    assert document.variables["path"].default == "/a?b={c}, #d"
    same = [
        line
        for line in test.text.splitlines()
        if not line.startswith(("  name:", "  title:", "    service:", "    path:"))
    ]
    assert [line for line in same if line not in text.splitlines()] == []


@pytest.mark.parametrize("name", TESTS)
def test_every_shipped_test_has_a_picture_that_says_what_is_seen(name: str) -> None:
    picture = draw_client_view(name)
    assert picture is not None
    assert picture.count("<line") == 5
    assert "Five requests of a client: " in picture


def test_no_picture_is_left_of_a_scenario_that_is_gone() -> None:
    assert set(SEEN) == set(TESTS)
    assert draw_client_view("of my own") is None


@given(st.one_of(st.text(max_size=40), st.integers(), st.floats(allow_nan=False), st.booleans()))
def test_a_value_is_written_so_that_it_is_read_again(value: object) -> None:
    assert yaml.safe_load(f"{{default: {write_scalar(value)}, other: 1}}")["default"] == value
