"""A recogniser over HTTP and WebSockets, and a page to try it."""

from src.serving.app import create_app

__all__ = ["create_app"]
