# SPDX-License-Identifier: Apache-2.0
"""Where a request goes: absolute-form, Host, and what does not fit the connection it came on."""
import contextlib

import pytest

from conftest import GRAPH, OUTLOOK
from harness import Reader, get, read_response


def forwarded(origin):
    return [r.target for r in origin.requests if r.target != "/again"]


def inside(gate, raw, then=None):
    """(response, is the connection still good?) of one raw request inside an intercepted connection to Graph."""
    with contextlib.closing(gate.tls(GRAPH)) as s:
        reader = Reader(s)
        s.sendall(raw)
        r = read_response(reader, raw.split(b" ")[0].decode())
        try:
            s.sendall(get("/again"))
            return r, read_response(reader).json()["target"] == "/again"
        except (OSError, EOFError):
            return r, False


@pytest.mark.parametrize("target", ["https://graph.microsoft.com/v1.0/me", "https://GRAPH.Microsoft.com:443/v1.0/me", "HTTPS://graph.microsoft.com./v1.0/me"])
def test_absolute_form_for_the_same_host_is_forwarded_as_a_path(gate, origin, target):
    r, good = inside(gate, f"GET {target}?a=b HTTP/1.1\r\nHost: graph.microsoft.com\r\n\r\n".encode())
    assert r.status == 200 and good
    assert origin.requests[0].target == "/v1.0/me?a=b"


def test_absolute_form_is_judged_as_what_it_is(gate, origin):
    r, good = inside(gate, b"PUT https://graph.microsoft.com/v1.0/me/photo/$value HTTP/1.1\r\nHost: graph.microsoft.com\r\nContent-Length: 1\r\n\r\nx")
    assert r.status == 403 and good and forwarded(origin) == []


@pytest.mark.parametrize("raw", ["GET https://outlook.office.com/ HTTP/1.1\r\nHost: graph.microsoft.com\r\n\r\n",
                                 "GET https://outlook.office.com/ HTTP/1.1\r\nHost: outlook.office.com\r\n\r\n",
                                 "GET https://graph.microsoft.com/ HTTP/1.1\r\nHost: outlook.office.com\r\n\r\n",
                                 "GET https://graph.microsoft.com:8443/ HTTP/1.1\r\nHost: graph.microsoft.com\r\n\r\n",
                                 "GET / HTTP/1.1\r\nHost: outlook.office.com\r\n\r\n",
                                 "GET / HTTP/1.1\r\nHost: graph.microsoft.com:80\r\n\r\n",
                                 "GET / HTTP/1.1\r\nHost: graph.microsoft.com@evil.example\r\n\r\n",
                                 "GET / HTTP/1.1\r\nHost: graph.microsoft.com.evil.example\r\n\r\n",
                                 "GET / HTTP/1.1\r\nHost: \r\n\r\n"])
def test_another_host_is_misdirected(gate, origin, raw):
    r, _ = inside(gate, raw.encode())
    assert r.status in (400, 421) and forwarded(origin) == []
    if r.status == 421:
        assert gate.log(status=421, verdict="refused")


@pytest.mark.parametrize("raw", ["GET http://graph.microsoft.com/ HTTP/1.1\r\nHost: graph.microsoft.com\r\n\r\n",
                                 "GET graph.microsoft.com/ HTTP/1.1\r\nHost: graph.microsoft.com\r\n\r\n",
                                 "GET * HTTP/1.1\r\nHost: graph.microsoft.com\r\n\r\n",
                                 "GET https://u:p@graph.microsoft.com/ HTTP/1.1\r\nHost: graph.microsoft.com\r\n\r\n",
                                 "GET ftp://graph.microsoft.com/ HTTP/1.1\r\nHost: graph.microsoft.com\r\n\r\n",
                                 "CONNECT outlook.office.com:443 HTTP/1.1\r\nHost: outlook.office.com:443\r\n\r\n",
                                 "GET / HTTP/1.1\r\n\r\n",
                                 "GET / HTTP/1.1\r\nHost: graph.microsoft.com\r\nHost: graph.microsoft.com\r\n\r\n",
                                 "GET / HTTP/1.1\r\nHost: graph.microsoft.com\r\nHost: outlook.office.com\r\n\r\n"])
def test_targets_that_are_none(gate, origin, raw):
    r, good = inside(gate, raw.encode())
    assert r.status == 400 and not good and origin.requests == []


def test_host_with_port_or_dot_is_the_same_host(gate, origin):
    for host in (f"{GRAPH}:443", "Graph.Microsoft.COM", f"{GRAPH}."):
        r, good = inside(gate, f"GET /x HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        assert r.status == 200 and good


def test_http_1_0_without_host_means_the_host_of_the_connection(gate, origin):
    r, _ = inside(gate, b"GET /old HTTP/1.0\r\n\r\n")
    assert r.status == 200 and origin.requests[0].get("host") == GRAPH


def test_options_star(gate, origin, plain):
    r, good = inside(gate, b"OPTIONS * HTTP/1.1\r\nHost: graph.microsoft.com\r\n\r\n")
    assert r.status == 200 and good and origin.requests[0].target == "*"
    assert gate.ask(b"OPTIONS http://plain.example HTTP/1.1\r\nHost: plain.example\r\n\r\n").json()["target"] == "*"


def test_in_the_clear_the_target_says_where_to_go(gate, plain):
    """RFC 9112, 3.2.2: whatever Host says is replaced."""
    r = gate.ask(b"GET http://plain.example/a/../b?c=d HTTP/1.1\r\nHost: outlook.office.com\r\nX-Forwarded-Host: kept\r\n\r\n")
    assert r.status == 200 and r.json()["target"] == "/a/../b?c=d"
    assert plain.requests[0].all("host") == ["plain.example"]
    assert gate.ask(b"GET http://plain.example?q HTTP/1.1\r\nHost: x\r\n\r\n").json()["target"] == "/?q"
    assert gate.ask(b"GET http://plain.example HTTP/1.0\r\n\r\n").json()["target"] == "/"
    assert gate.ask(b"GET http://PLAIN.example:80/p HTTP/1.1\r\nHost: plain.example\r\n\r\n").status == 200


@pytest.mark.parametrize("raw", ["GET http://plain.example/#f HTTP/1.1\r\nHost: plain.example\r\n\r\n",
                                 "GET http://u:p@plain.example/ HTTP/1.1\r\nHost: plain.example\r\n\r\n",
                                 "GET http:///x HTTP/1.1\r\nHost: plain.example\r\n\r\n",
                                 "GET http://plain.example:0/ HTTP/1.1\r\nHost: plain.example\r\n\r\n",
                                 "GET http://plain.example:99999/ HTTP/1.1\r\nHost: plain.example\r\n\r\n",
                                 "GET https://plain.example/ HTTP/1.1\r\nHost: plain.example\r\n\r\n",
                                 "GET ftp://plain.example/ HTTP/1.1\r\nHost: plain.example\r\n\r\n",
                                 "GET http://plain.example/ HTTP/1.1\r\nHost: plain.example\r\nHost: plain.example\r\n\r\n",
                                 "GET http://plain.example/ HTTP/1.1\r\n\r\n"])
def test_absolute_targets_that_are_none(gate, plain, raw):
    assert gate.ask(raw.encode()).status == 400 and plain.requests == []


def test_plain_http_to_an_inspected_host_is_judged(run_proxy, plain):
    gate = run_proxy(origins={f"{GRAPH}:80": plain.port, f"{OUTLOOK}:80": plain.port})
    r = gate.ask(b"PUT http://graph.microsoft.com/v1.0/me/photo/$value HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx")
    assert r.status == 403 and r.get("x-photogate-incident")
    assert gate.ask(b"GET http://outlook.office.com/mail/changephoto HTTP/1.1\r\nHost: x\r\n\r\n").status == 403
    assert gate.ask(b"GET http://graph.microsoft.com/v1.0/me HTTP/1.1\r\nHost: x\r\n\r\n").status == 200
    assert [r.target for r in plain.requests] == ["/v1.0/me"]


def test_ports_that_plain_requests_may_not_go_to(gate):
    r = gate.ask(b"GET http://plain.example:25/ HTTP/1.1\r\nHost: plain.example:25\r\n\r\n")
    assert r.status == 403 and "http_request_denied" in r.get("proxy-status")
