# SPDX-License-Identifier: Apache-2.0
"""The stand-in tenant on loopback: one TLS listener for all of Microsoft's hosts, told apart by the Host field.

Tests start it in their own process (`with Server(tenant) as server`) and look at `server.requests` afterwards.
"""
import datetime
import json
import ssl
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, parse_qsl, urlsplit

from exchange import CmdletError, Exchange, mailbox_row
from faults import Faults, Throttle
from graph import Graph
from state import TENANT
from tokens import TokenError, Tokens

LOGIN, GRAPH, OUTLOOK = "login.microsoftonline.com", "graph.microsoft.com", "outlook.office365.com"
HOSTS = (LOGIN, GRAPH, OUTLOOK, "evil.example")
PAGE_MAX = 1000
CONCURRENCY = b"You have reached the maximum number of concurrent requests per tenant. Please wait and try again"


class Server(ThreadingHTTPServer):
    daemon_threads, request_queue_size = True, 64

    def __init__(self, tenant, certificate, key, address=("127.0.0.1", 0)):
        super().__init__(address, Handler)
        self.tenant, self.tokens, self.faults, self.throttle = tenant, Tokens(), Faults(), Throttle()
        self.exchange, self.graph = Exchange(tenant), Graph(tenant)
        self.turn = threading.Lock()  # one request at a time touches the state
        self.requests, self.unknown = [], []
        self.exchange_refused = None  # "nul": 403 with NUL bytes; "text": the role is not supported
        self.nextlink_host = f"{OUTLOOK}:446"
        self.delay = 0.0
        self.budget, self.budget_s = 30000, 16
        self.busy = self.most_busy = 0
        self.pages = {}  # token -> rows still to give
        self.before_write = None  # called with the line before each write; tests kill or change things there
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self.context = context

    def get_request(self):
        sock, address = super().get_request()
        sock.settimeout(60)
        return self.context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False), address

    def handle_error(self, request, client_address):
        pass  # clients are killed on purpose; what is wrong with an answer shows in the test

    @property
    def port(self):
        return self.server_address[1]

    def __enter__(self):
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()

    def lines(self, part=""):
        return [line for line in self.requests if part in line]

    def writes(self):
        return [r for r in self.requests if r.startswith(("PATCH ", "DELETE ", "PUT ")) or any(f" {v}-" in r for v in ("Set", "New", "Remove", "Add"))
                or r.startswith("POST /v1.0")]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "Microsoft-IIS/10.0", ""
    disable_nagle_algorithm = True
    wbufsize = -1

    def log_message(self, *args):
        pass

    def do_any(self):
        length = int(self.headers.get("Content-Length") or 0)
        raw = self.rfile.read(length)
        host = (self.headers.get("Host") or "").split(":")[0]
        server = self.server
        with server.turn:
            server.busy += 1
            server.most_busy = max(server.most_busy, server.busy)
        try:
            if server.delay:
                time.sleep(server.delay)
            self.route(host, raw)
        finally:
            with server.turn:
                server.busy -= 1

    do_GET = do_POST = do_PATCH = do_DELETE = do_PUT = do_any

    def route(self, host, raw):
        server, path = self.server, urlsplit(self.path).path
        form, body, cmdlet = {}, None, ""
        if host == LOGIN:
            form = dict(parse_qsl(raw.decode()))
        elif raw:
            body = json.loads(raw)
            if path.endswith("/InvokeCommand"):
                cmdlet = body["CmdletInput"]["CmdletName"]
        line = f"{self.command} {path} {cmdlet}".strip()
        with server.turn:
            server.requests.append(line)
            kind = server.faults.pick(line)
        if host not in (LOGIN, GRAPH, OUTLOOK):
            with server.turn:
                server.unknown.append(f"{host} {line} {'token' if self.headers.get('Authorization') else ''}")
            return self.send(404, {"error": {"code": "NotFound", "message": "no such host here"}})
        if self.fault_before(kind, host):
            return None
        with server.turn:
            if host == LOGIN:
                status, answer, headers = self.login(path, form)
            elif host == GRAPH:
                status, answer, headers = self.graph(body)
            else:
                status, answer, headers = self.outlook(path, body, cmdlet)
        if kind in ("lost", "half", "503after"):
            return self.fault_after(kind, status, answer)
        return self.send(status, answer, headers, slow=kind == "slow")

    # ---- hosts ----
    def login(self, path, form):
        parts = path.strip("/").split("/")
        try:
            if parts[1:] == ["oauth2", "v2.0", "token"]:
                return 200, self.server.tokens.grant(parts[0], form), {"Cache-Control": "no-store, no-cache"}
            if parts[1:] == ["oauth2", "v2.0", "devicecode"]:
                return 200, self.server.tokens.device_code(), {}
        except TokenError as error:
            return error.status, error.body(), {}
        self.server.unknown.append(path)
        return 404, {"error": "invalid_request"}, {}

    def unauthorized(self):
        return 401, {"error": {"code": "InvalidAuthenticationToken", "message": "Access token is empty, expired or for another audience."}}, {
            "WWW-Authenticate": f'Bearer realm="", authorization_uri="https://{LOGIN}/common/oauth2/authorize"'}

    def graph(self, body):
        if not self.server.tokens.check(self.headers.get("Authorization"), f"https://{GRAPH}"):
            return self.unauthorized()
        if self.command != "GET" and self.server.before_write:
            self.server.before_write(f"{self.command} {self.path}")
        return self.server.graph.handle(self.command, self.path, body, self.server.tokens.roles[f"https://{GRAPH}"])

    def outlook(self, path, body, cmdlet):
        server = self.server
        if not server.tokens.check(self.headers.get("Authorization"), f"https://{OUTLOOK}"):
            return self.unauthorized()
        if server.exchange_refused == "nul":
            return 403, b"\0" * 4096, {}
        if server.exchange_refused == "text":
            return 403, b"The role assigned to application 22222222 isn't supported in this scenario. Please check online documentation for " \
                b"assigning correct Directory Roles to Azure AD Application for EXO App-Only Authentication.", {}
        if path == f"/adminapi/beta/{TENANT}/EXOModuleFile":
            names = ",".join(n for n in server.exchange.names.values() if n not in server.exchange.denied)
            return 200, {"value": [{"exportedCmdlets": names}]}, {}
        if path not in (f"/adminapi/beta/{TENANT}/InvokeCommand", f"/adminapi/v1.0/{TENANT}/InvokeCommand") or self.command != "POST":
            server.unknown.append(f"{self.command} {path}")
            return 404, {"error": {"code": "NotFound", "message": f"no such endpoint: {self.command} {path}"}}, {}
        if server.exchange.is_write(cmdlet):
            wait = server.throttle.admit()
            if wait:
                return 429, b"", {"Retry-After": f"{wait:.3f}"}
            if server.before_write:
                server.before_write(f"{cmdlet} {json.dumps(body['CmdletInput'].get('Parameters', {}), sort_keys=True)}")
        try:
            return 200, self.invoke(body["CmdletInput"]), self.rate_headers()
        except CmdletError as error:
            return error.status, error.body, {"x-ExceptionType": "Microsoft.Exchange"}

    def rate_headers(self):
        reset = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=self.server.budget_s)
        left = self.server.budget = self.server.budget - 1
        if left <= 0:  # whoever comes back after the reset finds it full again
            left, self.server.budget = 0, 30000
        return {"Rate-Limit-Limit": "30000", "Rate-Limit-Remaining": str(left), "Rate-Limit-Reset": reset.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
                "request-id": str(uuid.uuid4())}

    def invoke(self, command):
        server, query = self.server, parse_qs(urlsplit(self.path).query)
        token, warnings = query.get("$skiptoken", [""])[0], []
        if token:
            rows = server.pages[token]  # asking twice for a page gives it twice: a client that lost the answer asks again
        else:
            rows, warnings = server.exchange.run(command["CmdletName"], command.get("Parameters", {}))
        size = min(PAGE_MAX, int((self.headers.get("Prefer") or "odata.maxpagesize=1000").partition("maxpagesize=")[2].partition(";")[0]))
        chosen = {f.lower() for f in query.get("$select", [""])[0].split(",") if f}
        page = [mailbox_row(*r) if isinstance(r, tuple) else r for r in rows[:size]]
        if chosen:
            page = [{k: v for k, v in row.items() if k.partition("@")[0].lower() in chosen} for row in page]
        answer = {"@odata.context": f"https://{OUTLOOK}/adminapi/beta/{TENANT}/$metadata#Collection(Exchange.GenericHashTable)",
                  "adminapi.warnings@odata.type": "#Collection(String)", "@adminapi.warnings": warnings, "value": page}
        if len(rows) > size:
            following = f"{len(server.pages)}-{uuid.uuid4().hex[:8]}"
            server.pages[following] = rows[size:]
            select = f"&$select={query['$select'][0]}" if chosen else ""
            answer["@odata.nextLink"] = f"https://{server.nextlink_host}{urlsplit(self.path).path}?$skiptoken={following}{select}"
        return answer

    # ---- answers ----
    def send(self, status, answer, headers=None, slow=False):
        data = answer if isinstance(answer, bytes) else b"" if answer is None else json.dumps(answer).encode()
        self.send_response(status)
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        if status != 204:
            self.send_header("Content-Type", "application/json;odata.metadata=minimal;odata.streaming=true;charset=utf-8")
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if slow:
            for i in range(0, min(len(data), 200), 20):
                self.wfile.write(data[i:i + 20])
                self.wfile.flush()
                time.sleep(0.01)
            data = data[200:]
        if status != 204:
            self.wfile.write(data)

    def cut(self, data=b""):
        if data:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data[:len(data) // 2])
            self.wfile.flush()
        self.close_connection = True
        self.connection.close()

    def fault_before(self, kind, host):
        """True when the request ended here, with nothing done."""
        plain = {"429": (429, b"", {"Retry-After": "1"}), "429f": (429, b"", {"Retry-After": "0.25"}), "429n": (429, b"", {}),
                 "concurrency": (400 if host == OUTLOOK else 429, CONCURRENCY, {}), "503": (503, b"", {}), "504": (504, b"upstream", {}),
                 "gzip": (503, b"not gzip at all", {"Content-Encoding": "gzip"})}
        if kind in plain:
            self.send(*plain[kind])
        elif kind == "401" and host != LOGIN:
            self.send(*self.unauthorized())
        elif kind == "reset":
            self.cut()
        elif kind == "redirect" and host == OUTLOOK and "hop=" not in self.path:
            mark = "&" if "?" in self.path else "?"
            self.send(307, None, {"Location": f"https://{OUTLOOK}:446{self.path}{mark}hop=1"})
        elif kind == "evil":
            self.send(307, None, {"Location": f"https://evil.example{self.path}"})
        else:
            return False
        return True

    def fault_after(self, kind, status, answer):
        if kind == "half":
            self.cut(json.dumps(answer or {"value": []}).encode())
        elif kind == "503after":
            self.send(503, b"")
        else:
            self.cut()
