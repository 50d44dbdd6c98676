# SPDX-License-Identifier: Apache-2.0
"""As much of Outlook on the web and Graph as a browser's page needs."""
import json

from harness import Origin, Reader, answer, read_request

TITLE = "Outlook, as it always is"
PAGE = f"<!doctype html><html lang=en><title>{TITLE}</title><h1>Inbox</h1>".encode()
# https://learn.microsoft.com/graph/cors-support is what lets a page of another origin use Graph
CORS = ("Access-Control-Allow-Origin: *\r\nAccess-Control-Allow-Methods: GET, PUT, PATCH, DELETE\r\n"
        "Access-Control-Allow-Headers: authorization, content-type\r\n")
PHOTO = "/v1.0/me/photo/$value"
JPEG = bytes.fromhex("ffd8ffe000104a464946")


class Microsoft(Origin):
    """Answers pages with PAGE, preflights, reads of the photo with JPEG and every other request with an empty object."""

    def __init__(self, context):
        super().__init__(context, self.answer)

    def answer(self, sock):
        reader = Reader(sock)
        while True:
            request = read_request(reader)
            self.requests.append(request)
            if request.method == "OPTIONS":
                sock.sendall(answer(fields=CORS))
            elif request.method == "GET" and request.target == PHOTO:
                sock.sendall(answer(JPEG, fields=CORS + "Content-Type: image/jpeg\r\n"))
            elif "text/html" in request.get("accept", ""):
                sock.sendall(answer(PAGE, fields="Content-Type: text/html\r\n"))
            else:
                sock.sendall(answer(b"{}", fields=CORS + "Content-Type: application/json\r\n"))

    def seen(self, method):
        """Which targets were asked for with that method."""
        return [r.target for r in self.requests if r.method == method]


def fetch(url, **options):
    """An expression: what a page's script gets to see of an answer; {error} when it sees none."""
    return f"""fetch({json.dumps(url)}, {json.dumps(options)}).then(
        async r => ({{status: r.status, body: await r.text(), incident: r.headers.get("x-photogate-incident")}}),
        e => ({{error: String(e)}}))"""


def put_photo():
    return fetch(f"https://graph.microsoft.com{PHOTO}", method="PUT", body="jpeg",
                 headers={"Content-Type": "image/jpeg", "Authorization": "Bearer token"})
