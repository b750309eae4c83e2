from __future__ import annotations

import ipaddress

import pytest

from shared.addresses import check_url, is_public
from shared.errors import BadRequest

HOSTILE = [
    "http://api.example.com/",
    "ftp://api.example.com/",
    "file:///etc/passwd",
    "//api.example.com/",
    "https:///path",
    "https://",
    "https://localhost/",
    "https://metadata/",
    "https://127.0.0.1/",
    "https://127.1/",
    "https://2130706433/",
    "https://0x7f000001/",
    "https://0x7f.1/",
    "https://017700000001/",
    "https://0177.0.0.1/",
    "https://0/",
    "https://0.0.0.0/",
    "https://10.1.2.3/",
    "https://172.16.0.1/",
    "https://192.168.1.1/",
    "https://100.64.0.1/",
    "https://169.254.169.254/latest/meta-data/",
    "https://169.254.170.2/v2/credentials",
    "https://[::1]/",
    "https://[::]/",
    "https://[fe80::1]/",
    "https://[fc00::1]/",
    "https://[fd00:ec2::254]/",
    "https://[::ffff:127.0.0.1]/",
    "https://[::ffff:7f00:1]/",
    "https://[2002:7f00:1::]/",
    "https://[64:ff9b::a9fe:a9fe]/",
    "https://[::127.0.0.1]/",
    "https://[fec0::1]/",
    "https://[64:ff9b:1::7f00:1]/",
    "https://[4000::1]/",
    "https://224.0.0.1/",
    "https://255.255.255.255/",
    "https://user:pass@api.example.com/",
    "https://api.example.com@127.0.0.1/",
    "https://api.example.com:99999/",
    "https://api.example.com:0/",
    "https://api.example.com\\@127.0.0.1/",
    "https://127.0.0.1.\t/",
    "https://api.exa mple.com/",
    "https://api.example.com\r\nHost: x/",
    "https://-bad.example.com/",
    "https://[not-an-address]/",
    "https://\uff11\uff12\uff17.0.0.1/",
    "https://127\u30020\u30020\u30021/",
    "javascript:alert(1)",
]


@pytest.mark.parametrize("url", HOSTILE)
def test_hostile_urls_are_refused_by_the_name_of_the_field(url: str) -> None:
    with pytest.raises(BadRequest) as refused:
        check_url(url, field="token_url")
    assert refused.value.field == "token_url"


@pytest.mark.parametrize(
    "url", ["https://api.example.com/v3/mail", "https://api.eu.example.com:8443/x?y=1", "https://8.8.8.8/", "https://1e100.net/"]
)
def test_public_addresses_are_accepted(url: str) -> None:
    check_url(url)


def test_an_allowed_origin_is_exempt_and_only_that_one() -> None:
    origins = ("http://127.0.0.1:8025",)
    check_url("http://127.0.0.1:8025/v1/messages", origins)
    for other in ("http://127.0.0.1:8026/", "https://127.0.0.1:8025/", "http://localhost:8025/"):
        with pytest.raises(BadRequest):
            check_url(other, origins)


@pytest.mark.parametrize("text", ["2001:4860:4860::8888", "8.8.8.8", "64:ff9b::808:808"])
def test_public_ips(text: str) -> None:
    assert is_public(ipaddress.ip_address(text))
