"""The function behind a real port, as API Gateway calls it (payload 2.0): for whoever posts over HTTP."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.sandbox.server import serve

Handle = Callable[[dict[str, object], object], object]


@contextmanager
def front(handle: Handle) -> Iterator[str]:
    """The URL below which `/v1/events/{tracker}` is."""

    async def answer(request: Request) -> Response:
        event: dict[str, object] = {
            "headers": dict(request.headers),
            "pathParameters": dict(request.path_params),
            "queryStringParameters": dict(request.query_params),
            "rawPath": request.url.path,
            "rawQueryString": request.url.query,
            "requestContext": {"domainName": "127.0.0.1", "http": {"method": request.method}},
            "body": base64.b64encode(await request.body()).decode(),
            "isBase64Encoded": True,
        }
        said = await run_in_threadpool(handle, event, None)
        assert isinstance(said, dict)
        return Response(said.get("body", ""), said["statusCode"], said["headers"])

    route = Route("/v1/events/{tracker}", answer, methods=["GET", "POST"])
    with serve(Starlette(routes=[route])) as url:
        yield url
