#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A Graph and an Outlook on this machine, under their real names: just enough of them to see what a proxy before them does.

usage: origin.py DIR    runs until it is ended; DIR/root.pem is what a proxy has to trust, DIR/port where they listen
"""
import http.server
import json
import pathlib
import ssl
import struct
import subprocess
import sys
import threading
import zlib

GRAPH, OUTLOOK = "graph.microsoft.com", "outlook.office.com"


def picture(red, green, blue, size=48):
    """A square of one colour, as PNG."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = (b"\0" + bytes((red, green, blue)) * size) * size
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0)) +
            chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "demo-origin", ""

    def answer(self, status, kind, body):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def serve(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        host, path = self.headers.get("Host", "").partition(":")[0], self.path.partition("?")[0]
        self.server.seen.append(f"{self.command} https://{host}{path}")
        photos = self.server.photos
        if host == OUTLOOK:
            page = f"<!doctype html><title>Outlook</title><h1>Outlook (demo)</h1><p>This is {path}.</p>"
            self.answer(200, "text/html; charset=utf-8", page.encode())
        elif path.endswith("/photo/$value") and self.command == "GET":
            self.answer(200, "image/png", photos.get(path) or picture(0, 90, 158))
        elif path.endswith("/photo/$value") and self.command in ("PUT", "PATCH"):
            photos[path] = body
            self.answer(200, "application/json", b"{}")
        else:
            self.answer(200, "application/json", json.dumps({"@odata.context": f"https://{GRAPH}/v1.0{path}"}).encode())

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = serve

    def log_message(self, *args):
        pass


class Origin(http.server.ThreadingHTTPServer):
    """Listens on a port of its own; `seen` has a line for every request that came through."""
    daemon_threads = True

    def __init__(self, directory):
        self.seen, self.photos = [], {}
        self.root = make_certificates(pathlib.Path(directory))
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(pathlib.Path(directory) / "origin.pem", pathlib.Path(directory) / "origin.key")
        super().__init__(("127.0.0.1", 0), Handler)
        self.port = self.server_address[1]

    def finish_request(self, request, client_address):
        request.settimeout(60)
        with self.tls.wrap_socket(request, server_side=True) as secure:
            super().finish_request(secure, client_address)

    def handle_error(self, request, client_address):
        pass  # a connection that was broken off

    def start(self):
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self


def make_certificates(directory):
    """A root and a certificate for both names in `directory`; the root's path."""
    def openssl(*args):
        subprocess.run(["openssl", *args], cwd=directory, check=True, capture_output=True)

    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    (directory / "origin.cnf").write_text(
        "[root]\nbasicConstraints = critical, CA:TRUE\nkeyUsage = critical, keyCertSign\nsubjectKeyIdentifier = hash\n"
        "[leaf]\nbasicConstraints = critical, CA:FALSE\nkeyUsage = critical, digitalSignature\nextendedKeyUsage = serverAuth\n"
        f"subjectAltName = DNS:{GRAPH}, DNS:{OUTLOOK}\n[req]\ndistinguished_name = dn\n[dn]\n")
    openssl("req", "-x509", *key, "-config", "origin.cnf", "-extensions", "root", "-subj", "/CN=photogate demo origin", "-days", "2",
            "-keyout", "root.key", "-out", "root.pem")
    openssl("req", "-new", *key, "-config", "origin.cnf", "-subj", "/O=photogate demo", "-keyout", "origin.key", "-out", "origin.csr")
    openssl("x509", "-req", "-in", "origin.csr", "-CA", "root.pem", "-CAkey", "root.key", "-set_serial", "2", "-days", "2", "-sha256",
            "-extfile", "origin.cnf", "-extensions", "leaf", "-out", "origin.pem")
    return directory / "root.pem"


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    origin = Origin(sys.argv[1])
    part = pathlib.Path(sys.argv[1]) / "port.new"
    part.write_text(f"{origin.port}\n")
    part.rename(part.with_name("port"))
    try:
        origin.serve_forever()
    except KeyboardInterrupt:
        pass
