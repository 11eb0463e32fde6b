from django.contrib import admin

from .models import Post

admin.site.register(Post, list_display=["title", "author", "created"], exclude=["embedding"])
