"""A recogniser over HTTP and WebSockets, and a page to try it."""

from deepspeech2.extras.serving.app import create_app
from deepspeech2.extras.serving.server import ACCEPTED, Server

__all__ = ["ACCEPTED", "Server", "create_app"]
