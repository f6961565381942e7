"""A recogniser over HTTP and WebSockets, and a page to try it."""

from src.serving.app import create_app
from src.serving.settings import ServeSettings

__all__ = ["ServeSettings", "create_app"]
