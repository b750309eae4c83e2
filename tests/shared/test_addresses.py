from __future__ import annotations

import ipaddress
import socket

import pytest

from shared.addresses import check_url, is_public
from shared.errors import BadRequest, Misconfigured, Transient
from shared.exchange import Request
from shared.http import Http

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
    "https://127.0.0.1:443/",
    "https://127.000.000.001/",
    "https://127.0.1/",
    "https://0177.1/",
    "https://0x7f.0.0.1/",
    "https://0X7F000001/",
    "https://0x7f000001./",
    "https://00000177.0.0.1/",
    "https://127.0.0.1./",
    "https://127.0.0.1../",
    "https://4294967295/",
    "https://4294967296/",
    "https://3232235777/",
    "https://0300.0250.1.1/",
    "https://192.168.257/",
    "https://10.65793/",
    "https://169.254.43518/",
    "https://0251.0376.0251.0376/",
    "https://0xa9fea9fe/",
    "https://0xa9.0xfe.0xa9.0xfe/",
    "https://2852039166/",
    "https://1.1.1.1.1/",
    "https://256.256.256.256/",
    "https://1.2.3/",
    "https://[::ffff:a9fe:a9fe]/",
    "https://[::ffff:0:127.0.0.1]/",
    "https://[0:0:0:0:0:ffff:7f00:0001]/",
    "https://[0000:0000:0000:0000:0000:0000:0000:0001]/",
    "https://[::0:1]/",
    "https://[::7f00:1]/",
    "https://[64:ff9b::127.0.0.1]/",
    "https://[64:ff9b::10.0.0.1]/",
    "https://[64:ff9b:1::1]/",
    "https://[64:ff9b:1:a9fe:a9:fe00::]/",
    "https://[2002:a9fe:a9fe::1]/",
    "https://[2002:c0a8:101::]/",
    "https://[2001:0:4136:e378:8000:63bf:3fff:fdd2]/",
    "https://[2001:0000:7f00:1::]/",
    "https://[2001:0:0a00:0001::f5ff:fffe]/",
    "https://[2001:db8::1]/",
    "https://[2001:10::1]/",
    "https://[2001:20::1]/",
    "https://[2001:2::1]/",
    "https://[100::1]/",
    "https://[fe80::1%25eth0]/",
    "https://[fe80::1%eth0]/",
    "https://[::1%25lo]/",
    "https://[2606:4700::1%25eth0]/",
    "https://[2606:4700::1%eth0]/",
    "https://[ff02::1]/",
    "https://[ff0e::1]/",
    "https://[fd12:3456::1]/",
    "https://[fd00:ec2::23]/",
    "https://[fd20:ce::254]/",
    "https://[3fff::1]/",
    "https://[5f00::1]/",
    "https://[::1",
    "https://::1/",
    "https://[[::1]]/",
    "https://[v1.fe80::a]/",
    "https://[127.0.0.1]/",
    "https://1.2.3.4%00.example.com/",
    "https://\u2460\u2461\u2466.\u24ea.\u24ea.\u2460/",
    "https://127\uff0e0\uff0e0\uff0e1/",
    "https://127\uff610\uff610\uff611/",
    "https://\u0967\u0968\u096d.0.0.1/",
    "https://\u24d4\u24e7\u24d0\u24dc\u24df\u24db\u24d4.com/",
    "https://ex\xadample.com/",
    "https://b\xfccher.example/",
    "https://\uff4c\uff4f\uff43\uff41\uff4c\uff48\uff4f\uff53\uff54/",
    "https://user@api.example.com/",
    "https://:@api.example.com/",
    "https://@api.example.com/",
    "https://user%40x:p@127.0.0.1/",
    "https://api.example.com%40127.0.0.1/",
    "https://127.0.0.1#@api.example.com/",
    "https://api.example.com:443@127.0.0.1/",
    "https://api.example.com;@127.0.0.1/",
    "https://api.example.com:-1/",
    "https://api.example.com:+443/",
    "https://api.example.com:443x/",
    "https://api.example.com: 443/",
    "https://api.example.com:\u0664\u0664\u0663/",
    "https://api.example.com:65536/",
    "https://localhost./",
    "https://LOCALHOST/",
    "https://localhost.localdomain/",
    "https://foo.localhost/",
    "https://foo.localhost./",
    "https://ip6-localhost/",
    "https://ip6-loopback/",
    "https://router.local/",
    "https://db.internal/",
    "https://metadata.google.internal/",
    "https://metadata.google.internal./",
    "https://instance-data.ec2.internal/",
    "https://100.100.100.200/latest/meta-data/",
    "https://168.63.129.16/",
    "https://192.0.0.192/",
    "https://169.254.169.253/",
    "https://169.254.169.123/",
    "https://169.254.170.23/",
    "https://169.254.0.1/",
    "https://[fe80::a9fe:a9fe]/",
    "https://host.docker.internal/",
    "https://kubernetes.default.svc/",
    "https://kubernetes.default.svc.cluster.local/",
    "https://x.home.arpa/",
    "https://x.lan/",
    "https://x.corp/",
    "https://1.0.0.127.in-addr.arpa/",
    "https://api..example.com/",
    "https://.example.com/",
    "https://api.example.com../",
    "https://-a.example.com/",
    "https://a-.example.com/",
    "https://a_b.example.com/",
    "https://api.example.com%0d%0aHost:x/",
    "https://api.example.com%00/",
    "https://api.example.com%2f/",
    "https://%6c%6f%63%61%6c%68%6f%73%74/",
    "https://%31%32%37.0.0.1/",
    "https://api.example.com\\",
    "https://api.example.com\\.evil.com/",
    "https:\\\\api.example.com/",
    "https:/\\api.example.com/",
    "https:/api.example.com/",
    "https:api.example.com/",
    "https:///api.example.com/",
    "https:////127.0.0.1/",
    "http:///127.0.0.1/",
    "gopher://127.0.0.1:6379/_",
    "dict://127.0.0.1:11211/",
    "file://api.example.com/etc/passwd",
    "ldap://127.0.0.1/",
    "data:text/html,x",
    "jar:https://api.example.com!/",
    "HTTPS://127.0.0.1/",
    "hTTp://127.0.0.1/",
    "https+unix://%2Frun%2Fdocker.sock/",
    "unix:///run/docker.sock",
    "//127.0.0.1/",
    "127.0.0.1",
    "api.example.com",
    "/path",
    "?x",
    "",
    "https://0.0.0.1/",
    "https://0.1/",
    "https://192.0.2.1/",
    "https://198.18.0.1/",
    "https://198.51.100.1/",
    "https://203.0.113.1/",
    "https://192.88.99.1/",
    "https://240.0.0.1/",
    "https://192.0.0.1/",
    "https://192.0.0.9/",
    "https://233.252.0.1/",
    "https://172.31.255.255/",
    "https://100.127.255.255/",
]


@pytest.mark.parametrize("url", HOSTILE)
def test_hostile_urls_are_refused_by_the_name_of_the_field(url: str) -> None:
    with pytest.raises(BadRequest) as refused:
        check_url(url, field="token_url")
    assert refused.value.field == "token_url"


@pytest.mark.parametrize("url", HOSTILE)
def test_hostile_urls_are_refused_again_at_the_connection(url: str) -> None:
    looked_up: list[str] = []

    def public(host: str, port: int) -> list[str]:
        looked_up.append(host)
        return ["8.8.8.8"]

    with pytest.raises(Misconfigured):
        Http(resolver=public).send(Request("POST", url, timeout=0.1))
    assert looked_up == []


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://api.example.com#@127.0.0.1/", "api.example.com"),
        ("https://api.example.com?@127.0.0.1/", "api.example.com"),
        ("https://api.example.com/@127.0.0.1/", "api.example.com"),
        ("https://API.Example.com.:443/", "api.example.com"),
        ("https://xn--bcher-kva.example/", "xn--bcher-kva.example"),
    ],
)
def test_it_is_connected_to_what_was_checked(url: str, host: str) -> None:
    looked_up: list[str] = []

    def nowhere(host: str, port: int) -> list[str]:
        looked_up.append(host)
        raise OSError(-2, "unknown")

    check_url(url)
    with pytest.raises(Transient):
        Http(resolver=nowhere).send(Request("POST", url))
    assert looked_up == [host]


PRIVATE = [
    "127.0.0.1",
    "0.0.0.0",  # noqa: S104
    "10.0.0.1",
    "100.64.0.1",
    "100.100.100.200",
    "168.63.129.16",
    "169.254.169.254",
    "169.254.170.2",
    "172.16.0.1",
    "192.0.0.192",
    "192.168.0.1",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::1%lo",
    "fe80::1%eth0",
    "fe80::a9fe:a9fe",
    "fec0::1",
    "fd00:ec2::254",
    "fd20:ce::254",
    "ff02::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:0:127.0.0.1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "2001::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "2001:20::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:808:808::1",
    "3fff::1",
    "4000::1",
]


@pytest.mark.parametrize("address", PRIVATE)
def test_a_name_that_leads_inside_is_not_connected_to(address: str) -> None:
    for addresses in ([address], ["8.8.8.8", address]):
        http = Http(resolver=lambda host, port, addresses=addresses: addresses)  # type: ignore[misc]
        with pytest.raises(Misconfigured, match="not a public host"):
            http.send(Request("POST", "https://rebound.example.com/", timeout=10))


def test_a_name_that_leads_elsewhere_the_second_time_is_not_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    dialled: list[str] = []

    def dial(address: str, port: int, seconds: float) -> socket.socket:
        dialled.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr("shared.http.dial", dial)
    answers = [["8.8.8.8"], ["127.0.0.1"], ["8.8.4.4"]]
    http = Http(resolver=lambda host, port: answers.pop(0))
    for refusal in (Transient, Misconfigured, Transient):
        with pytest.raises(refusal):
            http.send(Request("POST", "https://rebound.example.com/"))
    assert dialled == ["8.8.8.8", "8.8.4.4"]


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
