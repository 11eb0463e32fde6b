#!/usr/bin/env python3
"""Uses every page of some processes' own memory again and again: `warm.py PID...`, until its standard input ends.

For machines whose host takes memory away from them that was not used for some seconds, and gives it back page by page: there a
connection that was idle is slow to come back, whatever serves it. Knows nothing about what the processes do.
"""

import array
import ctypes
import os
import select
import sys

PAGE = os.sysconf("SC_PAGE_SIZE")
# Vectors that a call takes (IOV_MAX).
MOST = 1024
# Seconds. A page that was not used for two is slower already.
PAUSE = 0.5
PRESENT = 1 << 63


class Vector(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


LIBC = ctypes.CDLL(None, use_errno=True)
TAKEN = ctypes.create_string_buffer(MOST)
HERE = Vector(ctypes.addressof(TAKEN), MOST)


def pages(pid):
    """Addresses of the pages that are there, of memory that the process may write."""
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/pagemap", "rb", buffering=0) as pagemap:
        for line in maps:
            span, rights = line.split(" ", 2)[:2]
            if "w" not in rights:
                continue
            begin, end = (int(address, 16) for address in span.split("-"))
            entries = array.array("Q", os.pread(pagemap.fileno(), (end - begin) // PAGE * 8, begin // PAGE * 8))
            yield from (begin + at * PAGE for at, entry in enumerate(entries) if entry & PRESENT)


def use(pid):
    addresses = list(pages(pid))
    for at in range(0, len(addresses), MOST):
        some = addresses[at:at + MOST]
        there = (Vector * len(some))(*((address, 1) for address in some))
        # One that went meanwhile ends the call early; the next time is soon.
        LIBC.process_vm_readv(pid, ctypes.byref(HERE), 1, there, len(some), 0)


def main():
    pids = [int(pid) for pid in sys.argv[1:]]
    while not select.select([sys.stdin], [], [], PAUSE)[0]:
        for pid in pids:
            use(pid)


if __name__ == "__main__":
    main()
