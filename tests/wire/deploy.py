# SPDX-License-Identifier: Apache-2.0
"""The policy files of docs/deploy.md, with this test's addresses and certificates in the place of the document's."""
import base64
import json
import pathlib
import re
import ssl

DOCUMENT = pathlib.Path(__file__).resolve().parents[2] / "docs/deploy.md"
# what the document's examples have
NAME = "proxy.corp.example"
PAC = "http://proxy.corp.example:3128/proxy.pac"
ROOT_BASE64 = "BASE64 OF photogate-root.cer"
ROOT_FILE = "/usr/local/share/ca-certificates/photogate-root.crt"


def sample(kind, having):
    """The text between the fences of the one example of that kind that has `having` in it."""
    found = [text for text in re.findall(rf"^```{kind}\n(.*?)^```$", DOCUMENT.read_text(), re.S | re.M) if having in text]
    assert len(found) == 1, f"{DOCUMENT.name} has {len(found)} {kind} examples with {having}"
    return found[0]


def replaced(text, *pairs):
    for old, new in pairs:
        assert old in text, f"{DOCUMENT.name}: {old}"
        text = text.replace(old, new)
    return text


def pac_of(gate):
    return f"http://{NAME}:{gate.port}/proxy.pac"


def chromium_policy(root, pac, *roots, **changes):
    """{path below /etc: text} for Chromium; `changes` are to ProxySettings. `roots` are trusted besides."""
    pems = [path.read_text() for path in (root, *roots)]
    ders = [base64.b64encode(ssl.PEM_cert_to_DER_cert(pem)).decode() for pem in pems]
    text = replaced(sample("json", "ProxySettings"), (PAC, pac), (ROOT_BASE64, '", "'.join(ders)))
    policy = json.loads(text)
    policy["ProxySettings"].update(changes)
    return {"chromium/policies/managed/photogate.json": json.dumps(policy)}


def firefox_policy(root, pac):
    """The same for Firefox."""
    return {"firefox/policies/policies.json": replaced(sample("json", "AutoConfigURL"), (PAC, pac), (ROOT_FILE, str(root)))}
