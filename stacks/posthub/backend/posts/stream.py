"""`/api/v1/posts/stream/`: new posts as server-sent events.

Every open stream holds one of the API's Gunicorn threads (4 workers × 2), so at most MAX_STREAMS per worker process are
served; others get a 503 with Retry-After. A browser authenticates with `?token=`: EventSource cannot send a header.
"""

import json
import threading

import redis
from django.conf import settings
from django.http import HttpResponse, JsonResponse, StreamingHttpResponse
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.tokens import AccessToken

from .announce import CHANNEL

# The other thread of the worker goes on answering requests.
MAX_STREAMS = 1
# Shows both ends that the stream lives, well below the idle timeouts of proxies. Also how long it takes at most to notice that
# the client has gone.
HEARTBEAT_SECONDS = 5

free = threading.BoundedSemaphore(MAX_STREAMS)


def stream(request):
    try:
        AccessToken(request.GET.get("token") or request.headers.get("Authorization", "").removeprefix("Bearer "))
    except TokenError:
        return JsonResponse({"detail": "A valid access token is needed."}, status=401)
    if not free.acquire(blocking=False):
        return HttpResponse("too many streams\n", status=503, headers={"Retry-After": "1"})
    response = StreamingHttpResponse(Events(), content_type="text/event-stream")
    response["Cache-Control"] = "no-store"
    response["X-Accel-Buffering"] = "no"
    return response


class Events:
    """An iterator with `close`, which the server calls however the response ends: a generator that was never begun would
    not run its `finally`, and its place would be lost."""

    def __init__(self):
        self.lines = events()
        self.open = True

    def __iter__(self):
        return self

    def __next__(self):
        return next(self.lines)

    def close(self):
        self.lines.close()
        if self.open:
            self.open = False
            free.release()


def events():
    yield f"event: hello\ndata: {json.dumps({'version': settings.VERSION})}\n\n"
    with redis.from_url(settings.REDIS_URL) as client, client.pubsub(ignore_subscribe_messages=True) as pubsub:
        pubsub.subscribe(CHANNEL)
        while True:
            message = pubsub.get_message(timeout=HEARTBEAT_SECONDS)
            if message is None:
                yield ": alive\n\n"
            else:
                yield f"event: post\nid: {json.loads(message['data'])['id']}\ndata: {message['data'].decode()}\n\n"
