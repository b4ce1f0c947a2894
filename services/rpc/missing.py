"""What a program says where gRPC is not installed."""

from __future__ import annotations

import sys

__all__ = ["not_installed"]

CANNOT_START = 2


def not_installed(error: ModuleNotFoundError) -> SystemExit:
    """The end of a program that needs the module: it says on standard error what to install."""
    print(
        f"gRPC needs {error.name}, which is not installed: pip install 'pipeline-lab[grpc]'", file=sys.stderr
    )
    return SystemExit(CANNOT_START)
