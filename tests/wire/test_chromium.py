# SPDX-License-Identifier: Apache-2.0
"""Chromium as docs/deploy.md sets it up: pages, refusals, what a script sees of them, an administrator's login, the proxy away."""
import json
import os
import pathlib
import struct

import pytest
from browsers import BrowserError, Chromium, missing
from conftest import GRAPH, OUTLOOK, TUNNELLED
from deploy import NAME, chromium_policy, pac_of
from logins import PASSWORD
from microsoft import PHOTO, TITLE, VERSION, fetch, put_photo

pytestmark = pytest.mark.skipif(bool(missing("chromium")), reason=missing("chromium") or "")
MAIL = f"https://{OUTLOOK}/mail/"
CHANGEPHOTO = MAIL + "changephoto"


@pytest.fixture
def chromium(tmp_path):
    """chromium(policy, flags…): started with that policy and nothing else."""
    started = []

    def run(policy, *flags):
        started.append(Chromium(tmp_path / f"chromium{len(started)}", policy, [f"--host-resolver-rules=MAP {NAME} 127.0.0.1", *flags]))
        return started[-1]
    yield run
    for browser in started:
        browser.close()


@pytest.mark.parametrize("version, flags", [("h2", []), ("http/1.1", ["--no-proxy-server"])], ids=["as it is", "told not to use a proxy"])
def test_the_policy_file_is_enough(office, microsoft, chromium, version, flags):
    microsoft.alpn = (version,)
    gate = office()
    page = chromium(chromium_policy(gate.root, pac_of(gate)), *flags)
    page.go(MAIL)
    assert (page.run("document.title"), page.run(VERSION)) == (TITLE, version)
    assert gate.log(host=OUTLOOK, path="/mail/")[0]["status"] == 200

    page.go(CHANGEPHOTO)
    assert "This photo change is not allowed" in page.text()
    incident = page.run("document.querySelector('.id').innerText")
    assert gate.log("block", incident=incident)[0]["rule"] == "outlook.changephoto-page"
    assert "/mail/changephoto" not in microsoft.seen("GET")


def test_what_a_pages_script_sees(office, microsoft, chromium):
    gate = office()
    page = chromium(chromium_policy(gate.root, pac_of(gate)))
    page.go(MAIL)
    refused = page.run(put_photo())
    assert refused.get("status") == 403, refused
    error = json.loads(refused["body"])["error"]
    assert "cannot be changed" in error["message"] and refused["incident"] in error["message"]
    assert gate.log("block", incident=refused["incident"])[0]["rule"] == "graph.user-photo"
    assert microsoft.seen("OPTIONS") == [PHOTO] and microsoft.seen("PUT") == []
    # within one origin, with cookies, and as a form
    assert page.run(fetch("/api/v2.0/me/photo/$value", method="PUT", body="x", credentials="include"))["status"] == 403
    # everything else is as it was
    assert page.run(fetch(f"https://{GRAPH}{PHOTO}", headers={"Authorization": "Bearer token"}))["status"] == 200
    assert page.run(fetch(f"https://{GRAPH}/v1.0/groups/1/photo/$value", method="PUT", body="x"))["status"] == 200
    assert microsoft.seen("PUT") == ["/v1.0/groups/1/photo/$value"]


@pytest.mark.parametrize("login", ["", ", tls = true"], ids=["in the clear", "by TLS"])
def test_an_administrator_logs_in(office, microsoft, chromium, login):
    gate = office(login)
    page = chromium(chromium_policy(gate.root, f"http{'s' if login else ''}://{NAME}:{gate.login}/proxy.pac"))
    page.log_in_as("boss", PASSWORD)
    page.go(MAIL)
    assert page.run(put_photo()) == {"status": 200, "body": "{}", "incident": None}
    assert {c["source"] for c in page.events} == {"Proxy"} and page.events[0]["realm"] == "photogate"
    assert len(page.events) == 1  # asked once, not once a site
    assert microsoft.seen("PUT") == [PHOTO]
    line = gate.log("block", event="bypass")[0]
    assert (line["user"], line["path"], line["rule"]) == ("boss", PHOTO, "graph.user-photo")
    assert not any(call.get("proxy-authorization") for call in microsoft.calls)


def test_somebody_else_logs_in(office, microsoft, chromium):
    gate = office()
    page = chromium(chromium_policy(gate.root, f"http://{NAME}:{gate.login}/proxy.pac"))
    page.log_in_as("worker", PASSWORD)
    page.go(MAIL)
    assert page.run(put_photo())["status"] == 403
    assert gate.log("block", event="block")[0]["user"] == "worker"
    assert microsoft.seen("PUT") == []


# ---- on a phone ----

SEEN = """(() => {
    const light = c => { const [r, g, b] = c.match(/[\\d.]+/g).slice(0, 3).map(v => v / 255)
                             .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
                         return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
    const ground = e => { const c = getComputedStyle(e).backgroundColor; return c == "rgba(0, 0, 0, 0)" ? ground(e.parentElement) : c; };
    const contrast = e => { const [a, b] = [light(getComputedStyle(e).color), light(ground(e))].sort((x, y) => y - x);
                            return (a + 0.05) / (b + 0.05); };
    const texts = [...document.querySelectorAll("main :is(p, h1, h2, dt, dd, a, code)")].filter(e => e.innerText.trim());
    return {wide: document.documentElement.scrollWidth, screen: innerWidth, lines: document.querySelector(".id code").getClientRects().length,
            help: document.querySelector(".id").getBoundingClientRect().bottom,
            contrast: Math.min(...texts.map(contrast)), size: Math.min(...texts.map(e => parseFloat(getComputedStyle(e).fontSize)))};
})()"""


def test_the_block_page_can_be_read_on_a_phone(office, chromium):
    """Nothing to scroll sideways, the incident number in one piece and on the first screen, contrast as WCAG 2.2, 1.4.3 wants it.

    PHOTOGATE_PICTURE names a file to keep the picture in: docs/block-page.png is made so.
    """
    gate = office(sections='[ui]\norganisation = "Contoso"\ncontact = "the help desk, extension 4711, help@contoso.com"')
    page = chromium(chromium_policy(gate.root, pac_of(gate)))
    page.go(CHANGEPHOTO)
    for width, height, dark in (320, 568, False), (390, 844, True), (390, 844, False):
        picture = page.picture(width, height, dark=dark)
        seen = page.run(SEEN)
        assert (seen["wide"], seen["screen"], seen["lines"]) == (width, width, 1)
        assert seen["help"] <= height or width < 390, seen
        assert seen["contrast"] >= 4.5 and seen["size"] >= 14, seen
    assert struct.unpack(">II", picture[16:24]) == (2 * 390, 2 * 844)
    if "PHOTOGATE_PICTURE" in os.environ:
        pathlib.Path(os.environ["PHOTOGATE_PICTURE"]).write_bytes(picture)


# ---- the proxy away ----

def opens(page, url):
    """None when the page opens, else why it does not."""
    try:
        page.go(url)
    except BrowserError as e:
        return str(e)
    return None


def direct(microsoft):
    """Flags for a browser that finds the sites by itself."""
    rules = [f"MAP {NAME} 127.0.0.1", *(f"MAP {host} 127.0.0.1:{microsoft.port}" for host in (OUTLOOK, TUNNELLED))]
    return ["--host-resolver-rules=" + ",".join(rules)]


@pytest.mark.parametrize("fail", ["closed", "open"])
def test_the_proxy_goes_away(office, microsoft, chromium, authority, tmp_path, fail):
    gate = office(sections=f'[pac]\nfail = "{fail}"')
    trusted = tmp_path / "microsoft.pem"
    trusted.write_bytes(authority.pem)
    page = chromium(chromium_policy(gate.root, pac_of(gate), trusted), *direct(microsoft))
    assert opens(page, MAIL) is None and opens(page, CHANGEPHOTO) is None
    assert "/mail/changephoto" not in microsoft.seen("GET")
    gate.stop()
    assert opens(page, f"https://{TUNNELLED}/") is None, "what is not inspected does not need the proxy"
    assert opens(page, CHANGEPHOTO) == ("net::ERR_PROXY_CONNECTION_FAILED" if fail == "closed" else None)
    assert ("/mail/changephoto" in microsoft.seen("GET")) == (fail == "open")
    gate.start()
    assert opens(page, CHANGEPHOTO) is None
    # what failed once is not asked again for some minutes, if there is another way
    assert ("not allowed" in page.text()) == (fail == "closed")


@pytest.mark.parametrize("pac, fail", [("mandatory", "open"), ("optional", "closed"), ("in the policy", "closed"), ("in the policy", "open")])
def test_a_browser_starts_without_the_proxy(office, microsoft, chromium, authority, tmp_path, pac, fail):
    gate = office(sections=f'[pac]\nfail = "{fail}"')
    trusted = tmp_path / "microsoft.pem"
    trusted.write_bytes(authority.pem)
    url = gate.command("pac", "--config", str(gate.config), "--data-url").stdout.strip() if pac == "in the policy" else pac_of(gate)
    gate.stop()
    page = chromium(chromium_policy(gate.root, url, trusted, ProxyPacMandatory=pac != "optional"), *direct(microsoft))
    nothing = "net::ERR_MANDATORY_PROXY_CONFIGURATION_FAILED"
    expected = {"mandatory": (nothing, nothing), "optional": (None, None),
                "in the policy": ("net::ERR_PROXY_CONNECTION_FAILED" if fail == "closed" else None, None)}[pac]
    assert (opens(page, CHANGEPHOTO), opens(page, f"https://{TUNNELLED}/")) == expected
