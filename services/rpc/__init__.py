"""The pipeline's gRPC twin: the same services and balancers, asked in protobuf over HTTP/2."""

from __future__ import annotations

import os

# Read when gRPC is first imported. What it has to say of broken connections is told by the status of each call.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
