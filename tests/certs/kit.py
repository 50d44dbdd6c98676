# SPDX-License-Identifier: Apache-2.0
"""What the tests of the certs floor share: running `photogate ca`, signing with a stolen key by openssl, TLS servers."""
import http.server
import json
import os
import pathlib
import shutil
import signal
import socketserver
import ssl
import subprocess
import tempfile
import threading
import time
import unittest

PHOTOGATE = os.path.abspath(os.environ.get("PHOTOGATE", "build/dev/proxy/photogate"))


def run(*argv, status=0, stdin=None, **more):
    """stdout and stderr of a command that has to end with `status`."""
    done = subprocess.run([str(a) for a in argv], input=stdin, capture_output=True, timeout=60, **more)
    out, err = done.stdout.decode("latin-1"), done.stderr.decode("latin-1")
    if status is not None and done.returncode != status:
        raise AssertionError(f"{' '.join(map(str, argv))}: status {done.returncode}, not {status}\n{out}{err}")
    return out, err


def ca(*argv, **more):
    return run(PHOTOGATE, "ca", *argv, **more)


class Case(unittest.TestCase):
    """A test with a directory of its own, self.dir."""

    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="photogate-certs-"))
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)


def issuing_key(ca_dir):
    """The key of the CA in use."""
    shown = json.loads(ca("show", "--json", "--dir", ca_dir)[0])
    return pathlib.Path(ca_dir) / "private" / f"issuing-{shown['issuing']['key_id']}.key"


def new_key(path):
    run("openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", path)


def sign(where, name, issuer, issuer_key, subject, extensions, days="30"):
    """A certificate where/name.pem with where/name.key, signed with openssl: what a thief of a key can do."""
    key, pem, csr, conf = (where / f"{name}.{ext}" for ext in ("key", "pem", "csr", "cnf"))
    new_key(key)
    conf.write_text("[req]\ndistinguished_name=dn\n[dn]\n[ext]\n" + "\n".join(extensions) + "\n")
    run("openssl", "req", "-new", "-config", conf, "-key", key, "-subj", subject, "-out", csr)
    run("openssl", "x509", "-req", "-in", csr, "-CA", issuer, "-CAkey", issuer_key, "-set_serial",
        "0x" + os.urandom(15).hex(), "-sha256", "-days", days, "-extfile", conf, "-extensions", "ext", "-out", pem)
    return pem


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    """An HTTPS server on a loopback port that notes every request that gets through its handshake."""
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, chain, key, seen, page=None):
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(chain, key)
        self.seen, self.page = seen, page
        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    @property
    def port(self):
        return self.server_address[1]

    def finish_request(self, request, client_address):
        request.settimeout(20)
        with self.tls.wrap_socket(request, server_side=True) as secure:
            super().finish_request(secure, client_address)

    def handle_error(self, request, client_address):
        pass  # a client that refuses the certificate

    def close(self):
        self.shutdown()
        self.server_close()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, body, kind):
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.server.seen.append(self.path)
        page = self.server.page if self.path == "/page" else None
        self.answer((page or "ok").encode(), "text/html; charset=utf-8" if page else "text/plain")

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self.server.seen.append((self.path, body.decode()))
        self.answer(b"ok", "text/plain")

    def log_message(self, *args):
        pass


class Browser:
    """A child process in a session of its own, ended by its id."""

    def __init__(self, argv, home):
        env = dict(os.environ, HOME=str(home), MOZ_CRASHREPORTER_DISABLE="1", MOZ_HEADLESS="1")
        for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
            env.pop(name, None)
        self.log = open(home / "browser.log", "wb")
        self.child = subprocess.Popen([str(a) for a in argv], env=env, stdin=subprocess.DEVNULL, stdout=self.log,
                                      stderr=self.log, start_new_session=True)

    def end(self):
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self.child.pid, number)
                self.child.wait(5)
            except ProcessLookupError:
                break
            except subprocess.TimeoutExpired:
                continue
        self.log.close()


def wait_for(what, seconds):
    """What `what()` gives as soon as it is true; None when it never is."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        value = what()
        if value:
            return value
        time.sleep(0.05)
    return None


def nss_database(where, root):
    """An NSS database that trusts `root` for servers, made before the browser looks there: certutil asks for a password
    for ever in one that a browser made."""
    where.mkdir(parents=True)
    password = where.parent / "nss-password"
    password.write_text("")
    run("certutil", "-N", "-d", f"sql:{where}", "-f", password, "--empty-password", stdin=b"")
    run("certutil", "-A", "-d", f"sql:{where}", "-f", password, "-n", "photogate test root", "-t", "C,,", "-i", root,
        stdin=b"")
