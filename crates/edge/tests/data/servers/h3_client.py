"""Asks an HTTP/3 server by aioquic and says what it answered: h3_client.py PORT ROOT COUNT SIZE.

COUNT streams at once on one connection, each with a body of SIZE bytes; a line of JSON for each answer.
"""

import asyncio
import json
import ssl
import sys

from aioquic.asyncio.client import connect
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration


class Client(QuicConnectionProtocol):
    def __init__(self, *args, **more):
        super().__init__(*args, **more)
        self.http = H3Connection(self._quic)
        self.answers, self.waiting = {}, {}

    def quic_event_received(self, event):
        for told in self.http.handle_event(event):
            answer = self.answers.get(told.stream_id)
            if answer is None:
                continue
            if isinstance(told, HeadersReceived):
                answer["fields"].update({name.decode(): value.decode() for name, value in told.headers})
            elif isinstance(told, DataReceived):
                answer["body"] += told.data
            if told.stream_ended:
                self.waiting.pop(told.stream_id).set_result(answer)

    def ask(self, path, body):
        stream = self._quic.get_next_available_stream_id()
        self.answers[stream] = {"fields": {}, "body": b""}
        self.waiting[stream] = waiting = asyncio.get_running_loop().create_future()
        method = b"POST" if body else b"GET"
        head = [(b":method", method), (b":scheme", b"https"), (b":authority", b"a.test"), (b":path", path.encode())]
        self.http.send_headers(stream, head, end_stream=not body)
        if body:
            self.http.send_data(stream, body, end_stream=True)
        self.transmit()
        return waiting


async def main(port, root, count, size):
    settings = QuicConfiguration(is_client=True, alpn_protocols=H3_ALPN, server_name="a.test", verify_mode=ssl.CERT_REQUIRED)
    settings.load_verify_locations(root)
    async with connect("127.0.0.1", port, configuration=settings, create_protocol=Client) as client:
        for answer in await asyncio.gather(*(client.ask(f"/{n}", b"x" * size) for n in range(count))):
            print(json.dumps({"status": answer["fields"][":status"], "body": answer["body"].decode()}))


asyncio.run(main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
