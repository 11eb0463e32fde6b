"""The queue of each task is in settings.CELERY_TASK_ROUTES. Every task may run twice."""

from celery import shared_task
from django.core.cache import cache

from .announce import announce
from .embeddings import provider
from .models import Post

STATISTICS = "posts.statistics"


@shared_task(autoretry_for=(Exception,), retry_backoff=True, max_retries=5)
def embed_post(pk):
    embed(pk)


@shared_task(autoretry_for=(Exception,), retry_backoff=True, max_retries=5)
def embed_changed_post(pk):
    embed(pk)


def embed(pk):
    post = Post.objects.filter(pk=pk).first()
    if post is not None:
        # update(), not save(): a post that is being edited at this moment keeps its new text.
        Post.objects.filter(pk=pk).update(embedding=provider().embed(f"{post.title}\n{post.body}"))


@shared_task
def announce_post(pk):
    post = Post.objects.select_related("author").filter(pk=pk).first()
    if post is not None:
        announce(post)


@shared_task
def refresh_statistics():
    statistics = {"posts": Post.objects.count(), "embedded": Post.objects.exclude(embedding=None).count()}
    cache.set(STATISTICS, statistics, timeout=None)
    return statistics


@shared_task
def embed_missing():
    for pk in Post.objects.filter(embedding=None).values_list("pk", flat=True)[:1000]:
        embed_post.delay(pk)
