"""New posts on their way to open streams: one Redis channel, read by the SSE view and by the WebSocket service."""

import json

import redis
from django.conf import settings

CHANNEL = "posts.new"


def announce(post):
    message = {"id": post.pk, "title": post.title, "author": post.author.username}
    with redis.from_url(settings.REDIS_URL) as client:
        client.publish(CHANNEL, json.dumps(message))
