"""Both ends of gRPC, by grpcio with handlers and calls of plain bytes.

serve ADDRESS [CERT KEY]   a server
ask ADDRESS                a client that goes through all kinds of calls and says of each what it saw, one line each
"""

import sys
import threading
import time
from concurrent import futures

import grpc

cancelled = threading.Event()


def unary(request, context):
    seen = [key for key, _ in context.invocation_metadata() if key == "x-mine"]
    context.send_initial_metadata((("x-initial", "i"),))
    context.set_trailing_metadata((("x-trailing", "t"), ("x-seen", ",".join(seen))))
    return request


def server_stream(request, context):
    for number in range(int(request)):
        yield str(number).encode()


def client_stream(requests, context):
    return b",".join(requests)


def bidi(requests, context):
    for request in requests:
        yield request[::-1]


def fail(request, context):
    context.set_trailing_metadata((("x-why", "because"),))
    context.abort(grpc.StatusCode.NOT_FOUND, "nothing here: ü")


def fail_midway(request, context):
    yield b"one"
    context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "enough")


def endless(request, context):
    context.add_callback(cancelled.set)
    yield b"begun"
    while context.is_active():
        time.sleep(0.01)


def was_cancelled(request, context):
    return b"yes" if cancelled.wait(20) else b"no"


def serve(address, *tls):
    one, many = grpc.unary_unary_rpc_method_handler, grpc.unary_stream_rpc_method_handler
    handlers = {
        "Unary": one(unary),
        "ServerStream": many(server_stream),
        "ClientStream": grpc.stream_unary_rpc_method_handler(client_stream),
        "Bidi": grpc.stream_stream_rpc_method_handler(bidi),
        "Fail": one(fail),
        "FailMidway": many(fail_midway),
        "Endless": many(endless),
        "WasCancelled": one(was_cancelled),
    }
    options = (("grpc.max_receive_message_length", -1), ("grpc.so_reuseport", 0))
    server = grpc.server(futures.ThreadPoolExecutor(64), options=options)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("t.T", handlers),))
    if tls:
        chain, key = (open(name, "rb").read() for name in tls)
        server.add_secure_port(address, grpc.ssl_server_credentials(((key, chain),)))
    else:
        server.add_insecure_port(address)
    server.start()
    server.wait_for_termination()


def outcome(call):
    try:
        return f"ok {call()}"
    except grpc.RpcError as error:
        trailing = {k: v for k, v in error.trailing_metadata() or () if k.startswith("x-")}
        return f"{error.code().name} {error.details()!r} {trailing}"


def ask(address):
    options = (("grpc.default_authority", "a.test"), ("grpc.max_receive_message_length", -1))
    channel = grpc.insecure_channel(address, options=options)

    def say(name, what):
        print(f"{name}: {what}", flush=True)

    def plain():
        answer, call = channel.unary_unary("/t.T/Unary").with_call(b"hello", metadata=(("x-mine", "m"),))
        initial = {k: v for k, v in call.initial_metadata() if k.startswith("x-")}
        trailing = {k: v for k, v in call.trailing_metadata() if k.startswith("x-")}
        return answer, initial, trailing

    say("unary", outcome(plain))
    large = bytes(range(256)) * 16384
    say("large", outcome(lambda: channel.unary_unary("/t.T/Unary")(large) == large))
    say("server stream", outcome(lambda: len(list(channel.unary_stream("/t.T/ServerStream")(b"1000")))))
    say("client stream", outcome(lambda: channel.stream_unary("/t.T/ClientStream")(iter([b"a", b"b", b"c"]))))

    def conversation():
        # Each is sent only when the one before was answered.
        turn, answers = threading.Semaphore(1), []

        def requests():
            for word in (b"one", b"two", b"three"):
                turn.acquire()
                yield word

        for answer in channel.stream_stream("/t.T/Bidi")(requests()):
            answers.append(answer)
            turn.release()
        return answers

    say("bidi", outcome(conversation))
    say("fail", outcome(lambda: channel.unary_unary("/t.T/Fail")(b"")))
    midway = []
    say("midway", outcome(lambda: midway.extend(channel.unary_stream("/t.T/FailMidway")(b""))))
    say("midway had", midway)
    say("unknown", outcome(lambda: channel.unary_unary("/t.T/Nothing")(b"")).split(" ")[0])

    def deadline():
        for answer in channel.unary_stream("/t.T/Endless")(b"", timeout=1):
            pass

    say("deadline", outcome(deadline).split(" ")[0])
    say("cancelled there", outcome(lambda: channel.unary_unary("/t.T/WasCancelled")(b"")))
    calls = [channel.unary_unary("/t.T/Unary").future(str(n).encode()) for n in range(300)]
    say("at once", outcome(lambda: [call.result() for call in calls] == [str(n).encode() for n in range(300)]))


if __name__ == "__main__":
    {"serve": serve, "ask": ask}[sys.argv[1]](*sys.argv[2:])
