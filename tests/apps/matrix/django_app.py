"""Django. Run: gunicorn matrix.django_app:wsgi, or uvicorn matrix.django_app:asgi"""

import django
from django.conf import settings
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, HttpResponse
from django.urls import path

import truth
from matrix import styles, sync_styles

settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="lab", DATABASES={})
django.setup(set_prefix=False)


async def serve(request: HttpRequest, style: str, identity: str) -> HttpResponse:
    await styles.STYLES[style](truth.current(), request.GET["model"])
    return HttpResponse("done")


def serve_in_thread(request: HttpRequest, style: str, identity: str) -> HttpResponse:
    sync_styles.STYLES[style](truth.current(), request.GET["model"])
    return HttpResponse("done")


urlpatterns = [
    path("async-<style>/<identity>", serve),
    path("<style>/<identity>", serve_in_thread),
]
wsgi = truth.Wsgi(WSGIHandler())
asgi = truth.Middleware(ASGIHandler())
truth.settle()
