"""Stripe's webhook: the signature is checked over the raw body before anything reads it."""

import hashlib
import hmac
import logging
import time

from django.conf import settings
from django.http import HttpResponse, HttpResponseBadRequest
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

# Stripe's own libraries refuse what is older than this.
TOLERANCE_SECONDS = 300

log = logging.getLogger(__name__)


@csrf_exempt
@require_POST
def webhook(request):
    if not signed_by_stripe(request.headers.get("Stripe-Signature", ""), request.body):
        return HttpResponseBadRequest("bad signature")
    log.info("billing event of %d bytes", len(request.body))
    return HttpResponse(status=204)


def signed_by_stripe(header, body):
    fields = [field.split("=", 1) for field in header.split(",") if "=" in field]
    stamp = next((value for key, value in fields if key == "t"), "")
    if not settings.STRIPE_WEBHOOK_SECRET or not stamp.isdecimal():
        return False
    if abs(time.time() - int(stamp)) > TOLERANCE_SECONDS:
        return False
    secret = settings.STRIPE_WEBHOOK_SECRET.encode()
    expected = hmac.new(secret, stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    return any(hmac.compare_digest(expected.encode(), value.encode()) for key, value in fields if key == "v1")
