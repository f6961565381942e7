"""A web server on 127.0.0.1 that behaves well or badly, and remembers what it was asked."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Resource:
    """What a path answers.

    Attributes:
        body: the file.
        status: other than 200: sent with an HTML body.
        breaks: for each request in turn how many bytes are sent before the line is cut.
        ranges: whether Range is understood.
        stalls: send the header and then nothing.
        location: redirect to this path.
        content_type, etag: headers.
        reason: of the status line.
        length: of the header Content-Length; "" for none.
        drip: what is sent drop by drop, ten bytes a second: "header" or "body".
        endless: the body comes again and again.
    """

    body: bytes = b""
    status: int = 200
    breaks: list[int] = field(default_factory=list)
    ranges: bool = True
    stalls: bool = False
    location: str | None = None
    content_type: str = "application/octet-stream"
    etag: str | None = None
    reason: str | None = None
    length: str | None = None
    drip: str | None = None
    endless: bool = False


@dataclass
class Request:
    path: str
    range: str | None
    if_range: str | None
    sent: int = 0


@dataclass
class Server:
    url: str
    resources: dict[str, Resource] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    closing: threading.Event = field(default_factory=threading.Event)

    def put(self, path: str, resource: Resource) -> str:
        self.resources[path] = resource
        return self.url + path


@contextmanager
def serve() -> Iterator[Server]:
    """A running server; its state is :class:`Server`."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(state, self)

        def log_message(self, format: str, *args: object) -> None:
            """Be quiet."""

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    httpd.daemon_threads = True
    state = Server(f"http://127.0.0.1:{httpd.server_address[1]}")
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield state
    finally:
        state.closing.set()
        httpd.shutdown()
        thread.join()
        httpd.server_close()


def answer(state: Server, handler: BaseHTTPRequestHandler) -> None:
    asked = Request(handler.path, handler.headers.get("Range"), handler.headers.get("If-Range"))
    state.requests.append(asked)
    resource = state.resources.get(handler.path, Resource(status=404))
    if resource.location is not None:
        handler.send_response(302)
        handler.send_header("Location", resource.location)
        handler.send_header("Content-Length", "0")
        handler.end_headers()
        return
    if resource.drip == "header":
        dripping(state, handler, b"HTTP/1.1 200 OK\r\nX: " + b"x" * 1000)
        return
    if resource.status != 200:
        page = b"<html><body>no</body></html>"
        handler.send_response(resource.status, resource.reason)
        handler.send_header("Content-Type", "text/html")
        handler.send_header("Content-Length", str(len(page)))
        handler.end_headers()
        handler.wfile.write(page)
        return
    body, start, whole = resource.body, 0, len(resource.body)
    wanted = re.fullmatch(r"bytes=(\d+)-", asked.range or "")
    if wanted and resource.ranges and asked.if_range in (None, resource.etag):
        start = int(wanted[1])
        if start >= whole:
            handler.send_response(416)
            handler.send_header("Content-Range", f"bytes */{whole}")
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        body = body[start:]
        handler.send_response(206)
        handler.send_header("Content-Range", f"bytes {start}-{whole - 1}/{whole}")
    else:
        handler.send_response(200)
    handler.send_header("Content-Type", resource.content_type)
    if resource.length != "":
        handler.send_header("Content-Length", resource.length or str(len(body)))
    if resource.etag is not None:
        handler.send_header("ETag", resource.etag)
    handler.end_headers()
    if resource.stalls:
        handler.wfile.flush()
        state.closing.wait(30)
        return
    if resource.drip == "body":
        dripping(state, handler, body)
        return
    while resource.endless and not state.closing.is_set():
        try:
            handler.wfile.write(body)
        except OSError:
            return
        asked.sent += len(body)
    if resource.breaks:
        body = body[: resource.breaks.pop(0)]
    asked.sent = len(body)  # before the bytes: once they have arrived the test looks here
    handler.wfile.write(body)


def dripping(state: Server, handler: BaseHTTPRequestHandler, content: bytes) -> None:
    """Send ten bytes a second, until nobody listens."""
    for byte in content:
        if state.closing.wait(0.1):
            return
        try:
            handler.wfile.write(bytes([byte]))
        except OSError:
            return
