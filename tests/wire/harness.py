# SPDX-License-Identifier: Apache-2.0
"""What the wire tests stand on: a PKI for origins, scriptable origins, the proxy as a process, raw clients.

Nothing here knows the proxy's inside: it is started as a user would start it and spoken to over sockets.
"""
import contextlib
import datetime
import ipaddress
import json
import os
import pathlib
import random
import re
import signal
import socket
import ssl
import struct
import subprocess
import threading
import time

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

PHOTOGATE = os.path.abspath(os.environ.get("PHOTOGATE", pathlib.Path(__file__).resolve().parents[2] / "build/dev/proxy/photogate"))
# Sanitizers and valgrind slow everything down; time limits in tests are multiplied by this.
SLOW = float(os.environ.get("PHOTOGATE_SLOW", "1"))
TIMEOUT = 10 * SLOW


def wait_for(what, timeout=TIMEOUT, every=0.02):
    """Polls `what` until it gives something true, which is returned."""
    until = time.monotonic() + timeout
    while True:
        value = what()
        if value:
            return value
        if time.monotonic() > until:
            raise AssertionError(f"did not happen within {timeout} s: {what}")
        time.sleep(every)


# ---- certificates ----

def utc_now():
    """Without a time zone, as certificates are described to the library."""
    return datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)


def der(tag, body):
    """X.690, 8.1: a value with its tag and length."""
    size = len(body).to_bytes((len(body).bit_length() + 7) // 8 or 1, "big")
    return bytes([tag]) + (size if len(body) < 128 else bytes([0x80 | len(size)]) + size) + body


def sign(builder, key, algorithm):
    """builder.sign(), with SHA-1 too: newer libraries rightly refuse to sign with it, and the proxy has to refuse what was."""
    if not isinstance(algorithm, hashes.SHA1):
        return builder.sign(key, algorithm)
    tbs = builder.sign(key, hashes.SHA256()).tbs_certificate_bytes
    body = tbs[2 + (tbs[1] & 0x7F if tbs[1] & 0x80 else 0):]
    sha256, sha1 = bytes.fromhex("300a06082a8648ce3d040302"), bytes.fromhex("300906072a8648ce3d0401")  # RFC 5758, 3.2; RFC 3279, 2.2.3
    tbs = der(0x30, body.replace(sha256, sha1, 1))
    return x509.load_der_x509_certificate(der(0x30, tbs + sha1 + der(3, b"\0" + key.sign(tbs, ec.ECDSA(algorithm)))))


class Authority:
    """A root that signs origin certificates, and may be told to sign bad ones."""

    def __init__(self, name="wire test root"):
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = utc_now()
        self.cert = (x509.CertificateBuilder().subject_name(self.name).issuer_name(self.name).public_key(self.key.public_key())
                     .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=2))
                     .not_valid_after(now + datetime.timedelta(days=30))
                     .add_extension(x509.BasicConstraints(True, None), True)
                     .add_extension(x509.KeyUsage(False, False, False, False, False, True, True, False, False), True)
                     .add_extension(x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), False)
                     .sign(self.key, hashes.SHA256()))
        self.pem = self.cert.public_bytes(serialization.Encoding.PEM)

    def leaf(self, *names, key=None, not_before=-1, not_after=20, eku=ExtendedKeyUsageOID.SERVER_AUTH, ca=False, cn=None,
             algorithm=None, extensions=(), key_usage=None):
        """(certificate, key) for `names`; days are counted from now. `eku` None leaves it out."""
        key = key or ec.generate_private_key(ec.SECP256R1())
        now = utc_now()
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, cn)] if cn else
                            [x509.NameAttribute(NameOID.ORGANIZATION_NAME, "wire test")])
        b = (x509.CertificateBuilder().subject_name(subject).issuer_name(self.name).public_key(key.public_key())
             .serial_number(x509.random_serial_number()).not_valid_before(now + datetime.timedelta(days=not_before))
             .not_valid_after(now + datetime.timedelta(days=not_after)).add_extension(x509.BasicConstraints(ca, None), True))
        if names:
            b = b.add_extension(x509.SubjectAlternativeName([as_general_name(n) for n in names]), False)
        if eku is not None:
            b = b.add_extension(x509.ExtendedKeyUsage([eku]), False)
        if key_usage is not None:
            b = b.add_extension(key_usage, True)
        for extension, critical in extensions:
            b = b.add_extension(extension, critical)
        return sign(b, self.key, algorithm or hashes.SHA256()), key


def as_general_name(name):
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def pem_of(cert, key, *chain):
    parts = [key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())]
    parts += [c.public_bytes(serialization.Encoding.PEM) for c in (cert, *chain)]
    return b"".join(parts)


def server_context(pem, directory, alpn=("http/1.1",)):
    path = pathlib.Path(directory) / f"origin-{time.monotonic_ns()}.pem"
    path.write_bytes(pem)
    ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ctx.load_cert_chain(path)
    if alpn:
        ctx.set_alpn_protocols(list(alpn))
    return ctx


# ---- reading HTTP/1, strictly enough for tests ----

class Reader:
    """Bytes from a socket with what was read ahead."""

    def __init__(self, sock):
        self.sock, self.buffer = sock, b""

    def more(self):
        data = self.sock.recv(65536)
        self.buffer += data
        return bool(data)

    def until(self, mark):
        while mark not in self.buffer:
            if not self.more():
                raise EOFError(f"ended before {mark!r}: {self.buffer[:200]!r}")
        head, _, self.buffer = self.buffer.partition(mark)
        return head + mark

    def exactly(self, n):
        while len(self.buffer) < n:
            if not self.more():
                raise EOFError(f"ended {n - len(self.buffer)} bytes early")
        data, self.buffer = self.buffer[:n], self.buffer[n:]
        return data

    def rest(self):
        while self.more():
            pass
        data, self.buffer = self.buffer, b""
        return data


class Message:
    """A request or response: start line, fields as (lower-case name, value), body, raw head."""

    def __init__(self, raw):
        self.raw = raw
        lines = raw.decode("latin-1").split("\r\n")
        self.start = lines[0]
        self.fields = [(k.lower(), v.strip()) for k, _, v in (line.partition(":") for line in lines[1:] if line)]
        self.body, self.trailers = b"", []

    def get(self, name, default=None):
        return next((v for k, v in self.fields if k == name.lower()), default)

    def all(self, name):
        return [v for k, v in self.fields if k == name.lower()]

    @property
    def status(self):
        return int(self.start.split()[1])

    @property
    def method(self):
        return self.start.split()[0]

    @property
    def target(self):
        return self.start.split()[1]

    def json(self):
        return json.loads(self.body)


def read_chunked(reader):
    body = b""
    while True:
        size = int(reader.until(b"\r\n").split(b";")[0], 16)
        if size == 0:
            break
        body += reader.exactly(size)
        assert reader.exactly(2) == b"\r\n"
    trailers = []
    while (line := reader.until(b"\r\n")) != b"\r\n":
        name, _, value = line.decode("latin-1").partition(":")
        trailers.append((name.lower(), value.strip()))
    return body, trailers


def read_request(reader):
    m = Message(reader.until(b"\r\n\r\n"))
    if (m.get("transfer-encoding") or "").lower() == "chunked":
        m.body, m.trailers = read_chunked(reader)
    else:
        m.body = reader.exactly(int(m.get("content-length") or 0))
    return m


def read_response(reader, method="GET", interim=None):
    """The final response; 1xx heads before it are appended to `interim`."""
    while True:
        m = Message(reader.until(b"\r\n\r\n"))
        if m.status >= 200 or m.status == 101:
            break
        if interim is not None:
            interim.append(m)
    if method == "HEAD" or m.status in (101, 204, 304):
        return m
    if (m.get("transfer-encoding") or "").lower() == "chunked":
        m.body, m.trailers = read_chunked(reader)
    elif m.get("content-length") is not None:
        m.body = reader.exactly(int(m.get("content-length")))
    else:
        m.body = reader.rest()
    return m


# ---- origins ----

class Origin:
    """A server on loopback whose connections are each given to a function, on a thread of their own.

    The default function answers every request with what it saw, as JSON, and keeps the connection.
    """

    def __init__(self, context=None, serve=None, family=socket.AF_INET, address="127.0.0.1", port=0):
        self.context, self.serve = context, serve or self.echo
        self.requests, self.connections, self.errors = [], 0, []
        self.snis = []
        if context is not None:
            context.sni_callback = lambda sock, name, ctx: self.snis.append(name)
        self.socket = socket.socket(family)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind((address, port))
        self.socket.listen(1024)
        self.port = self.socket.getsockname()[1]
        self.open = []
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.socket.accept()
            except OSError:
                return
            self.connections += 1
            self.open.append(client)
            threading.Thread(target=self.run, args=(client,), daemon=True).start()

    def run(self, client):
        try:
            client.settimeout(60 * SLOW)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock = self.context.wrap_socket(client, server_side=True) if self.context else client
            with contextlib.closing(sock):
                self.serve(sock)
        except (OSError, EOFError, ValueError) as e:
            self.errors.append(e)
        finally:
            client.close()

    def echo(self, sock):
        reader = Reader(sock)
        while True:
            request = read_request(reader)
            self.requests.append(request)
            body = json.dumps({"method": request.method, "target": request.target, "fields": request.fields,
                               "length": len(request.body)}).encode()
            head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
            sock.sendall(head + (b"" if request.method == "HEAD" else body))

    def close(self):
        self.socket.close()
        for s in self.open:
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)


def scripted(*steps, hold=True, seen=None):
    """A serve function: for each request of a connection the next step, a bytes answer or a function (sock, request).

    Requests are appended to `seen`. Behind the last step the connection is kept until the peer closes it, or closed (hold=False).
    """
    def serve(sock):
        reader = Reader(sock)
        for step in steps:
            request = read_request(reader)
            if seen is not None:
                seen.append(request)
            if callable(step):
                step(sock, request)
            else:
                sock.sendall(step)
        while hold and sock.recv(65536):
            pass
    return serve


def unread(serve):
    """A serve function that gets the request's head only: serve(sock, head, reader)."""
    def run(sock):
        reader = Reader(sock)
        serve(sock, Message(reader.until(b"\r\n\r\n")), reader)
    return run


# ---- the proxy ----

def free_port():
    """A port to listen on later. None that the kernel gives to outgoing connections: a test beside this one could get it meanwhile."""
    low = int(pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = random.randrange(min(10000, low - 2000), low)
        with socket.socket() as s, contextlib.suppress(OSError):
            s.bind(("127.0.0.1", port))
            return port


class Proxy:
    """`photogate run` in a directory of its own. `origins` maps "host:port" to an Origin's port."""

    def __init__(self, directory, origins=(), proxy="", origin="", sections="", authority=None, ports=1, workers=1, listen=None,
                 public_url=None, env=None):
        self.dir = pathlib.Path(directory)
        self.dir.mkdir(parents=True, exist_ok=True)
        self.ports = [free_port() for _ in range(ports)]
        self.port = self.ports[0]
        self.authority = authority
        self.settings = {"origins": dict(origins), "proxy": proxy, "origin": origin, "sections": sections, "workers": workers,
                         "listen": listen, "public_url": public_url}
        self.env = {**os.environ, **(env or {})}
        if authority is not None:
            (self.dir / "roots.pem").write_bytes(authority.pem)
        self.write_config()
        if not (self.dir / "ca").exists():
            self.command("ca", "init", "--config", str(self.config))
        self.process = None
        self.starts = 0
        self.killed = False  # by the test itself: its exit status says nothing
        self.pass_fds = ()

    @property
    def config(self):
        return self.dir / "proxy.toml"

    def write_config(self, **changes):
        """Writes proxy.toml anew with some settings changed; a running proxy notices."""
        s = self.settings
        s.update(changes)
        listen = s["listen"] or ", ".join(f'"127.0.0.1:{p}"' for p in self.ports)
        connect_to = ", ".join(f'"{name}:127.0.0.1:{port}"' for name, port in s["origins"].items())
        text = f"""[proxy]
listen = [{listen}]
workers = {s["workers"]}
user = "64901"
signer_user = "64902"
{f'public_url = "{s["public_url"]}"' if s["public_url"] else ""}
{s["proxy"]}
[origin]
connect_to = [{connect_to}]
{'ca_file = "roots.pem"' if self.authority is not None else ""}
{s["origin"]}
[log]
access = "logs/access.log"
block = "logs/block.log"
{s["sections"]}
"""
        new = self.dir / "proxy.toml.new"
        new.write_text(text)
        new.replace(self.config)

    def command(self, *args, check=True, **kw):
        r = subprocess.run([PHOTOGATE, *args], cwd=self.dir, capture_output=True, text=True, timeout=120 * SLOW, env=self.env, **kw)
        assert not check or r.returncode == 0, f"photogate {' '.join(args)}: {r.returncode}: {r.stderr}"
        return r

    def start(self, wait=True):
        self.stderr_path = self.dir / "stderr"
        self.starts += 1
        with open(self.stderr_path, "ab") as err:
            self.process = subprocess.Popen([PHOTOGATE, "run", "--config", str(self.config)], cwd=self.dir, stdout=err, stderr=err,
                                            env=self.env, start_new_session=True, pass_fds=self.pass_fds)
        if wait:
            wait_for(self.is_ready, 30 * SLOW)
        return self

    def is_ready(self):
        if self.process.poll() is not None:
            raise AssertionError(f"the proxy ended with {self.process.returncode}: {self.stderr}")
        return self.stderr.count("ready hosts=") >= self.starts

    @property
    def stderr(self):
        return self.stderr_path.read_text()

    def children(self):
        """{name: pid} of the supervisor's processes."""
        out = {}
        for pid in map(int, pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()):
            with contextlib.suppress(OSError):
                name = pathlib.Path(f"/proc/{pid}/cmdline").read_text().split("\0")[0]
                out[name.removeprefix("photogate-")] = pid
        return out

    def reload(self, expect="configuration reloaded"):
        before = self.stderr.count(expect)
        self.process.send_signal(signal.SIGHUP)
        wait_for(lambda: self.stderr.count(expect) > before)

    def stop(self, timeout=60):
        """SIGTERM; the exit status."""
        if self.process is None or self.process.poll() is not None:
            return self.process.returncode if self.process else None
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout * SLOW)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            raise AssertionError(f"the proxy did not end: {self.stderr[-2000:]}")

    def log(self, name="access", count=1, **having):
        """Lines of a log whose fields are as in `having`, once there are `count`: they are written a moment after the answer."""
        def lines():
            path = self.dir / "logs" / f"{name}.log"
            if not path.exists():
                return []
            found = [json.loads(line) for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]
            matching = [f for f in found if all(f.get(k) == v for k, v in having.items())]
            return matching if len(matching) >= count else []
        return wait_for(lines, 5 * SLOW)

    @property
    def root(self):
        return self.dir / "ca/public/root.pem"

    # the network process from outside

    def rss(self):
        """Resident memory of the network process, in bytes."""
        status = pathlib.Path(f"/proc/{self.children()['network']}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", status).group(1)) << 10

    def sockets(self):
        """How many TCP connections the network process holds, listeners not counted."""
        held = set()
        for fd in pathlib.Path(f"/proc/{self.children()['network']}/fd").iterdir():
            with contextlib.suppress(OSError):
                held.add(os.readlink(fd))
        lines = [line.split() for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]]
        return sum(f"socket:[{f[9]}]" in held and f[3] != "0A" for f in lines)

    # clients

    def connect(self, port=None):
        s = socket.create_connection(("127.0.0.1", port or self.port), timeout=TIMEOUT)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return s

    def ask(self, raw, method=None):
        """Sends raw bytes to the proxy itself and reads one response."""
        with contextlib.closing(self.connect()) as s:
            s.sendall(raw)
            return read_response(Reader(s), method or raw.split(b" ")[0].decode())

    def tunnel(self, target, fields="", port=None):
        """(socket, response): after CONNECT. Bytes behind a 200 are an error here."""
        s = self.connect(port)
        s.sendall(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{fields}\r\n".encode())
        reader = Reader(s)
        head = Message(reader.until(b"\r\n\r\n"))
        if head.status != 200:
            head.body = reader.exactly(int(head.get("content-length") or 0))
        assert head.status != 200 or reader.buffer == b""
        return s, head

    def client_context(self, trust=None, alpn=("http/1.1",)):
        ctx = ssl.create_default_context(cafile=str(trust or self.root))
        ctx.verify_flags &= ~getattr(ssl, "VERIFY_X509_STRICT", 0)
        if alpn:
            ctx.set_alpn_protocols(list(alpn))
        return ctx

    def tls(self, host, port=443, sni=None, context=None, session=None, fields="", at=None, ragged=True):
        """A TLS connection to `host` through the proxy, intercepted or not. Unless `ragged`, a FIN without close_notify is an error."""
        s, head = self.tunnel(f"{host}:{port}", fields, at)
        assert head.status == 200, (head.start, head.body)
        return (context or self.client_context()).wrap_socket(s, server_hostname=sni or host, session=session, suppress_ragged_eofs=ragged)

    def request(self, host, raw, method=None, **kw):
        """One raw request over a new intercepted connection."""
        with contextlib.closing(self.tls(host, **kw)) as s:
            s.sendall(raw)
            return read_response(Reader(s), method or raw.split(b" ")[0].decode())

    def curl(self, *args, trust=None, check=True, proxy=None, timeout=60):
        cmd = ["curl", "-sS", "--max-time", str(timeout * SLOW), "--proxy", proxy or f"http://127.0.0.1:{self.port}", "--cacert",
               str(trust or self.root), *map(str, args)]
        r = subprocess.run(cmd, capture_output=True, timeout=(timeout + 10) * SLOW)
        assert not check or r.returncode == 0, f"{' '.join(cmd)}: {r.returncode}: {r.stderr.decode()}"
        return r


class HandTls:
    """TLS on a connected socket, driven by hand: what goes into one segment is the caller's choice.

    One thread may send while another receives, which Python's own TLS sockets do not survive: they lock nothing.
    """

    def __init__(self, sock, context, host=None):
        self.sock, self.incoming, self.outgoing = sock, ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_side=host is None, server_hostname=host)
        self.lock, self.order = threading.Lock(), threading.RLock()  # of the state; of what is sent

    def begin(self):
        """A client's first flight."""
        with contextlib.suppress(ssl.SSLWantReadError):
            self.tls.do_handshake()
        return self.outgoing.read()

    def handshake(self, first=b""):
        self.incoming.write(first)
        while True:
            try:
                self.tls.do_handshake()
                self.flush()
                return self
            except ssl.SSLWantReadError:
                self.flush()
                self.more()

    def more(self):
        data = self.sock.recv(65536)
        with self.lock:
            if data:
                self.incoming.write(data)
            else:
                self.incoming.write_eof()

    def flush(self):
        with self.order:
            with self.lock:
                data = self.outgoing.read()
            self.sock.sendall(data)

    def write(self, data):
        """Seals, but does not send before flush()."""
        with self.lock:
            self.tls.write(data)

    def goodbye(self):
        """Queues close_notify."""
        with contextlib.suppress(ssl.SSLError):
            self.tls.unwrap()

    def sendall(self, data):
        with self.order:
            for at in range(0, len(data), 1 << 16):
                self.write(data[at:at + (1 << 16)])
                self.flush()

    def recv(self, n):
        while True:
            try:
                with self.lock:
                    return self.tls.read(n)
            except ssl.SSLWantReadError:
                self.more()
            except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
                return b""

    def settimeout(self, seconds):
        self.sock.settimeout(seconds)

    def close(self):
        self.sock.close()


class NameServer:
    """Answers A queries from a table after `delay` seconds; other names do not exist."""

    def __init__(self, table=(), delay=0):
        self.table, self.delay = dict(table), delay
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        with contextlib.suppress(OSError):
            while True:
                data, peer = self.socket.recvfrom(4096)
                threading.Timer(self.delay, self.answer, (data, peer)).start()

    def answer(self, data, peer):
        labels, at = [], 12
        while data[at]:
            labels.append(data[at + 1:at + 1 + data[at]].decode())
            at += 1 + data[at]
        question, kind = data[12:at + 5], data[at + 2]
        address = self.table.get(".".join(labels).lower())
        record = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4" + socket.inet_aton(address) if address and kind == 1 else b""
        flags = b"\x81\x80" if address else b"\x81\x83"
        with contextlib.suppress(OSError):
            self.socket.sendto(data[:2] + flags + b"\0\1\0" + bytes([bool(record)]) + bytes(4) + question + record, peer)

    def close(self):
        self.socket.close()


class Route:
    """A way of requests through the proxy to `origin`: inside an intercepted connection, or in the clear with absolute targets."""

    def __init__(self, proxy, origin, host, inside):
        self.proxy, self.origin, self.host, self.inside = proxy, origin, host, inside

    def open(self):
        """A client's connection that is ready for requests."""
        return self.proxy.tls(self.host, ragged=False) if self.inside else self.proxy.connect()

    def open_both_ways(self):
        """The same for two threads, one that sends and one that receives."""
        if not self.inside:
            return self.proxy.connect()
        s, _ = self.proxy.tunnel(f"{self.host}:443")
        tls = HandTls(s, self.proxy.client_context(), self.host)
        s.sendall(tls.begin())
        return tls.handshake()

    def raw(self, path="/", method="GET", fields="", body=b"", version="1.1"):
        """A request's bytes; Content-Length is added for a body unless `fields` frame it."""
        target = path if self.inside else f"http://{self.host}{path}"
        length = f"Content-Length: {len(body)}\r\n" if body and "chunked" not in fields.lower() else ""
        return f"{method} {target} HTTP/{version}\r\nHost: {self.host}\r\n{length}{fields}\r\n".encode() + body

    def ask(self, *args, **kw):
        """One request on a connection of its own; its response."""
        with contextlib.closing(self.open()) as s:
            s.sendall(self.raw(*args, **kw))
            return read_response(Reader(s), kw.get("method", "GET"))


def chunked(*pieces, trailers=""):
    """A body in chunks."""
    return b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in pieces) + b"0\r\n" + trailers.encode() + b"\r\n"


def answer(body=b"", status="200 OK", fields=""):
    """A response's bytes, with Content-Length."""
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{fields}\r\n".encode() + body


def reset(sock):
    """Closes with RST. A TLS socket's goodbye is not sent."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    socket.socket(fileno=sock.detach()).close()


def is_over(sock, timeout=None):
    """Waits for the end of the stream: "eof" or "reset"; None when bytes come instead or nothing within the time."""
    sock.settimeout(timeout or TIMEOUT)
    try:
        return None if sock.recv(1) else "eof"
    except (ConnectionError, ssl.SSLEOFError):
        return "reset"
    except TimeoutError:
        return None


def get(path="/", host="graph.microsoft.com", fields="", method="GET", body=b""):
    """A plain request's bytes."""
    length = f"Content-Length: {len(body)}\r\n" if body else ""
    return f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n{length}{fields}\r\n".encode() + body


SANITIZER = re.compile(r"(ERROR: AddressSanitizer|ERROR: LeakSanitizer|WARNING: ThreadSanitizer|runtime error:|Assertion .* failed)")
