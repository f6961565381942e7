"""What goes wrong, as ``{"detail": sentence}``."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from deepspeech2.escaping import one_line

_LONGEST = 100  # characters of a value that is told


class Problem(BaseModel):
    """What is wrong, in one sentence."""

    detail: str


EVERYWHERE = {
    400: "a request that is no HTTP, or asks for another server",
    405: "the path does not answer to this method",
    408: "the request came too slowly",
    413: "too large or too long",
    503: "the server is being ended",
}
"""What any path may answer."""


def described(statuses: dict[int, str]) -> dict[int | str, dict[str, Any]]:
    """Statuses as a route's ``responses``."""
    return {code: {"model": Problem, "description": told} for code, told in statuses.items()}


def tell_problems(app: FastAPI) -> None:
    """Have all of an app's errors told in sentences."""
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(Exception, _failed)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    status, headers, detail = error.status_code, dict(error.headers or {}), error.detail
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = {*headers.get("Allow", "").split(", "), "OPTIONS"}
        headers["Allow"] = ", ".join(sorted(allowed | ({"HEAD"} if "GET" in allowed else set())))
        if request.method == "OPTIONS":
            return Response(status_code=204, headers=headers)
        detail = f"this path does not answer to {one_line(request.method)}"
    elif status == HTTPStatus.NOT_FOUND:
        detail = "there is nothing at this path: /openapi.json describes what there is"
    return JSONResponse({"detail": detail}, status, headers)


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    said = first["msg"].replace("Input should be", "must be").partition(", unable to")[0]
    value = repr(first["input"])[:_LONGEST]
    return JSONResponse({"detail": one_line(f"{first['loc'][-1]} {said}, but is {value}")}, 422)


async def _failed(request: Request, error: Exception) -> Response:
    return JSONResponse({"detail": "the server failed: its log says why"}, 500)
