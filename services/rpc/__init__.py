"""The pipeline's gRPC twin: the same services and balancers, asked in protobuf over HTTP/2.

A call comes in at server.py, whose GrpcServer serves the standard health and reflection beside the methods it
is given, bytes to bytes. methods.py names those methods after the pipeline's routes.

- At an instance, service.py (ServiceServer, GrpcHandler) decodes the message (codec.py: pipeline.proto's
  messages with the JSON ones' required fields), takes it through the stage and the slots of a
  services.instance.ServiceInstance, and calls the next hop on a channel (channels.py). Trailing metadata tell
  where the time went, as Server-Timing does over HTTP.
- At a balancer, balancer/ forwards the bytes unread; see its own head.

How a call ends is in statuses.py: the table from HTTP's statuses to gRPC's, the signature `answered-by` that
tells a server's own failure from a broken connection, and what becomes of the next hop's failure.
fault_injection.py lets an instance fail when told to, where its settings allow that. generate.py makes
pipeline_pb2*.py from pipeline.proto.
"""

from __future__ import annotations

import os

# Read when gRPC is first imported. What it logs of broken connections, the status of each call tells too.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
