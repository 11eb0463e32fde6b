"""The Celery application, shared by the API (which sends tasks), the workers and Beat."""

import os
from pathlib import Path

from celery import Celery
from celery.signals import beat_init

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("posthub")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()

# Beat cannot be pinged as a worker can. Its healthcheck looks at the age of this file, which every pass of its loop
# touches (at most five seconds apart), so that a Beat that hangs is told apart from one that has nothing to do.
BEAT_ALIVE = Path("/tmp/beat-alive")


@beat_init.connect
def touch_at_every_tick(sender, **_):
    scheduler = sender.scheduler
    tick = scheduler.tick

    def touching_tick(*args, **kwargs):
        BEAT_ALIVE.touch()
        return tick(*args, **kwargs)

    scheduler.tick = touching_tick
