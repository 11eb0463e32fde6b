"""`/healthz/`: whether this process can serve, which takes the database and the cache.

A middleware rather than a view: nothing after it (redirects to https, host names, CORS) can turn the answer into something
else, and a probe is answered with 200 or 503 and never with a 301.
"""

import json

from django.conf import settings
from django.core.cache import cache
from django.db import connection
from django.http import HttpResponse

VERSION_HEADER = "X-PostHub-Version"


class HealthMiddleware:
    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        if request.path in ("/healthz/", "/healthz"):
            response = health()
        else:
            response = self.get_response(request)
        response[VERSION_HEADER] = settings.VERSION
        return response


def health():
    checks = {"database": failure_of(ask_database), "cache": failure_of(ask_cache)}
    healthy = not any(checks.values())
    body = {
        "status": "ok" if healthy else "failing",
        "version": settings.VERSION,
        "checks": {name: failure or "ok" for name, failure in checks.items()},
    }
    return HttpResponse(json.dumps(body), status=200 if healthy else 503, content_type="application/json")


def ask_database():
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def ask_cache():
    cache.get("healthz")


def failure_of(ask):
    """None, or the kind of the failure: its text may hold a password and stays in the log."""
    try:
        ask()
    except Exception as error:
        import logging

        logging.getLogger(__name__).warning("health check failed: %s", error)
        connection.close()
        return type(error).__name__
    return None
