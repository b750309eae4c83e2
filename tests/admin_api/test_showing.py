"""Whatever a secret is, and however it comes back, it is not shown."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from admin_api.showing import HIDDEN, LONGEST, Mask, mask_of
from shared.definitions import Integration
from shared.exchange import Request, Response

SECRETS = st.text(st.characters(codec="utf-8", exclude_characters="()"), min_size=4, max_size=40).filter(
    lambda text: text not in HIDDEN and text.strip("\0") != ""
)

ECHOES: list[Callable[[str], str]] = [
    lambda secret: secret,
    lambda secret: json.dumps({"error": f"key {secret}!"}),
    lambda secret: json.dumps({"error": f"key {secret}!"}, ensure_ascii=False).replace("/", "\\/"),
    lambda secret: urlencode({"key": secret}),
    lambda secret: f"/path/{quote(secret)}",
    lambda secret: base64.b64encode(secret.encode()).decode(),
]


def mask(secret: str) -> Mask:
    return mask_of(
        Integration.model_validate(
            {"name": "postbird", "url": "https://esp.example", "body": {}, "secret_values": {"key": secret}}
        )
    )


@given(secret=SECRETS, which=st.sampled_from(range(len(ECHOES))), before=st.text(max_size=10))
def test_no_spelling_of_a_secret_is_shown(secret: str, which: int, before: str) -> None:
    said = ECHOES[which](secret)
    shown = mask(secret).response(Response(200, {"x-said": said}, (before + said).encode()))
    headers = shown["headers"]
    assert isinstance(headers, dict)
    for text in (shown["body"], headers["x-said"]):
        assert isinstance(text, str)
        assert HIDDEN in text
        assert said not in text


@pytest.mark.parametrize("length", [LONGEST - 3, LONGEST, LONGEST + 3])
def test_a_body_is_cut_after_its_secrets_are_hidden(length: int) -> None:
    shown = mask("a-long-secret").request(Request("POST", "https://esp.example", {}, b"x" * length + b"a-long-secret"))
    assert (len(str(shown["body"])), shown["cut"]) == (LONGEST, True)
    assert "a-l" not in str(shown["body"])


def test_bytes_that_are_no_text_are_shown_as_far_as_they_are() -> None:
    assert mask("a-long-secret").response(Response(200, {}, b"\xff\x00ok"))["body"] == "\ufffd\x00ok"
