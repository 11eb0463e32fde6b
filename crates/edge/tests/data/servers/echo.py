"""Tells what it saw of each request, under WSGI (`app`) and under ASGI (`asgi`)."""

import itertools

COUNT = itertools.count(1)


def told(method, target, host, body):
    return f"{next(COUNT)} {method} {target} {host} {body.hex()}\n".encode("latin-1")


def app(environ, start_response):
    body = environ["wsgi.input"].read()
    answer = told(environ["REQUEST_METHOD"], environ["RAW_URI"], environ.get("HTTP_HOST", ""), body)
    start_response("200 OK", [("Content-Length", str(len(answer))), ("Content-Type", "text/plain")])
    return [answer]


async def asgi(scope, receive, send):
    if scope["type"] != "http":
        return
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body, more = body + message.get("body", b""), message.get("more_body", False)
    target = scope["raw_path"].decode("latin-1")
    if scope["query_string"]:
        target += "?" + scope["query_string"].decode("latin-1")
    host = dict(scope["headers"]).get(b"host", b"").decode("latin-1")
    answer = told(scope["method"], target, host, body)
    headers = [(b"content-length", str(len(answer)).encode()), (b"content-type", b"text/plain")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})
