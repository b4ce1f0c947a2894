"""Hosts, ports and URLs as text."""

from __future__ import annotations

import pytest

from services.addresses import address_of, is_loopback


def test_the_host_of_an_address_has_brackets_where_it_holds_colons_itself() -> None:
    assert address_of("127.0.0.1", 8051) == "127.0.0.1:8051"
    assert address_of("service1", 8051) == "service1:8051"
    assert address_of("::1", 8051) == "[::1]:8051"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "::1%lo", "::ffff:127.0.0.1", "localhost"])
def test_a_host_of_this_machine_alone_is_loopback(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host", ["", "0.0.0.0", "::", "192.0.2.1", "::ffff:192.0.2.1", "fe80::1%lo", "127.0.0.1.example", "[::1]"]
)
def test_any_other_host_is_not_loopback(host: str) -> None:
    assert not is_loopback(host)
