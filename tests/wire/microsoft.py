# SPDX-License-Identifier: Apache-2.0
"""As much of Outlook on the web and Graph as a browser's page needs."""
import json

from h2kit import Site

TITLE = "Outlook, as it always is"
PAGE = f"<!doctype html><html lang=en><title>{TITLE}</title><h1>Inbox</h1>".encode()
# https://learn.microsoft.com/graph/cors-support is what lets a page of another origin use Graph
CORS = [("access-control-allow-origin", "*"), ("access-control-allow-methods", "GET, PUT, PATCH, DELETE"),
        ("access-control-allow-headers", "authorization, content-type")]
PHOTO = "/v1.0/me/photo/$value"
JPEG = bytes.fromhex("ffd8ffe000104a464946")


class Microsoft(Site):
    """Answers pages with PAGE, preflights, reads of the photo with JPEG and every other request with an empty object."""

    def __init__(self, context):
        super().__init__(context, self.page_or_api)

    def page_or_api(self, call):
        call.read()
        if call.method == "OPTIONS":
            call.respond(204, CORS)
        elif (call.method, call.path) == ("GET", PHOTO):
            call.respond(200, [*CORS, ("content-type", "image/jpeg")], JPEG)
        elif "text/html" in (call.get("accept") or ""):
            call.respond(200, [("content-type", "text/html")], PAGE)
        else:
            call.respond(200, [*CORS, ("content-type", "application/json")], b"{}")

    def seen(self, method):
        """Which paths were asked for with that method."""
        return [c.path for c in self.calls if c.method == method]


def fetch(url, **options):
    """An expression: what a page's script gets to see of an answer; {error} when it sees none."""
    return f"""fetch({json.dumps(url)}, {json.dumps(options)}).then(
        async r => ({{status: r.status, body: await r.text(), incident: r.headers.get("x-photogate-incident")}}),
        e => ({{error: String(e)}}))"""


def put_photo():
    return fetch(f"https://graph.microsoft.com{PHOTO}", method="PUT", body="jpeg",
                 headers={"Content-Type": "image/jpeg", "Authorization": "Bearer token"})


VERSION = "performance.getEntriesByType('navigation')[0].nextHopProtocol"  # by which the page came
