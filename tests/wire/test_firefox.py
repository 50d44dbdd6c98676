# SPDX-License-Identifier: Apache-2.0
"""Firefox ESR as docs/deploy.md sets it up."""
import json

import pytest
from browsers import BrowserError, Firefox, missing
from conftest import OUTLOOK, TUNNELLED
from deploy import NAME, firefox_policy, pac_of
from microsoft import TITLE, VERSION, put_photo

pytestmark = pytest.mark.skipif(bool(missing("firefox-esr")), reason=missing("firefox-esr") or "")
MAIL = f"https://{OUTLOOK}/mail/"
CHANGEPHOTO = MAIL + "changephoto"


@pytest.fixture
def firefox(tmp_path):
    """firefox(policy): started with that policy and nothing else; it finds the proxy's name on this machine, and no other."""
    started = []

    def run(policy, *names):
        started.append(Firefox(tmp_path / f"firefox{len(started)}", policy, {"network.dns.localDomains": ",".join([NAME, *names])}))
        return started[-1]
    yield run
    for browser in started:
        browser.close()


def test_the_policy_file_is_enough(office, microsoft, firefox):
    gate = office()
    page = firefox(firefox_policy(gate.root, pac_of(gate)))
    page.go(MAIL)
    assert (page.run("document.title"), page.run(VERSION)) == (TITLE, "h2")
    refused = page.run(put_photo())
    assert refused["status"] == 403 and refused["incident"] in json.loads(refused["body"])["error"]["message"]
    page.go(CHANGEPHOTO)
    assert "This photo change is not allowed" in page.text()
    incident = page.run("document.querySelector('.id').innerText")
    assert gate.log("block", incident=incident)[0]["rule"] == "outlook.changephoto-page"
    assert "/mail/changephoto" not in microsoft.seen("GET") and microsoft.seen("PUT") == []


def fails(page, url):
    """The name of the error page that comes instead."""
    with pytest.raises(BrowserError, match="about:(net|cert)error") as caught:
        page.go(url)
    return str(caught.value).split("e=")[1].split("&")[0]


def goes_directly(page, url):
    """To this machine's port 443: whoever is there, or nobody."""
    return fails(page, url) != "proxyConnectFailure"


@pytest.mark.parametrize("fail", ["closed", "open"])
def test_the_proxy_is_away(office, firefox, fail):
    gate = office(sections=f'[pac]\nfail = "{fail}"')
    page = firefox(firefox_policy(gate.root, pac_of(gate)), OUTLOOK, TUNNELLED)
    page.go(MAIL)
    gate.stop()
    assert goes_directly(page, CHANGEPHOTO) == (fail == "open")
    assert goes_directly(page, f"https://{TUNNELLED}/")


@pytest.mark.parametrize("pac", ["fetched", "in the policy"])
def test_a_browser_starts_without_the_proxy(office, firefox, pac):
    gate = office(sections='[pac]\nfail = "closed"')
    url = gate.command("pac", "--config", str(gate.config), "--data-url").stdout.strip() if pac == "in the policy" else pac_of(gate)
    gate.stop()
    page = firefox(firefox_policy(gate.root, url), OUTLOOK)
    assert goes_directly(page, CHANGEPHOTO) == (pac == "fetched")
