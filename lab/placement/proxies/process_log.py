"""What a process writes to its standard error, to be read while it runs and afterwards."""

from __future__ import annotations

import os
import tempfile
import threading

__all__ = ["ProcessLog"]

KEPT_BYTES = 256 * 1024
"""How much of its end is kept in memory once the process has ended."""


class ProcessLog:
    """A file without a name, so that nothing is left behind. Safe to use from any thread."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115
        self._lock = threading.Lock()
        self._kept = b""
        self._kept_from = 0

    def fileno(self) -> int:
        """What the process is to write to."""
        return self._file.fileno()

    def since(self, position: int = 0) -> tuple[list[str], int]:
        """The whole lines after that position, as far as kept, and the position to ask from next."""
        with self._lock:
            text, begin = self._read(position)
        whole, end, _ = text.rpartition(b"\n")
        return whole.decode("utf-8", "replace").splitlines(), begin + len(whole) + len(end)

    def close(self) -> None:
        """Keep the end of what was written, and give the file back. For when nobody writes any more."""
        with self._lock:
            if not self._file.closed:
                size = os.fstat(self._file.fileno()).st_size
                self._kept, self._kept_from = self._read(max(0, size - KEPT_BYTES))
                self._file.close()

    def _read(self, position: int) -> tuple[bytes, int]:
        if self._file.closed:
            begin = max(position, self._kept_from)
            return self._kept[begin - self._kept_from :], begin
        size = os.fstat(self._file.fileno()).st_size
        return os.pread(self._file.fileno(), max(0, size - position), position), position
