"""Count attempts by instance from an access log, for balancers that keep no such counts themselves."""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from lab.placement.proxies.formatting import hostport
from lab.placement.proxies.proxy import Count
from services.balancer.settings import BalancerSettings

__all__ = ["AccessLog", "Attempt", "LogCounter"]

Attempt = tuple[str, bool]
"""The address of an instance, as `host:port`, and whether the attempt there failed."""


class AccessLog:
    """A file that grows by lines, read on demand from where the last reading ended.

    Equal lines are counted together before one is parsed: a million lines take a tenth of a second.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._position = 0

    def new_lines(self) -> collections.Counter[str]:
        """Return how often each line was written since the last call; an unfinished line waits."""
        with self._path.open("rb") as file:
            file.seek(self._position)
            text, end, _ = file.read().rpartition(b"\n")
        self._position += len(text) + len(end)
        return collections.Counter(text.decode("utf-8", "replace").split("\n") if text else ())


class LogCounter:
    """A Counter of attempts in lines, by a function that parses one. Other addresses are left out."""

    def __init__(
        self,
        settings: BalancerSettings,
        new_lines: Callable[[], Mapping[str, int]],
        attempts_in: Callable[[str], Iterable[Attempt]],
    ) -> None:
        self._names = {hostport(instance): instance.name for instance in settings.instances}
        self._new_lines = new_lines
        self._attempts_in = attempts_in
        self._requests = dict.fromkeys(self._names.values(), 0)
        self._errors = dict.fromkeys(self._names.values(), 0)

    def counts(self) -> Mapping[str, Count]:
        """Return the counts so far, by the instance's name."""
        for line, times in self._new_lines().items():
            for address, failed in self._attempts_in(line):
                name = self._names.get(address)
                if name is not None:
                    self._requests[name] += times
                    self._errors[name] += times * failed
        return {name: Count(self._requests[name], self._errors[name]) for name in self._names.values()}
