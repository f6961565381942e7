"""A recogniser over HTTP and WebSockets, and a page to try it."""

from deepspeech2.extras.serving.app import create_app
from deepspeech2.extras.serving.server import ACCEPTED, Server, most_connections

__all__ = ["ACCEPTED", "Server", "create_app", "most_connections"]
