"""A recogniser over HTTP and WebSockets, and a page to try it."""

from src.serving.app import create_app
from src.serving.server import Server

__all__ = ["Server", "create_app"]
