# SPDX-License-Identifier: Apache-2.0
"""The main path, end to end: a photo change refused, the rest untouched."""
import json

from conftest import GRAPH, OUTLOOK, TUNNELLED
from harness import get

PHOTO = "/v1.0/me/photo/$value"


def test_photo_change_is_refused_in_graphs_form(gate, origin):
    r = gate.curl("-i", "-X", "PUT", "--data-binary", "@/dev/null", f"https://{GRAPH}{PHOTO}").stdout.decode()
    assert " 403 Forbidden" in r
    answer = json.loads(r.split("\r\n\r\n")[-1])
    incident = answer["error"]["innerError"]["incident"]
    assert answer["error"]["code"] == "accessDenied" and incident in answer["error"]["message"]
    assert origin.requests == []
    assert gate.log("block", incident=incident)[0]["rule"] == "graph.user-photo"


def test_reads_and_group_photos_pass(gate, origin):
    assert gate.request(GRAPH, get(PHOTO)).status == 200
    assert gate.request(GRAPH, get("/v1.0/groups/1/photo/$value", method="PUT", body=b"x" * 10)).json()["length"] == 10
    assert [r.method for r in origin.requests] == ["GET", "PUT"]


def test_changephoto_page_is_the_block_page(gate, origin):
    r = gate.request(OUTLOOK, get("/mail/changephoto", OUTLOOK, "Accept: text/html\r\n"))
    assert r.status == 403 and r.get("content-type").startswith("text/html")
    assert r.get("x-photogate-incident").encode() in r.body
    assert origin.requests == []


def test_other_hosts_show_their_own_certificate(gate, origin, authority, tmp_path):
    trust = tmp_path / "origin-root.pem"
    trust.write_bytes(authority.pem)
    s = gate.tls(TUNNELLED, context=gate.client_context(trust))
    assert ("organizationName", "wire test") in [p for rdn in s.getpeercert()["subject"] for p in rdn]
    s.close()
    assert gate.log(event="tunnel", host=TUNNELLED)


def test_plain_http_passes(gate, plain):
    r = gate.ask(b"GET http://plain.example/a?b=c HTTP/1.1\r\nHost: plain.example\r\nProxy-Connection: keep-alive\r\n\r\n")
    assert r.status == 200 and r.json()["target"] == "/a?b=c"
    assert plain.requests[0].get("proxy-connection") is None
    assert "b=c" not in json.dumps(gate.log(host="plain.example"))


def test_ends_well(gate):
    assert gate.stop() == 0
