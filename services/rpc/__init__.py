"""The pipeline's gRPC twin: the same services and balancers, asked in protobuf over HTTP/2."""

from __future__ import annotations

import os

# Read when gRPC is first imported. What it logs of broken connections, the status of each call tells too.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
