"""The WebSocket side: an ASGI application of its own (service `live`), because a WebSocket would hold one of the API's
eight Gunicorn threads for as long as a browser tab stays open.

`/ws/posts/?token=<access token>`: every new post as a JSON message; a text message from the client comes back as
`{"echo": …}`, which lets a client (and a test) see that the connection still carries both ways.
"""

import asyncio
import json
import os
from urllib.parse import parse_qs

import django
import redis.asyncio

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from django.conf import settings  # noqa: E402
from rest_framework_simplejwt.exceptions import TokenError  # noqa: E402
from rest_framework_simplejwt.tokens import AccessToken  # noqa: E402

from posts.announce import CHANNEL  # noqa: E402

# Close codes from the range left to applications (RFC 6455, 7.4.2).
UNAUTHENTICATED = 4401


async def app(scope, receive, send):
    if scope["type"] == "websocket" and scope["path"] == "/ws/posts/":
        await feed(scope, receive, send)
    elif scope["type"] == "http" and scope["path"] == "/healthz/":
        await health(send)
    elif scope["type"] == "http":
        await answer(send, 404, {"detail": "Not found."})
    elif scope["type"] == "websocket":
        await send({"type": "websocket.close"})
    elif scope["type"] == "lifespan":
        await lifespan(receive, send)


async def feed(scope, receive, send):
    await receive()  # websocket.connect
    token = parse_qs(scope["query_string"].decode()).get("token", [""])[0]
    try:
        AccessToken(token)
    except TokenError:
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close", "code": UNAUTHENTICATED})
        return
    await send({"type": "websocket.accept"})
    await send_json(send, {"hello": settings.VERSION})
    async with redis.asyncio.from_url(settings.REDIS_URL) as client, client.pubsub() as pubsub:
        await pubsub.subscribe(CHANNEL)
        tasks = [asyncio.create_task(pass_on(pubsub, send)), asyncio.create_task(echo(receive, send))]
        # Whichever ends first ends the connection: the client's going, or the loss of Redis.
        _, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        if not tasks[1].done():
            await send({"type": "websocket.close", "code": 1011})


async def pass_on(pubsub, send):
    async for message in pubsub.listen():
        if message["type"] == "message":
            await send_json(send, {"post": json.loads(message["data"])})


async def echo(receive, send):
    while True:
        event = await receive()
        if event["type"] == "websocket.disconnect":
            return
        await send_json(send, {"echo": event.get("text") or ""})


async def send_json(send, value):
    await send({"type": "websocket.send", "text": json.dumps(value)})


async def health(send):
    try:
        async with redis.asyncio.from_url(settings.REDIS_URL, socket_connect_timeout=3, socket_timeout=3) as client:
            await client.ping()
    except (OSError, redis.asyncio.RedisError) as error:
        await answer(send, 503, {"status": "failing", "redis": type(error).__name__})
    else:
        await answer(send, 200, {"status": "ok", "version": settings.VERSION})


async def answer(send, status, value):
    body = json.dumps(value).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def lifespan(receive, send):
    while True:
        event = await receive()
        await send({"type": f"{event['type']}.complete"})
        if event["type"] == "lifespan.shutdown":
            return
