"""Make Python from pipeline.proto, in place or in a folder: `python -m services.rpc.generate [FOLDER]`."""

from __future__ import annotations

import sys
from pathlib import Path

__all__ = ["GENERATED", "generate"]

ROOT = Path(__file__).parents[2]
SOURCE = Path(__file__).with_name("pipeline.proto").relative_to(ROOT)
GENERATED = tuple(SOURCE.with_name(f"pipeline_{name}") for name in ("pb2.py", "pb2.pyi", "pb2_grpc.py"))
"""The generated files, relative to the folder."""


def generate(folder: Path = ROOT) -> None:
    """Write the generated files under `folder`. Raises RuntimeError where the compiler refuses the source.

    The compiler's version decides every byte, so the dev environment pins it (grpcio-tools).
    """
    from grpc_tools import protoc

    includes = [f"-I{ROOT}", f"-I{Path(protoc.__file__).parent / '_proto'}"]
    outputs = [f"--python_out={folder}", f"--pyi_out={folder}", f"--grpc_python_out={folder}"]
    if protoc.main(["protoc", *includes, *outputs, str(SOURCE)]) != 0:
        raise RuntimeError(f"{SOURCE} does not compile: see above")


if __name__ == "__main__":
    try:
        generate(*map(Path, sys.argv[1:]))
    except ModuleNotFoundError as error:
        sys.exit(f"generating needs {error.name}, which is not installed: pip install 'pipeline-lab[dev]'")
