"""The bodies of posts: unpacked, within bounds, and read as JSON."""

from __future__ import annotations

import re
import zlib

from pydantic import JsonValue

from shared.errors import BadRequest
from shared.problem import parse_json

LARGEST_POST = 2 * 1024 * 1024
"""Bytes of a tracker's post, unpacked: what Snowplow's collector takes, too."""

_GZIP = 16 + zlib.MAX_WBITS
_ESCAPE = re.compile(rb"\\(?:u[dD][89abAB]..\\u[dD][c-fC-F]..|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)")


def unzipped(body: bytes, limit: int = LARGEST_POST) -> bytes:
    """What is in a gzip body. Raises BadRequest: 413 if that has more than `limit` bytes, 400 if it is no gzip or cut off."""
    unpacker = zlib.decompressobj(_GZIP)
    try:
        found = unpacker.decompress(body, limit + 1)
    except zlib.error:
        raise BadRequest("the body must be gzip, as content-encoding says", field="content-encoding") from None
    if len(found) > limit:
        raise BadRequest(f"the unpacked body has more than {limit} bytes", field="body", status=413)
    if not unpacker.eof or unpacker.unused_data:
        raise BadRequest("the body must be one whole gzip", field="body")
    return found


def parsed(body: bytes) -> JsonValue:
    """The JSON of a post. Neither half a surrogate pair, as is left where JavaScript cuts a text, nor a byte order mark must lose
    the whole post. Raises BadRequest (400)."""
    try:
        return parse_json(body)
    except BadRequest:
        mended = _ESCAPE.sub(lambda escape: b"\\ufffd" if escape[1] else escape[0], body)
        if mended == body:
            raise
        return parse_json(mended)
