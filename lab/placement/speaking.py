"""From a topology's protocol to the way of doing things in it."""

from __future__ import annotations

from lab.errors import NotSupported
from lab.placement.protocol import Speech
from lab.topology import Topology
from services.protocols import ProtocolName

__all__ = ["speech_of"]


def speech_of(topology: Topology) -> Speech:
    """That of its protocol; gRPC is imported only for those who speak it, and not installed for all.

    Raises NotSupported where it is not.
    """
    if topology.protocol is ProtocolName.GRPC:
        try:
            from lab.placement.protocol_grpc import GrpcSpeech
        except ModuleNotFoundError as error:
            raise NotSupported(
                f"gRPC needs {error.name}, which is not installed: pip install 'pipeline-lab[grpc]'"
            ) from None
        return GrpcSpeech()
    from lab.placement.speech_http import HttpSpeech

    return HttpSpeech()
