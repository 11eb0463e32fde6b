"""A steady load on PostHub's API, half of it over connections that are kept, and two streams that stay open.

Knows nothing about deploys. A request has failed when it is not answered whole, with the status it should have, within ten
seconds; a kept connection that was closed between two requests is opened again, as every client does.
"""

import asyncio
import base64
import json
import os
import threading
import time
import urllib.request

# Asks for a login before it touches the database: 401 is the right answer, made by the whole of Django.
PATH, RIGHT = "/api/v1/posts/", 401
PATIENCE = 10


class Load:
    def __init__(self, api, live, rate=200, keeping=10, fresh=10):
        self.api, self.live, self.rate, self.keeping, self.fresh = api, live, rate, keeping, fresh
        self.counts = {"kept": [0, 0], "new": [0, 0]}
        self.why, self.took, self.versions = {}, [], {}
        # When each stream began and ended, and how.
        self.streams = {"websocket": [], "sse": []}
        self.ending = False
        self.thread = threading.Thread(target=lambda: asyncio.run(self.all()))

    def start(self):
        self.token = login(self.api)
        self.thread.start()

    def end(self):
        self.ending = True
        self.thread.join()

    async def all(self):
        clients = self.keeping + self.fresh
        pace = clients / self.rate
        streams = [asyncio.create_task(self.stream("websocket")), asyncio.create_task(self.stream("sse"))]
        await asyncio.gather(*(self.client(n < self.keeping, pace, pace * n / clients) for n in range(clients)))
        for stream in streams:
            stream.cancel()
        await asyncio.gather(*streams, return_exceptions=True)

    async def client(self, keep, pace, offset):
        await asyncio.sleep(offset)
        kept, due = None, time.monotonic()
        while not self.ending:
            begun = time.monotonic()
            count = self.counts["kept" if keep else "new"]
            count[0] += 1
            try:
                kept = await asyncio.wait_for(self.ask(kept, keep), PATIENCE)
                self.took.append(time.monotonic() - begun)
            except (OSError, ValueError, asyncio.TimeoutError, asyncio.IncompleteReadError) as error:
                count[1] += 1
                why = f"{type(error).__name__} {error}"[:80]
                self.why[why] = self.why.get(why, 0) + 1
                if kept:
                    kept[1].close()
                kept = None
            due = max(due + pace, time.monotonic() - pace)
            await asyncio.sleep(max(0, due - time.monotonic()))

    async def ask(self, kept, keep):
        host, port = self.api
        if kept and kept[0].at_eof():
            kept[1].close()
            kept = None
        reader, writer = kept or await asyncio.open_connection(host, port)
        close = "" if keep else "Connection: close\r\n"
        try:
            writer.write(f"GET {PATH} HTTP/1.1\r\nHost: {host}:{port}\r\n{close}\r\n".encode())
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
            await reader.readexactly(int(fields.get("content-length", 0)))
        except BaseException:
            writer.close()
            raise
        status = int(head[0].split()[1])
        if status != RIGHT:
            writer.close()
            raise ValueError(f"answered {status}")
        self.versions[fields.get("x-posthub-version")] = time.monotonic()
        if not keep or fields.get("connection", "").lower() == "close":
            writer.close()
            return None
        return reader, writer

    async def stream(self, kind):
        """Opens the stream again whenever it ends, and writes down how long each lasted."""
        while not self.ending:
            begun, how, opened, writer = time.monotonic(), "closed", False, None
            try:
                reader, writer = await self.open(kind)
                opened = True
                while await reader.read(65536):
                    pass
            except (OSError, ValueError, asyncio.IncompleteReadError, asyncio.TimeoutError) as error:
                how = type(error).__name__
            finally:
                if writer:
                    writer.close()
            if opened:
                self.streams[kind].append((begun, time.monotonic(), how))
            else:
                await asyncio.sleep(0.2)

    async def open(self, kind):
        host, port = self.live if kind == "websocket" else self.api
        key = base64.b64encode(os.urandom(16)).decode()
        request = {
            "websocket": f"GET /ws/posts/?token={self.token} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n",
            "sse": f"GET /api/v1/posts/stream/?token={self.token} HTTP/1.1\r\nHost: {host}\r\n\r\n",
        }[kind]
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(request.encode())
        head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)).decode()
        status = int(head.split()[1])
        if status != (101 if kind == "websocket" else 200):
            writer.close()
            raise ValueError(f"answered {status}")
        return reader, writer


def login(api):
    base = f"http://{api[0]}:{api[1]}/api/v1/auth"
    account = json.dumps({"username": f"bench{time.time_ns()}", "password": "correct horse battery"}).encode()

    def post(path):
        request = urllib.request.Request(base + path, account, {"Content-Type": "application/json"})
        return json.load(urllib.request.urlopen(request, timeout=30))

    post("/register/")
    return post("/login/")["access"]
