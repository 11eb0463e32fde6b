#!/usr/bin/env python3
"""An ordinary client: `client.py PORT` asks for /good 200 times a second over four connections until its standard input ends.

For each line that it is given it prints, as JSON, what it noticed since the last: of each request when it should have been asked and
when it was answered, in seconds of the monotonic clock, and how many failed; then it connects anew. Where the system lets it, it runs
before everybody else on its core, so that what it notices is the server's doing; therefore it is started once, for an interpreter that
starts or ends there would be noticed too.
"""

import gc
import json
import os
import select
import socket
import sys
import time

RATE = 200
ASK = b"GET /good HTTP/1.1\r\nHost: bench.test\r\n\r\n"


def connect(port):
    # From an address that nobody attacks from.
    stream = socket.create_connection(("127.0.0.1", port), timeout=30, source_address=("127.0.2.1", 0))
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return stream


def ask(stream):
    stream.sendall(ASK)
    got = b""
    while not got.endswith(b"x" * 200):
        piece = stream.recv(4096)
        if not piece:
            raise ConnectionError
        got += piece


def window(port):
    """What is noticed until a line comes, with connections of its own; nothing at the end of the input."""
    streams, answered, failed, number = [None] * 4, [], 0, 0
    begun = time.monotonic()
    while True:
        due = begun + number / RATE
        place = number % 4
        if select.select([sys.stdin], [], [], max(0, due - time.monotonic()))[0]:
            break
        number += 1
        try:
            streams[place] = streams[place] or connect(port)
            ask(streams[place])
            answered.append((due, time.monotonic()))
        except OSError:
            failed += 1
            streams[place] = None
    return [answered, failed] if sys.stdin.readline() else None


def main():
    port = int(sys.argv[1])
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except PermissionError:
        print("an ordinary client without precedence: its times are also those of its core", file=sys.stderr)
    # What it collects would be noticed.
    gc.disable()
    while (noticed := window(port)) is not None:
        print(json.dumps(noticed), flush=True)


if __name__ == "__main__":
    main()
