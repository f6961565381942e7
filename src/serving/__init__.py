"""A recogniser over HTTP and WebSockets, and a page to try it."""

from src.serving.app import create_app
from src.serving.server import ACCEPTED, Server, most_connections

__all__ = ["ACCEPTED", "Server", "create_app", "most_connections"]
