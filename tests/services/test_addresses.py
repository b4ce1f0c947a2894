"""Addresses in one line."""

from __future__ import annotations

from services.addresses import address_of


def test_the_host_of_an_address_has_brackets_where_it_holds_colons_itself() -> None:
    assert address_of("127.0.0.1", 8051) == "127.0.0.1:8051"
    assert address_of("service1", 8051) == "service1:8051"
    assert address_of("::1", 8051) == "[::1]:8051"
