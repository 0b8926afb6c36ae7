"""Counters that all workers see: one int64 per worker in shared memory, each written by its own worker alone.

`admit` is exact: with several workers it takes a file lock, because the sum of all slots must not grow between the look and
the step. The kernel drops the lock of a process that dies, and the parent clears its slot.
"""

from __future__ import annotations

import mmap
import os
import sys
import tempfile

if sys.platform != "win32":
    import fcntl

SLOT_BYTES = 8


class Shared:
    """`create` in the parent; each worker uses its own `slot(index)`. Mappings survive a fork, so nothing is passed along."""

    __slots__ = ("_fd", "_slots", "index")

    def __init__(self, slots: memoryview, fd: int, index: int) -> None:
        self._slots, self._fd, self.index = slots, fd, index

    @classmethod
    def create(cls, workers: int) -> Shared:
        return cls(memoryview(mmap.mmap(-1, workers * SLOT_BYTES)).cast("q"), _lock_file() if workers > 1 else -1, 0)

    def slot(self, index: int) -> Shared:
        return Shared(self._slots, self._fd, index)

    def admit(self, limit: int) -> bool:
        """Take one place; False when `limit` places are taken by all workers together (0: no limit)."""
        if self._fd < 0 or not limit:
            return self._take(limit)
        fcntl.lockf(self._fd, fcntl.LOCK_EX)
        try:
            return self._take(limit)
        finally:
            fcntl.lockf(self._fd, fcntl.LOCK_UN)

    def _take(self, limit: int) -> bool:
        if limit and sum(self._slots) >= limit:
            return False
        self._slots[self.index] += 1
        return True

    def release(self) -> None:
        self._slots[self.index] -= 1

    def in_flight(self) -> int:
        """Of all workers."""
        return sum(self._slots)

    def clear(self, index: int) -> None:
        """What a dead worker held is free again."""
        self._slots[index] = 0


def _lock_file() -> int:
    """One that needs no writable disk, where the system has such."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("routeiq")
    fd, name = tempfile.mkstemp(prefix="routeiq-")
    os.unlink(name)
    return fd
