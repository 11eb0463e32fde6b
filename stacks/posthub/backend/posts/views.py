from functools import partial

from django.core.cache import cache
from django.db import transaction
from pgvector.django import CosineDistance
from rest_framework import permissions, serializers, viewsets
from rest_framework.decorators import action
from rest_framework.response import Response

from .models import Post
from .tasks import STATISTICS, announce_post, embed_changed_post, embed_post

SIMILAR_POSTS = 5


class PostSerializer(serializers.ModelSerializer):
    author = serializers.CharField(source="author.username", read_only=True)
    embedded = serializers.SerializerMethodField()

    class Meta:
        model = Post
        fields = ["id", "author", "title", "body", "created", "embedded"]

    def get_embedded(self, post) -> bool:
        return post.embedding is not None


class SimilarPostSerializer(PostSerializer):
    distance = serializers.FloatField(read_only=True)

    class Meta(PostSerializer.Meta):
        fields = [*PostSerializer.Meta.fields, "distance"]


class OwnOrReadOnly(permissions.BasePermission):
    def has_object_permission(self, request, view, post):
        return request.method in permissions.SAFE_METHODS or post.author_id == request.user.pk


class PostViewSet(viewsets.ModelViewSet):
    queryset = Post.objects.select_related("author")
    serializer_class = PostSerializer
    permission_classes = [permissions.IsAuthenticated, OwnOrReadOnly]

    def perform_create(self, serializer):
        with transaction.atomic():
            post = serializer.save(author=self.request.user)
            transaction.on_commit(partial(embed_post.delay, post.pk))
            transaction.on_commit(partial(announce_post.delay, post.pk))

    def perform_update(self, serializer):
        with transaction.atomic():
            post = serializer.save()
            transaction.on_commit(partial(embed_changed_post.delay, post.pk))

    @action(detail=True)
    def similar(self, request, pk=None):
        post = self.get_object()
        if post.embedding is None:
            return Response([])
        nearest = (
            self.get_queryset()
            .exclude(pk=post.pk)
            .exclude(embedding=None)
            .annotate(distance=CosineDistance("embedding", post.embedding))
            .order_by("distance")[:SIMILAR_POSTS]
        )
        return Response(SimilarPostSerializer(nearest, many=True).data)

    @action(detail=False)
    def statistics(self, request):
        return Response(cache.get(STATISTICS) or {})
