# SPDX-License-Identifier: Apache-2.0
"""What the proxy says when it says no: to a browser's page, to a script, to a SOAP client, and when something else is wrong."""
import contextlib
import html.parser
import json
import re
import xml.etree.ElementTree

import pytest
from conftest import GRAPH, OUTLOOK
from harness import Reader, get, read_response

PHOTO = "/v1.0/me/photo/$value"
UI = '[ui]\norganisation = "Müller & <b>Söhne</b>"\ncontact = "the \\"desk\\" <help@corp.example>, https://help.corp.example/?a=1&b=<x>"\n'


class Page(html.parser.HTMLParser):
    def __init__(self, body):
        super().__init__()
        self.tags, self.texts, self.links, self.attributes = [], [], [], []
        self.feed(body.decode())
        self.text = " ".join("".join(self.texts).split())

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag == "a":
            self.links.append(dict(attrs)["href"])

    def handle_data(self, data):
        if not self.tags or self.tags[-1] != "style":
            self.texts.append(data)


@pytest.fixture
def gate(run_proxy, origin, plain):
    return run_proxy(origins={f"{GRAPH}:443": origin.port, f"{OUTLOOK}:443": origin.port, "plain.example:80": plain.port,
                              "dead.example:80": 1, "dead.example:443": 1}, sections=UI)


def check_page(body):
    page = Page(body)
    assert not {"script", "img", "b", "x", "iframe", "object"} & set(page.tags)
    assert not [v for k, v in page.attributes if k.startswith("on") or k in ("src", "action", "style")]
    assert ("lang", "en") in page.attributes and page.tags.count("h1") == 1 and "main" in page.tags and "title" in page.tags
    assert b"{{" not in body and "@import" not in body.decode() and "url(" not in body.decode()
    return page


@pytest.mark.parametrize("fields", [
    "Accept: text/html,application/xhtml+xml,*/*;q=0.8\r\n", "Sec-Fetch-Mode: navigate\r\nAccept: */*\r\n"])
def test_a_person_gets_a_page(gate, fields):
    r = gate.request(OUTLOOK, get("/mail/changephoto?x=<script>&token=secret", OUTLOOK, fields))
    assert (r.status, r.get("content-type")) == (403, "text/html; charset=utf-8")
    page = check_page(r.body)
    incident = r.get("x-photogate-incident")
    assert re.fullmatch(r"PG-[0-9A-HJKMNP-TV-Z]{5}-[0-9A-HJKMNP-TV-Z]{5}", incident)
    for text in incident, "Müller & <b>Söhne</b>", "outlook.changephoto-page", OUTLOOK, "<help@corp.example>":
        assert text in page.text, text
    assert page.links == [f"mailto:help@corp.example?subject={incident}", "https://help.corp.example/?a=1&b="]
    assert b"secret" not in r.body
    assert "default-src 'none'" in r.get("content-security-policy")
    assert (r.get("cache-control"), r.get("x-content-type-options"), r.get("referrer-policy")) == ("no-store", "nosniff", "no-referrer")
    assert gate.log("block", incident=incident)[0]["path"] == "/mail/changephoto"


@pytest.mark.parametrize("fields", ["", "Accept: application/json\r\n", "Sec-Fetch-Mode: cors\r\nAccept: text/html\r\n", "Accept: */*\r\n"])
def test_a_program_gets_graphs_error(gate, fields):
    r = gate.request(GRAPH, get(PHOTO, method="PUT", body=b"x", fields=fields + "client-request-id: 1234-\"5\\\r\n"))
    assert (r.status, r.get("content-type")) == (403, "application/json")
    error = r.json()["error"]
    assert error["code"] == "accessDenied" and error["innerError"]["client-request-id"] == "1234-\"5\\"
    assert r.get("x-photogate-incident") in error["message"] and "help@corp.example" in error["message"]
    assert r.get("access-control-allow-origin") is None


def told(gate, origin, fields="", **kw):
    """A refusal to the script of a page."""
    return gate.request(GRAPH, get(PHOTO, method="PUT", body=b"x", fields=f"Origin: {origin}\r\n{fields}", **kw))


def test_a_page_of_another_origin_may_read_a_refusal_but_no_error(gate):
    origin = "https://portal.contoso.example"
    r = told(gate, origin)
    assert r.get("access-control-allow-origin") == origin
    assert (r.get("access-control-allow-credentials"), r.get("vary")) == ("true", "Origin")
    assert "X-Photogate-Incident" in r.get("access-control-expose-headers")
    assert told(gate, "null").get("access-control-allow-origin") == "null"
    # which names there are inside, and where, is no page's business
    for url in "http://dead.example/", "http://10.1.2.3/", "http://does-not-resolve.invalid/":
        r = gate.ask(f"GET {url} HTTP/1.1\r\nHost: x\r\nOrigin: {origin}\r\n\r\n".encode())
        assert r.status in (403, 502, 504) and r.get("access-control-allow-origin") is None


def test_whom_to_ask_is_told_to_microsofts_pages_only(gate):
    """Any page that an employee has open can provoke a refusal and read it: not in order to pose as the help desk."""
    known = [f"https://{OUTLOOK}", f"https://{GRAPH}", "https://contoso.sharepoint.com"]
    strangers = ["https://evil.example", "null", f"http://{OUTLOOK}", f"https://{OUTLOOK}.evil.example", f"https://evil-{OUTLOOK}",
                 f"https://{OUTLOOK}:8443", f"https://evil.example/{OUTLOOK}", "https://", ""]
    action = 'SOAPAction: "http://schemas.microsoft.com/exchange/services/2006/messages/SetUserPhoto"\r\n'
    for site in known + strangers:
        message = told(gate, site).json()["error"]["message"]
        assert ("help@corp.example" in message) == (site in known), site
        assert re.search(r"incident number PG-\S+ \(rule graph.user-photo\)", message)
        r = gate.request(OUTLOOK, get("/EWS/Exchange.asmx", OUTLOOK, f"{action}Origin: {site}\r\n", method="POST", body=b"<x/>"))
        assert r.status == 500 and (b"help@corp.example" in r.body) == (site in known), site


def test_a_script_cannot_read_the_page_for_people(gate):
    """Browsers without Fetch Metadata look like people when they accept text/html."""
    r = gate.request(OUTLOOK, get("/mail/changephoto", OUTLOOK, "Accept: text/html\r\nOrigin: https://evil.example\r\n"))
    assert r.get("content-type").startswith("text/html") and r.get("access-control-allow-origin") is None


def test_what_a_client_sends_stays_inside_its_string(gate):
    """Ids that end a string, a line or a text's encoding: the answer is JSON, and no field of it is the client's."""
    for value in '"}}}', "\\", "a\tb", "\u2028", "\xff", "x" * 65:
        raw = value.encode("latin-1" if value == "\xff" else "utf-8")
        r = gate.request(GRAPH, get(PHOTO, method="PUT", body=b"x", fields="client-request-id: VALUE\r\n").replace(b"VALUE", raw))
        inner = r.json()["error"]["innerError"]
        assert set(inner) == {"code", "rule", "incident", "date", "request-id", "client-request-id"}
        assert inner["client-request-id"] == {"\xff": "\ufffd", "x" * 65: inner["incident"]}.get(value, value)


def test_head_is_answered_without_a_body(gate):
    with contextlib.closing(gate.tls(OUTLOOK)) as s:
        reader = Reader(s)
        for accept in "text/html", "*/*":
            s.sendall(get("/mail/changephoto", OUTLOOK, f"Accept: {accept}\r\n", method="HEAD"))
            assert read_response(reader, "HEAD").status == 403
        s.sendall(get("/mail/", OUTLOOK))
        assert read_response(reader).status == 200


def test_the_connection_goes_on_after_a_refusal(gate, origin):
    with contextlib.closing(gate.tls(GRAPH)) as s:
        reader = Reader(s)
        for _ in range(3):
            s.sendall(get(PHOTO, method="PUT", body=b"x" * 100000) + get(PHOTO))
            assert read_response(reader).status == 403
            assert read_response(reader).status == 200
        s.sendall(get(PHOTO, method="DELETE") + get("/v1.0/me", method="HEAD"))
        assert read_response(reader).status == 403
        assert read_response(reader, "HEAD").status == 200
    assert {r.method for r in origin.requests} == {"GET", "HEAD"}


@pytest.mark.parametrize("url, status, error, text", [
    ("http://dead.example/", 502, "connection_refused", "could not get an answer from dead.example."),
    ("http://does-not-resolve.invalid/", 502, "dns_error", "could not get an answer from does-not-resolve.invalid."),
    ("http://10.1.2.3/", 403, "destination_ip_prohibited", "does not connect to 10.1.2.3."),
    ("http://plain.example:25/", 403, "http_request_denied", "refuses this request to plain.example.")])
def test_error_pages(gate, url, status, error, text):
    r = gate.ask(f"GET {url} HTTP/1.1\r\nHost: x\r\nAccept: text/html\r\n\r\n".encode())
    assert r.status == status and error in r.get("proxy-status")
    page = check_page(r.body)
    assert text in page.text and f"{status} {error}" in page.text and "Müller & <b>Söhne</b>" in page.text
    assert page.links[0] == "mailto:help@corp.example?subject=photogate"
    r = gate.ask(f"GET {url} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert r.status == status and r.get("content-type") == "text/plain; charset=utf-8" and text[:-1] + ": " in r.body.decode()


def test_a_client_that_may_not_use_the_proxy(run_proxy):
    gate = run_proxy(proxy='clients = ["10.0.0.0/8"]')
    for target in "/proxy.pac", "http://plain.example/":
        r = gate.ask(f"GET {target} HTTP/1.1\r\nHost: x\r\nAccept: text/html\r\n\r\n".encode())
        assert r.status == 403
        page = check_page(r.body)
        assert "refuses this request to this address." in page.text and "[proxy] clients" in page.text
        assert "your IT help desk" in page.text


def test_sample_page_is_like_a_real_one(gate):
    sample = check_page(gate.ask(b"GET /block-page HTTP/1.1\r\nHost: x\r\n\r\n").body)
    real = check_page(gate.request(OUTLOOK, get("/mail/changephoto", OUTLOOK, "Accept: text/html\r\n")).body)

    def shape(page):
        return re.sub(r"PG-\S+|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "*", page.text)
    assert shape(sample) == shape(real)


def test_without_ui_settings(run_proxy, origin):
    gate = run_proxy(origins={f"{OUTLOOK}:443": origin.port})
    page = check_page(gate.request(OUTLOOK, get("/mail/changephoto", OUTLOOK, "Accept: text/html\r\n")).body)
    assert "Ask your IT help desk and give this incident number" in page.text
    assert "photogate, the web proxy of your organisation" in page.text
    gate.write_config(sections='[ui]\ncontact = "https://help.corp.example"')
    gate.reload()
    page = check_page(gate.ask(b"GET /block-page HTTP/1.1\r\nHost: x\r\n\r\n").body)
    assert page.links == ["https://help.corp.example"]


def test_soap_clients_get_a_fault(gate, origin):
    action = 'SOAPAction: "http://schemas.microsoft.com/exchange/services/2006/messages/SetUserPhoto"\r\nContent-Type: text/xml\r\n'
    r = gate.request(OUTLOOK, get("/EWS/Exchange.asmx", OUTLOOK, action, method="POST", body=b"<x/>"))
    assert (r.status, r.get("content-type")) == (500, "text/xml; charset=utf-8")  # SOAP 1.1, 6.2
    fault = xml.etree.ElementTree.fromstring(r.body).find(".//{http://schemas.xmlsoap.org/soap/envelope/}Fault")
    assert fault.find("faultcode").text == "a:ErrorAccessDenied"
    assert r.get("x-photogate-incident") in fault.find("faultstring").text
    assert '"desk" <help@corp.example>' in fault.find("faultstring").text
    assert fault.find(".//{http://schemas.microsoft.com/exchange/services/2006/errors}ResponseCode").text == "ErrorAccessDenied"
    assert origin.requests == []


def test_json_is_json_whatever_the_contact_is(gate):
    r = gate.request(GRAPH, get(PHOTO, method="PUT", body=b"x"))
    assert '"desk" <help@corp.example>' in json.loads(r.body)["error"]["message"]
