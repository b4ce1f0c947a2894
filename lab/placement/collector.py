"""Python's collector of cyclic garbage, kept from pausing servers that share a process with a notebook."""

from __future__ import annotations

import gc
import threading

__all__ = ["SPARED"]

THRESHOLDS = (10_000, 20, 100)
"""Sixteen requests in flight hold more objects than the usual 700, so that nearly every request began a
collection; and with the objects of pandas and a notebook to go through, those took a seventh of the time."""


class _Spared:
    """While it is entered, by whomever: what existed before is left out of collections, which are rarer."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._usual = gc.get_threshold()

    def __enter__(self) -> None:
        with self._lock:
            self._users += 1
            if self._users == 1:
                self._usual = gc.get_threshold()
                gc.set_threshold(*THRESHOLDS)
            gc.freeze()

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0:
                gc.unfreeze()
                gc.set_threshold(*self._usual)


SPARED = _Spared()
"""The collector is one for the process, and so is this."""
