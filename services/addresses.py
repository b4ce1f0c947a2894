"""Hosts, ports and URLs as text: reading them, writing them, and telling which are this machine's own."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv6Address, ip_address
from urllib.parse import urlsplit

from services.environment import NAME_REMEDY, is_name

__all__ = ["Address", "address_of", "is_everywhere", "is_http_url", "is_loopback", "read_addresses"]


def address_of(host: str, port: int) -> str:
    """Return `host:port`, an IPv6 host in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_loopback(host: str) -> bool:
    """Tell whether a host is reached from this machine alone: `localhost`, or a loopback IP address.

    An IPv4 address may be mapped into IPv6, and a scope (`%lo`) may follow. No other name is resolved.
    """
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return host == "localhost"
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback


def is_everywhere(host: str) -> bool:
    """Tell whether to listen on a host is to listen on all addresses: 0.0.0.0 or ::."""
    try:
        return ip_address(host).is_unspecified
    except ValueError:
        return False


def is_http_url(text: str, *, with_path: bool) -> bool:
    """Tell whether the text is `http://host[:port]`, followed by a path exactly where `with_path` is set."""
    try:
        parts = urlsplit(text)
        whole = parts.scheme == "http" and parts.hostname and parts.port != 0 and "@" not in parts.netloc
    except ValueError:
        return False
    clean = text.isascii() and text.isprintable() and not set(text) & set(' <>"{}|\\^`#')
    return bool(whole) and clean and (len(parts.path) > 1) is with_path and (with_path or not parts.query)


_ENTRY = re.compile(
    r"(?:(?P<name>[A-Za-z0-9._-]+)=)?(?P<host>[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):(?P<port>\d+)(?:\*(?P<weight>\d+))?"
)
_NAME_OR_IPV4 = re.compile(r"[A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True)
class Address:
    """The name, host, port and weight of one instance. Raises ValueError for a value that cannot be.

    An IPv6 host is written without brackets. An instance without a name of its own is named after its host.
    """

    name: str
    host: str
    port: int
    weight: int = 1

    def __post_init__(self) -> None:
        if not is_name(self.name) and self.name != self.host:
            raise ValueError(f"an instance has the name {self.name!r}: {NAME_REMEDY}")
        if not _is_host(self.host):
            raise ValueError(f"{self.name} has host {self.host!r}: give a host's name or an IP address")
        if not 0 < self.port < 65536:
            raise ValueError(f"{self.name} has port {self.port}: there are 1 to 65535")
        if self.weight < 1:
            raise ValueError(
                f"{self.name} has weight {self.weight}: a weight is a whole number of at least 1"
            )

    def __str__(self) -> str:
        """Return `service1a=127.0.0.1:8051`: no name where it is the host's, a weight (`*2`) where not 1."""
        name = f"{self.name}=" if self.name != self.host else ""
        weight = f"*{self.weight}" if self.weight != 1 else ""
        return f"{name}{address_of(self.host, self.port)}{weight}"


def read_addresses(text: str) -> tuple[Address, ...]:
    """Read `name=host:port*weight,…`, where name and weight may be left out.

    Raises ValueError with the remedy.
    """
    addresses = []
    for entry in filter(None, (part.strip() for part in text.split(","))):
        match = _ENTRY.fullmatch(entry)
        if match is None:
            raise ValueError(f"{entry!r} is no instance: give service1a=127.0.0.1:8051 or 127.0.0.1:8051")
        host = match["host"].strip("[]")
        name = match["name"] or host
        addresses.append(Address(name, host, int(match["port"]), int(match["weight"] or 1)))
    return tuple(addresses)


def _is_host(text: str) -> bool:
    if ":" not in text:
        return _NAME_OR_IPV4.fullmatch(text) is not None
    try:
        return IPv6Address(text).scope_id is None
    except AddressValueError:
        return False
