"""Entries of allow lists: what is one, and what lies within the settings."""

import pytest

from scenarios.domain.allow_lists import (
    ALL_NETWORKS,
    InvalidEntries,
    ListName,
    find_variables,
    is_in_networks,
    read_entries,
    select_allowed,
)

COMMANDS, FOLDERS, NETWORKS = ListName.COMMANDS, ListName.PIDFILE_DIRS, ListName.NETWORKS
BOUNDS = {
    COMMANDS: ["systemctl", "kubectl:HTTPS_PROXY:NO_PROXY", "/opt/chaos/*"],
    FOLDERS: ["/run/shop"],
    NETWORKS: ["10.0.0.0/8", "fd00::/8"],
}


@pytest.mark.parametrize(
    ("name", "entries", "kept"),
    [
        (COMMANDS, ["systemctl", " systemctl ", "kubectl:NO_PROXY"], ["systemctl", "kubectl:NO_PROXY"]),
        (COMMANDS, ["/opt/chaos/fill-disk", "/opt/chaos/*"], ["/opt/chaos/fill-disk", "/opt/chaos/*"]),
        (COMMANDS, [], []),
        (FOLDERS, ["/run/shop/", "/run/shop/web"], ["/run/shop", "/run/shop/web"]),
        (NETWORKS, ["10.1.0.0/16", "10.2.3.4", "fd00:1::/32"], ["10.1.0.0/16", "10.2.3.4/32", "fd00:1::/32"]),
    ],
)
def test_entries_within_the_setting_are_kept(name: ListName, entries: list[str], kept: list[str]) -> None:
    assert read_entries(name, entries, BOUNDS[name]) == kept


@pytest.mark.parametrize(
    ("name", "entry", "words"),
    [
        (COMMANDS, "sh", "'sh' lies outside what this machine allows: ALLOWED_COMMANDS names 'systemctl'"),
        (COMMANDS, "kubectl:KUBECONFIG", "lies outside"),
        (COMMANDS, "/opt/chaos/../../bin/sh", "is not a command; write a name or an absolute path"),
        (COMMANDS, "/opt/chaos/more/tool", "lies outside"),
        (COMMANDS, "systemctl stop x", "is not a command"),
        (COMMANDS, "kubectl:9", "'9' is not the name of a variable"),
        (COMMANDS, "system\0ctl", "contains a control character"),
        (COMMANDS, "a\ud800", "contains a control character"),
        (COMMANDS, "", "'' is not a command"),
        (COMMANDS, "a" * 301, "has 301 characters; an entry has at most 300"),
        (FOLDERS, "/run/shop/../other", "is not the absolute path of a folder"),
        (FOLDERS, "run", "is not the absolute path of a folder"),
        (FOLDERS, "/run/shopping", "lies outside"),
        (FOLDERS, "/run", "lies outside"),
        (NETWORKS, "10.0.0.0/4", "is not a network (10.0.0.0/4 has host bits set); write it as"),
        (NETWORKS, "example.com", "is not a network; write it as '10.1.0.0/16'"),
        (NETWORKS, "0.0.0.0/0", "lies outside"),
        (NETWORKS, "::/0", "lies outside"),
    ],
)
def test_other_entries_are_refused_with_their_value_the_rule_and_a_hint(
    name: ListName, entry: str, words: str
) -> None:
    with pytest.raises(InvalidEntries) as refused:
        read_entries(name, [*BOUNDS[name][:1], entry], BOUNDS[name])
    [(index, sentence)] = refused.value.errors
    assert index == 1
    assert words in sentence
    assert len(sentence) < 400


def test_too_many_entries_are_refused() -> None:
    with pytest.raises(InvalidEntries, match="201 entries are too many; at most 200 fit"):
        read_entries(COMMANDS, ["systemctl"] * 201, BOUNDS[COMMANDS])


def test_a_setting_that_was_narrowed_later_takes_entries_back() -> None:
    assert select_allowed(COMMANDS, ["systemctl", "kubectl:NO_PROXY"], ["systemctl"]) == ["systemctl"]
    assert select_allowed(COMMANDS, None, ["systemctl"]) == ["systemctl"]


def test_variables_belong_to_their_command() -> None:
    bound = BOUNDS[COMMANDS]
    assert find_variables(bound, "kubectl") == frozenset({"HTTPS_PROXY", "NO_PROXY"})
    assert find_variables(bound, "/opt/chaos/fill") == frozenset()
    for executable in ("sh", "/opt/chaos/a/b", "/opt/chaos/../sh", "/opt/chaos", "chaos/fill"):
        assert find_variables(bound, executable) is None


@pytest.mark.parametrize(
    ("address", "is_in"),
    [
        ("10.1.2.3", True),
        ("::ffff:10.1.2.3", True),
        ("fd00::1%eth0", True),
        ("11.0.0.1", False),
        ("x", False),
    ],
)
def test_addresses_are_found_in_networks(address: str, is_in: bool) -> None:
    assert is_in_networks(address, BOUNDS[NETWORKS]) is is_in
    assert is_in_networks(address, ALL_NETWORKS) is (address != "x")
