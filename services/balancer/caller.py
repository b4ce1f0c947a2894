"""Who asks a balancer to change something, and why not just anybody may."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address

__all__ = ["Caller"]

_JSON = b"application/json"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, as far as that decides whether it may change anything: programs on this machine may.

    A web page that somebody looks at on this machine is none of them. Browsers name it in Origin, and let it
    send JSON only where they were told that it may.
    """

    address: str
    """The peer's IP address."""
    from_page: bool = False
    """Whether the request has an Origin."""
    sends_json: bool = True
    """Whether it says that its body is JSON."""

    @classmethod
    def of(cls, address: bytes, lines: Iterable[bytes]) -> Caller:
        """From the peer's address and the header lines of its request."""
        headers = [(name.lower(), value) for name, _, value in (line.partition(b":") for line in lines)]
        types = {
            value.partition(b";")[0].strip().lower() for name, value in headers if name == b"content-type"
        }
        from_page = any(name == b"origin" for name, _ in headers)
        return cls(address.decode(), from_page, types == {_JSON})

    def objection(self, body: bytes) -> tuple[int, str] | None:
        """Status and reason of the refusal to change what it asks for; None if it may."""
        if not _is_loopback(self.address):
            return 403, f"instances are changed from the same machine alone, and {self.address} is another"
        if self.from_page:
            return 403, "instances are not changed by web pages: send no Origin"
        if body and not self.sends_json:
            return 415, "say that the body is JSON: send Content-Type: application/json"
        return None


def _is_loopback(text: str) -> bool:
    try:
        address = ip_address(text)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback
