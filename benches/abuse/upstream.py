#!/usr/bin/env python3
"""An instance with every bad habit, by path: one that answers, hangs, drips, never ends, or takes whatever comes.

`upstream.py good` runs before everybody else on its core, where the system lets it. Knows nothing about who asks. Prints its port.
"""

import asyncio
import contextlib
import os
import sys

PAGE = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 200\r\n\r\n" + b"x" * 200
# Text of the kind that compresses as JSON does.
ROWS = b"".join(b'{"id": %d, "name": "row %d", "state": "open"},\n' % (n, n * 7919 % 9973) for n in range(1300))
GIGABYTE = 1 << 30


async def serve(reader, writer):
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            path = head.split(b" ", 2)[1]
            if path.startswith(b"/hang"):
                await reader.read()
                return
            if path.startswith(b"/drip"):
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
                while not reader.at_eof():
                    writer.write(b".")
                    await writer.drain()
                    await asyncio.sleep(1)
                return
            if path.startswith(b"/endless"):
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
                while True:
                    writer.write(b"%x\r\n%s\r\n" % (len(ROWS), ROWS))
                    await writer.drain()
            if path.startswith((b"/down", b"/megabyte")):
                length = GIGABYTE if path.startswith(b"/down") else 1 << 20
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % length)
                # A kernel that is given more at once has no time for the ordinary client.
                piece = b"d" * (1 << 16)
                for _ in range(length >> 16):
                    writer.write(piece)
                    await writer.drain()
            elif path.startswith(b"/up"):
                lengths = (line[15:] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
                left = int(next(lengths, 0))
                while left:
                    piece = await reader.read(min(left, 1 << 20))
                    if not piece:
                        return
                    left -= len(piece)
                writer.write(PAGE)
            else:
                writer.write(PAGE)
            await writer.drain()
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
        pass
    finally:
        writer.close()


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=1 << 20, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    if sys.argv[1] == "good":
        with contextlib.suppress(PermissionError):
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        sys.exit()
