from django.urls import include, path
from rest_framework.routers import SimpleRouter

from .stream import stream
from .views import PostViewSet

router = SimpleRouter()
router.register("", PostViewSet)

urlpatterns = [path("stream/", stream), path("", include(router.urls))]
