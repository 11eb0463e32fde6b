from django.conf import settings
from django.db import models
from pgvector.django import HnswIndex, VectorField

from .embeddings import DIMENSIONS


class Post(models.Model):
    author = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="posts")
    title = models.CharField(max_length=200)
    body = models.TextField()
    # Null until a worker has made it.
    embedding = VectorField(dimensions=DIMENSIONS, null=True)
    created = models.DateTimeField(auto_now_add=True)
    changed = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["-created", "-id"]
        indexes = [
            HnswIndex(name="post_embedding_hnsw", fields=["embedding"], opclasses=["vector_cosine_ops"]),
        ]

    def __str__(self):
        return self.title
