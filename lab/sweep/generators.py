"""Who puts the load on in a sweep: how many processes, and on which cores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lab.errors import BadParameter
from lab.placement.cores import cores_beside

__all__ = ["Generators", "read_cores"]


@dataclass(frozen=True, slots=True)
class Generators:
    """The load generators of a sweep, the same in every trial."""

    processes: int = 1
    """How many: more where one is not enough. A closed loop of fewer users has one for each of them."""
    cores: tuple[int, ...] = ()
    """Those that generators have to themselves, one each and in turn; without any, all run anywhere."""

    @property
    def cores_of_servers(self) -> frozenset[int]:
        """The cores that servers are kept on, apart from generators; none where they run anywhere.

        Raises BadParameter as `cores_beside` does.
        """
        return cores_beside(self.cores) if self.cores else frozenset()

    @property
    def parameters(self) -> Mapping[str, Any]:
        """What differs from one generator that runs anywhere, as a sweep's parameters name it."""
        told = {"processes": self.processes, "cpu": list(self.cores)}
        usual = {"processes": 1, "cpu": []}
        return {name: value for name, value in told.items() if value != usual[name]}


def read_cores(value: object) -> tuple[int, ...]:
    """Cores from `1`, `2,3` or a list of them; none from None. Raises BadParameter for what is none."""
    if value is None:
        return ()
    each = value.split(",") if isinstance(value, str) else value if isinstance(value, list) else [value]
    try:
        cores = tuple(dict.fromkeys(int(str(one)) for one in each))
    except ValueError:
        cores = ()
    if not cores or min(cores) < 0:
        raise BadParameter(f"cpu cannot be {value!r}: it takes numbers of cores, as 1 or 2,3")
    return cores
