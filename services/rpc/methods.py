"""The pipeline's routes as gRPC methods: each HTTP path has one."""

from __future__ import annotations

from collections.abc import Mapping

from services.documented import PATHS

__all__ = ["ASK", "METHODS", "PATH_OF", "SERVICES", "service_of"]

_NAMES = ("Input/Process", "Preprocess/Preprocess", "Analyze/Analyze", "Report/Report")

ASK = "/pipeline.Admin/Ask"
"""The method that balancers, and instances that may be made to fail, answer beside the pipeline's methods."""
METHODS: Mapping[str, str] = {path: f"/pipeline.{name}" for path, name in zip(PATHS, _NAMES, strict=True)}
"""Full method names, such as `/pipeline.Input/Process`, by route."""
PATH_OF: Mapping[str, str] = {method: path for path, method in METHODS.items()}
"""Routes, by full method name."""


def service_of(method: str) -> str:
    """Return the service of a full method name: `pipeline.Input` of `/pipeline.Input/Process`."""
    return method.strip("/").partition("/")[0]


SERVICES = tuple(service_of(method) for method in METHODS.values())
"""The full names of the four services, in order."""
