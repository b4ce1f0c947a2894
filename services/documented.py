"""What is known of service1 to service4 before anything is set: routes, ports and who comes next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from services.environment import SettingsError

__all__ = ["PATHS", "NextHop", "defaults", "is_http_url", "next_hop"]

PATHS = ("/process", "/preprocess", "/analyze", "/report")
"""The routes of services 1 to 4."""

_NUMBERS = {f"service{number}": number for number in range(1, len(PATHS) + 1)}


@dataclass(frozen=True, slots=True)
class NextHop:
    """Who comes after a documented service; `variable` holds its base URL, which is `url` where unset."""

    name: str
    path: str
    variable: str
    url: str


def next_hop(service: str) -> NextHop | None:
    """Who comes after that service, if it is a documented one and not the last."""
    number = _NUMBERS.get(service, len(PATHS))
    if number == len(PATHS):
        return None
    name = f"service{number + 1}"
    return NextHop(name, PATHS[number], f"{name.upper()}_URL", f"http://127.0.0.1:{8051 + number}")


def defaults(service: str, environ: Mapping[str, str]) -> dict[str, Any]:
    """The fields of ServiceSettings that go without saying for that service: none, if it is not documented.

    Raises SettingsError where the variable of the next hop holds no base URL.
    """
    number = _NUMBERS.get(service)
    if number is None:
        return {}
    known: dict[str, Any] = {"port": 8050 + number, "path": PATHS[number - 1]}
    following = next_hop(service)
    if following:
        base = environ.get(following.variable, following.url).rstrip("/")
        if not is_http_url(base, with_path=False):
            raise SettingsError(f"{following.variable} is {base!r}: give a base URL such as {following.url}")
        known["next_service"], known["next_url"] = following.name, base + following.path
        known["hops_left"] = len(PATHS) - number
    return known


def is_http_url(text: str, *, with_path: bool) -> bool:
    """Whether that is `http://host[:port]`, and `/path` after it as asked, and no more than that."""
    try:
        parts = urlsplit(text)
        whole = parts.scheme == "http" and parts.hostname and parts.port != 0 and "@" not in parts.netloc
    except ValueError:
        return False
    clean = text.isascii() and text.isprintable() and not set(text) & set(' <>"{}|\\^`#')
    return bool(whole) and clean and (len(parts.path) > 1) is with_path and (with_path or not parts.query)
