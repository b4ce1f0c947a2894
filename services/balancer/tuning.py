"""Settings of a balancer that a topology leaves open: retries, ejection, checks, limits, queues and more."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

from services.balancer.settings import VARIABLES, BalancerSettings
from services.environment import NONE, SettingsError, Variable
from services.names import nearest

__all__ = ["Tuning", "TuningValue"]

TuningValue = float | bool | tuple[str | int, ...]
"""The value of a setting: a number, a flag, or a list."""

_OWNED = {
    "service": "it is the service's name",
    "name": "a topology names its servers",
    "host": "a topology says where its servers listen",
    "port": "a topology has its ports (move them by an offset)",
    "instances": "a topology lists them (set replicas)",
    "policy": "it is chosen by name (set policy)",
    "seed": "it is the topology's (set seed)",
    "grace_s": "a topology gives its servers a time to finish",
    "hops_left": "it follows from the servers after this one",
    "timeout_s": "it is each service's too (Topology.with_timeout)",
}
"""Settings that follow from the topology, each with the reason."""
_OVER_GRPC = frozenset(
    (
        "idempotent",
        "in_flight_limit",
        "queue_limit",
        "queue_timeout_s",
        "retry_ratio",
        "retry_per_s",
        "failures",
        "backoff_s",
        "backoff_cap_s",
        "check_interval_s",
        "check_timeout_s",
        "rise",
        "fall",
        "panic_threshold",
        "slow_start_s",
        "unready_s",
        "body_limit_bytes",
    )
)
"""Settings that the balancer of gRPC heeds too; the others are about HTTP/1.1."""
_FORM = "write name=value, as retry_ratio=0, and several with spaces between"


@dataclass(frozen=True, slots=True, eq=False)
class Tuning(Mapping[str, TuningValue]):
    """Settings of a balancer by name, in order of name: a mapping that can be hashed and not be changed.

    `Tuning.read` makes it of a mapping or of text, and refuses whatever a balancer would; `str` writes the
    text that it reads: `name=value` pairs with spaces between, the items of a list parted by commas.
    """

    pairs: tuple[tuple[str, TuningValue], ...] = ()

    @classmethod
    def read(cls, given: object) -> Tuning:
        """Return the tuning that a mapping, a text or None (no tuning) stands for.

        Raises SettingsError, naming the setting, for one that does not exist (with the nearest name), that a
        topology owns, or whose value does not fit.
        """
        if isinstance(given, Tuning):
            return given
        if isinstance(given, str):
            texts = _pairs(given)
        elif isinstance(given, Mapping):
            texts = {str(name): _text(str(name), value) for name, value in given.items()}
        elif given is None:
            texts = {}
        else:
            raise SettingsError(f"tuning cannot be {given!r}: give a mapping, as {{retry_ratio: 0}}")
        read = {name: _read(name, text) for name, text in sorted(texts.items())}
        _require_sensible(read)
        return cls(tuple((name, _plain(value)) for name, value in read.items()))

    @property
    def fields(self) -> dict[str, Any]:
        """The settings as fields of BalancerSettings."""
        return {name: frozenset(v) if isinstance(v, tuple) else v for name, v in self.pairs}

    def beyond_grpc(self) -> tuple[str, ...]:
        """Return the names of the settings that a balancer of gRPC would not heed."""
        return tuple(name for name in self if name not in _OVER_GRPC)

    def __getitem__(self, name: str) -> TuningValue:
        return dict(self.pairs)[name]

    def __iter__(self) -> Iterator[str]:
        return (name for name, _ in self.pairs)

    def __len__(self) -> int:
        return len(self.pairs)

    def __hash__(self) -> int:
        return hash(self.pairs)

    def __str__(self) -> str:
        return " ".join(f"{name}={_text(name, value)}" for name, value in self.pairs)


def _variables() -> dict[str, Variable]:
    """Return the variable of each setting that can be tuned: it holds a number, a flag or a list."""
    return {v.field: v for v in VARIABLES if v.field not in _OWNED and v.read is not str}


def _pairs(text: str) -> dict[str, str]:
    texts: dict[str, str] = {}
    for pair in text.split():
        name, equals, value = pair.partition("=")
        if not (name and equals and value):
            raise SettingsError(f"tuning cannot have {pair!r}: {_FORM}")
        if name in texts:
            raise SettingsError(f"tuning has {name} twice: keep one of {texts[name]} and {value}")
        texts[name] = value
    return texts


def _text(name: str, value: object) -> str:
    """Return the text of a value, as an environment variable would have it. Raises SettingsError."""
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, Integral):
        return str(int(value))
    if isinstance(value, Real):
        number = float(value)
        return str(int(number)) if number.is_integer() else repr(number)
    if isinstance(value, str):
        return value
    if isinstance(value, list | tuple | set | frozenset):
        return ",".join(sorted(_text(name, each) for each in value)) or NONE
    raise SettingsError(f"tuning {name} cannot be {value!r}: give a number, a flag or a list")


def _read(name: str, text: str) -> Any:
    """Return the value of a setting, typed. Raises SettingsError."""
    if name in _OWNED:
        raise SettingsError(f"tuning cannot set {name}: {_OWNED[name]}")
    known = _variables()
    if name not in known:
        near = nearest(name, known)
        hint = f"did you mean {near}?" if near else f"there are {', '.join(known)}"
        raise SettingsError(f"tuning has {name}, and no such setting exists: {hint}")
    if not text or re.search(r"\s", text):
        raise SettingsError(f"tuning {name} cannot be {text!r}: give a value without spaces")
    try:
        return known[name].read(text)
    except ValueError as error:
        raise SettingsError(f"tuning {name} cannot be {text!r}: {error}") from None


def _plain(value: object) -> Any:
    """Return the value as JSON has it: a list in place of a set."""
    return tuple(sorted(value)) if isinstance(value, Iterable) else value


def _require_sensible(values: Mapping[str, Any]) -> None:
    """Have the balancer's own settings refuse what makes no sense, in words without the environment's."""
    try:
        BalancerSettings(service="service1", port=0, instances=(), **values)
    except SettingsError as error:
        said = re.sub(r"BALANCER_([A-Z_]+)( \(\w+\))?", lambda found: found[1].lower(), str(error))
        raise SettingsError(f"tuning {said}") from None
