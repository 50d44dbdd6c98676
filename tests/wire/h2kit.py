# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 for the wire tests: origins and clients that speak either version behind one interface, and raw frames for abuse.

An origin's script is a function of one `Call`; a client's request is an `Asked`. Neither knows the version it is sent by, so a test can
be run for every combination. Whoever wants to break the protocol takes a `Wire`, which obeys nothing.
"""
import contextlib
import hashlib
import json
import socket
import threading
import time

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings
import hpack
import hyperframe.frame as hf

from harness import TIMEOUT, HandTls, Message, Origin, Reader, read_chunked, reset

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR, STREAM_CLOSED, FRAME_SIZE_ERROR = 0, 1, 2, 3, 5, 6
REFUSED_STREAM, CANCEL, COMPRESSION_ERROR, ENHANCE_YOUR_CALM, HTTP_1_1_REQUIRED = 7, 8, 9, 11, 13
WIDE = 16 << 20  # a window that is never the limit


def values(fields, name):
    return [v for k, v in fields if k.lower() == name]


class Reply:
    """What a client got: the final head, 1xx before it, body, trailers; `broken` when it was not complete (None, "reset N", "eof")."""

    def __init__(self):
        self.status, self.fields, self.body, self.trailers, self.interim, self.broken = None, [], b"", [], [], None

    def get(self, name):
        return next(iter(values(self.fields, name)), None)

    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"<{self.status} {self.fields} {self.body[:100]!r} {self.trailers} broken={self.broken}>"


# ---- one HTTP/2 connection, either role ----

class Stream:
    """What has come of one stream. Change and read it under its end's lock."""

    def __init__(self, id, hold):
        self.id, self.hold = id, hold
        self.heads, self.body, self.trailers = [], bytearray(), None
        self.taken, self.ended, self.code, self.resets = 0, False, None, 0


class Connection(h2.connection.H2Connection):
    """python-h2 takes any GOAWAY for the end; there may be streams under way (RFC 9113, 6.8)."""

    def _receive_goaway_frame(self, frame):
        event = h2.events.ConnectionTerminated()
        event.error_code, event.last_stream_id = frame.error_code, frame.last_stream_id
        return [], [event]


class End:
    """python-h2 on a socket, with a thread that reads. `hold`: streams whose credit is given back only as their body is taken;
    the connection's is given back at once in any case."""

    def __init__(self, sock, client, settings=(), hold=False, window=WIDE, on_request=None):
        config = h2.config.H2Configuration(client_side=client, header_encoding="latin-1", validate_inbound_headers=False,
                                           validate_outbound_headers=False, normalize_inbound_headers=False, normalize_outbound_headers=False)
        self.sock, self.h2, self.changed = sock, Connection(config), threading.Condition(threading.RLock())
        self.order = threading.Lock()  # of what is sent
        self.streams, self.on_request, self.hold = {}, on_request, hold
        self.goaway, self.over, self.error, self.pings, self.peer = None, None, None, 0, {}
        self.h2.local_settings = h2.settings.Settings(client=client, initial_values={
            h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: window, h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: 1000,
            h2.settings.SettingCodes.MAX_HEADER_LIST_SIZE: 1 << 20, **dict(settings)})
        self.h2.decoder.max_header_list_size = 1 << 20
        self.h2.initiate_connection()
        self.h2.increment_flow_control_window(WIDE)
        self.flush()
        threading.Thread(target=self.run, daemon=True).start()

    def flush(self, *more):
        with self.order:
            with self.changed:
                data = self.h2.data_to_send()
            if data or more:
                self.sock.sendall(b"".join((data, *more)))

    def raw(self, *frames):
        """Sends frames (or bytes) behind the library's back."""
        self.flush(*(f if isinstance(f, bytes) else f.serialize() for f in frames))

    def run(self):
        over = "eof"
        try:
            while data := self.sock.recv(65536):
                with self.changed:
                    for event in self.h2.receive_data(data):
                        self.take(event)
                    self.changed.notify_all()
                self.flush()
        except h2.exceptions.ProtocolError as e:
            over, self.error = f"fault: {e!r}", e
            with contextlib.suppress(OSError):
                self.flush()
            self.close()
        except (OSError, ValueError) as e:
            over = "reset" if isinstance(e, ConnectionResetError) else "eof"
        with self.changed:
            self.over = over
            self.changed.notify_all()

    def take(self, event):
        s = self.streams.get(getattr(event, "stream_id", None))
        if isinstance(event, h2.events.RequestReceived):
            s = self.streams[event.stream_id] = Stream(event.stream_id, self.hold)
            s.heads.append(event.headers)
            threading.Thread(target=self.on_request, args=(self, s), daemon=True).start()
        elif isinstance(event, (h2.events.ResponseReceived, h2.events.InformationalResponseReceived)):
            s.heads.append(event.headers)
        elif isinstance(event, h2.events.TrailersReceived):
            s.trailers = event.headers
        elif isinstance(event, h2.events.DataReceived):
            s.body += event.data
            if event.flow_controlled_length:
                self.h2.increment_flow_control_window(event.flow_controlled_length)
                if not s.hold:
                    self.credit_back(s, event.flow_controlled_length)
        elif isinstance(event, h2.events.StreamEnded):
            s.ended = True
        elif isinstance(event, h2.events.StreamReset) and s is not None:
            s.resets += 1
            if s.code is None:
                s.code = event.error_code
        elif isinstance(event, h2.events.ConnectionTerminated):
            self.goaway = (event.error_code, event.last_stream_id)
        elif isinstance(event, h2.events.PingReceived):
            self.pings += 1
        elif isinstance(event, h2.events.RemoteSettingsChanged):
            self.peer.update({k: v.new_value for k, v in event.changed_settings.items()})

    def wait(self, what, timeout=None, name="it"):
        """Waits under the lock until `what()` is true; its value."""
        with self.changed:
            value = self.changed.wait_for(what, timeout or TIMEOUT)
            assert value, f"{name} did not come: over={self.over} error={self.error} goaway={self.goaway}"
            return value

    def do(self, act, *args, **kw):
        """A method of python-h2's connection, sent at once."""
        with self.changed:
            value = getattr(self.h2, act)(*args, **kw)
        self.flush()
        return value

    def send(self, s, data, timeout=None):
        """A body, as credit comes. Gives up (False) when the stream or the connection ends."""
        view = memoryview(data)
        while len(view):
            with self.changed:
                if not self.changed.wait_for(lambda: self.over or s.code is not None or self.credit(s) > 0, timeout or TIMEOUT):
                    raise TimeoutError("no credit")
                if self.over or s.code is not None:
                    return False
                n = min(len(view), self.credit(s), self.h2.max_outbound_frame_size)
                self.h2.send_data(s.id, bytes(view[:n]))
            view = view[n:]
            self.flush()
        return True

    def credit(self, s):
        try:
            return self.h2.local_flow_control_window(s.id)
        except h2.exceptions.ProtocolError:
            return 1  # closed: send() sees why

    def release(self, s, n=None):
        """Takes bytes of a stream that holds its credit; all from now on, without `n`."""
        with self.changed:
            n, s.hold = (n, True) if n else (len(s.body) - s.taken, False)
            s.taken += n
            if n:
                self.credit_back(s, n)
        self.flush()

    def credit_back(self, s, n):
        with contextlib.suppress(h2.exceptions.ProtocolError):  # its end may have come in the same bytes
            self.h2.increment_flow_control_window(n, s.id)

    def close(self):
        with contextlib.suppress(OSError):
            self.sock.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()

    def abort(self):
        """Ends the connection with RST, which waits for the last who reads from it."""
        with contextlib.suppress(OSError):
            self.sock.sock.shutdown(socket.SHUT_RD)
        self.wait(lambda: self.over, name="the reader's end")
        with self.order:
            if self.sock.sock.fileno() >= 0:
                reset(self.sock.sock)


# ---- origins ----

class Call:
    """One request at an origin, for its script."""
    version = None

    def __init__(self, origin, connection):
        self.origin, self.connection = origin, connection  # number of the connection, from 1
        self.method = self.path = self.authority = self.scheme = None
        self.fields, self.trailers, self.interim_sent = [], [], 0

    def all(self, name):
        return values(self.fields, name)

    def get(self, name):
        return next(iter(self.all(name)), None)

    def respond(self, status=200, fields=(), body=b"", trailers=None, sized=True):
        fields = list(fields)
        if sized and status not in (204, 304):
            fields.append(("content-length", str(len(body))))
        ends = not trailers and (not body or self.method == "HEAD")
        self.head(status, fields, ends)
        if not ends:
            self.send(body)
            self.end(trailers)


class CallH2(Call):
    version = "h2"

    def __init__(self, origin, connection, end, stream):
        super().__init__(origin, connection)
        self.h2, self.s = end, stream
        pseudo = dict(f for f in stream.heads[0] if f[0].startswith(":"))
        self.method, self.path, self.authority, self.scheme = (pseudo.get(n) for n in (":method", ":path", ":authority", ":scheme"))
        self.fields = [f for f in stream.heads[0] if not f[0].startswith(":")]

    def read_some(self, n):
        """The first n bytes of the body."""
        self.h2.wait(lambda: len(self.s.body) >= n or self.s.code is not None or self.h2.over, name=f"{n} bytes of the body")
        if len(self.s.body) < n:
            raise EOFError
        return bytes(self.s.body[:n])

    def read(self):
        self.h2.wait(lambda: self.s.ended or self.s.code is not None or self.h2.over, 6 * TIMEOUT, "the request's end")
        if not self.s.ended:
            raise EOFError
        self.trailers = self.s.trailers or []
        return bytes(self.s.body)

    def head(self, status, fields=(), ends=False):
        self.h2.do("send_headers", self.s.id, [(":status", str(status)), *fields], end_stream=ends)

    def send(self, data):
        self.h2.send(self.s, data, 6 * TIMEOUT)

    def end(self, trailers=None):
        if trailers:
            self.h2.do("send_headers", self.s.id, trailers, end_stream=True)
        else:
            self.h2.do("end_stream", self.s.id)

    def reset(self, code=INTERNAL_ERROR):
        self.h2.do("reset_stream", self.s.id, code)

    def drop(self):
        """The whole connection goes."""
        self.h2.close()


class CallH1(Call):
    version = "http/1.1"

    def __init__(self, origin, connection, sock, reader, message):
        super().__init__(origin, connection)
        self.sock, self.reader = sock, reader
        self.method, self.path, self.authority, self.scheme = message.method, message.target, message.get("host"), "https"
        self.fields = message.fields
        self.left = 0 if self.get("transfer-encoding") else int(self.get("content-length") or 0)
        self.is_chunked = bool(self.get("transfer-encoding"))
        self.chunking, self.been_read, self.closed = False, False, False
        self.begun = b""

    def read_some(self, n):
        while len(self.begun) < n:
            if self.is_chunked:
                size = int(self.reader.until(b"\r\n"), 16)
                self.begun += self.reader.exactly(size)
                self.reader.exactly(2)
            else:
                self.begun += self.reader.exactly(n - len(self.begun))
        return self.begun[:n]

    def read(self):
        self.been_read = True
        if self.is_chunked:
            rest, self.trailers = read_chunked(self.reader)
            return self.begun + rest
        return self.begun + self.reader.exactly(self.left - len(self.begun))

    def head(self, status, fields=(), ends=False):
        bare = status < 200 or status in (204, 304) or self.method == "HEAD"
        self.chunking = not bare and not ends and not values(fields, "content-length")
        lines = [f"HTTP/1.1 {status} Of-A-Kind", *(f"{k}: {v}" for k, v in fields)]
        if self.chunking:
            lines.append("Transfer-Encoding: chunked")
        elif ends and not bare and not values(fields, "content-length"):
            lines.append("Content-Length: 0")
        self.sock.sendall("\r\n".join((*lines, "", "")).encode("latin-1"))

    def send(self, data):
        for at in range(0, len(data), 1 << 16):
            piece = data[at:at + (1 << 16)]
            self.sock.sendall(b"%x\r\n%s\r\n" % (len(piece), piece) if self.chunking else piece)

    def end(self, trailers=None):
        if self.chunking:
            self.sock.sendall(b"0\r\n" + b"".join(f"{k}: {v}\r\n".encode() for k, v in trailers or ()) + b"\r\n")

    def reset(self, code=None):
        self.closed = True
        reset(self.sock.sock)

    def drop(self):
        self.reset()


def echo(call):
    """Answers with what it saw, as JSON."""
    body = call.read()
    call.respond(200, [("content-type", "application/json")], json.dumps({
        "version": call.version, "method": call.method, "path": call.path, "authority": call.authority, "scheme": call.scheme,
        "fields": call.fields, "trailers": call.trailers, "length": len(body), "sha256": hashlib.sha256(body).hexdigest(),
        "connection": call.connection}).encode())


class Site(Origin):
    """An origin of both versions; `alpn` may be changed for connections to come. `answer` is its script, `settings` its HTTP/2 SETTINGS."""

    def __init__(self, context, answer=echo, alpn=("h2", "http/1.1"), settings=(), hold=False, window=WIDE):
        self.answer, self.settings, self.hold, self.window = answer, settings, hold, window
        self.calls, self.ends, self.faults = [], [], []
        self.alpn = alpn
        self.tls = context
        super().__init__(None, self.speak)

    def run(self, client):
        number = self.connections
        try:
            client.settimeout(6 * TIMEOUT)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.tls.set_alpn_protocols(list(self.alpn))
            sock = HandTls(client, self.tls).handshake()
            self.speak(sock, number)
        except (OSError, EOFError, ValueError) as e:
            self.errors.append(e)

    def speak(self, sock, number):
        if sock.tls.selected_alpn_protocol() == "h2":
            self.ends.append(End(sock, False, self.settings, self.hold, self.window, lambda end, s: self.script(CallH2(self, number, end, s))))
            return
        reader = Reader(sock)
        try:
            while True:
                call = CallH1(self, number, sock, reader, Message(reader.until(b"\r\n\r\n")))
                self.script(call)
                if call.closed:
                    return
                if not call.been_read:
                    call.read()
        finally:
            sock.close()

    def script(self, call):
        self.calls.append(call)
        try:
            self.answer(call)
        except (EOFError, OSError, KeyError, h2.exceptions.ProtocolError):
            pass  # the other side went (python-h2 forgets the stream): the test looks at what the client got
        except Exception as e:
            self.faults.append(e)
            raise

    def drop_all(self):
        """Ends every connection there is."""
        for s in self.open:
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)
        self.open, self.ends = [], []


# ---- clients ----

class AskedH2:
    """A request under way on an HTTP/2 connection."""

    def __init__(self, client, head, ends, hold):
        self.end_, self.client = client.end, client
        with self.end_.changed:
            id = self.end_.h2.get_next_available_stream_id()
            self.s = self.end_.streams[id] = Stream(id, hold)
            self.end_.h2.send_headers(id, head, end_stream=ends)
        self.end_.flush()

    def send(self, data):
        return self.end_.send(self.s, data, 6 * TIMEOUT)

    def end(self, trailers=None):
        with contextlib.suppress(h2.exceptions.StreamClosedError):
            if trailers:
                self.end_.do("send_headers", self.s.id, trailers, end_stream=True)
            else:
                self.end_.do("end_stream", self.s.id)

    def reset(self, code=CANCEL):
        self.end_.do("reset_stream", self.s.id, code)

    def interim(self):
        """The first 1xx head, as (status, fields)."""
        self.end_.wait(lambda: self.s.heads, name="a head")
        return split(self.s.heads[0])

    def some(self, n):
        """The first n bytes of the body."""
        self.end_.wait(lambda: len(self.s.body) >= n, name=f"{n} bytes")
        return bytes(self.s.body[:n])

    def reply(self, timeout=None):
        s, end = self.s, self.end_
        end.wait(lambda: s.ended or s.code is not None or end.over, timeout or 6 * TIMEOUT, "the response")
        r = Reply()
        heads = [split(h) for h in s.heads]
        r.interim = [h for h in heads if h[0] < 200]
        for r.status, r.fields in (h for h in heads if h[0] >= 200):
            pass
        r.body, r.trailers = bytes(s.body), s.trailers or []
        if not s.ended:
            r.broken = f"reset {int(s.code)}" if s.code is not None else end.over
        return r


def split(head):
    return int(dict(head)[":status"]), [f for f in head if not f[0].startswith(":")]


class ClientH2:
    """A browser's HTTP/2 connection inside CONNECT."""
    version = "h2"

    def __init__(self, proxy, host, settings=(), window=WIDE, port=443):
        self.proxy, self.host = proxy, host
        self.sock = secure(proxy, host, ("h2", "http/1.1"), port)
        assert self.sock.tls.selected_alpn_protocol() == "h2"
        self.end = End(self.sock, True, settings, window=window)

    def ask(self, path="/", method="GET", fields=(), body=None, trailers=None, sized=True, more=False, hold=False, authority=None):
        """Sends a request; with `more` its body stays open for send() and end()."""
        head = [(":method", method), (":scheme", "https"), (":authority", authority or self.host), (":path", path), *fields]
        if body is not None and sized and not values(fields, "content-length"):
            head.append(("content-length", str(len(body))))
        asked = AskedH2(self, head, not more and not body and not trailers, hold)
        if body and asked.send(body) and not more and not trailers:
            asked.end()
        if trailers:
            asked.end(trailers)
        return asked

    def get(self, *args, **kw):
        """A request's reply."""
        return self.ask(*args, **kw).reply()

    def close(self):
        self.end.close()


class AskedH1:
    """The same on HTTP/1.1: one at a time."""

    def __init__(self, client, method, is_chunked):
        self.sock, self.reader, self.method, self.is_chunked = client.sock, client.reader, method, is_chunked
        self.heads = []

    def send(self, data):
        try:
            for at in range(0, len(data), 1 << 16):
                piece = data[at:at + (1 << 16)]
                self.sock.sendall(b"%x\r\n%s\r\n" % (len(piece), piece) if self.is_chunked else piece)
        except OSError:
            return False
        return True

    def end(self, trailers=None):
        if self.is_chunked:
            with contextlib.suppress(OSError):
                self.sock.sendall(b"0\r\n" + b"".join(f"{k}: {v}\r\n".encode() for k, v in trailers or ()) + b"\r\n")

    def reset(self, code=None):
        reset(self.sock.sock)

    def one_head(self):
        m = Message(self.reader.until(b"\r\n\r\n"))
        self.heads.append((m.status, m.fields))
        return m

    def interim(self):
        self.one_head()
        return self.heads[0]

    def reply(self, timeout=None):
        r = Reply()
        self.sock.settimeout(timeout or 6 * TIMEOUT)
        try:
            while not self.heads or self.heads[-1][0] < 200:
                self.one_head()
            r.status, r.fields = self.heads[-1]
            r.interim = self.heads[:-1]
            if self.method == "HEAD" or r.status in (204, 304):
                return r
            if r.get("transfer-encoding"):
                r.body, r.trailers = read_chunked(self.reader)
            else:
                r.body = self.reader.exactly(int(r.get("content-length")))
        except EOFError:
            r.broken = "eof"
        except OSError as e:
            r.broken = "reset" if isinstance(e, ConnectionResetError) else repr(e)
        return r


class ClientH1:
    version = "http/1.1"

    def __init__(self, proxy, host):
        self.proxy, self.host = proxy, host
        self.sock = secure(proxy, host, ("http/1.1",))
        self.reader = Reader(self.sock)

    def ask(self, path="/", method="GET", fields=(), body=None, trailers=None, sized=True, more=False, hold=False):
        fields = list(fields)
        length = values(fields, "content-length")
        is_chunked = (more or body is not None) and not (body is not None and sized and not trailers and not more) and not length
        if body is not None and not is_chunked and not length:
            fields.append(("Content-Length", str(len(body))))
        if is_chunked:
            fields.append(("Transfer-Encoding", "chunked"))
        lines = (f"{method} {path} HTTP/1.1", f"Host: {self.host}", *(f"{k}: {v}" for k, v in fields), "", "")
        self.sock.sendall("\r\n".join(lines).encode("latin-1"))
        asked = AskedH1(self, method, is_chunked)
        if body:
            asked.send(body)
        if not more:
            asked.end(trailers)
        return asked

    def get(self, *args, **kw):
        return self.ask(*args, **kw).reply()

    def close(self):
        self.sock.close()


def secure(proxy, host, alpn, port=443):
    """TLS inside CONNECT, for a thread that sends and one that receives."""
    s, head = proxy.tunnel(f"{host}:{port}")
    assert head.status == 200, (head.start, head.body)
    s.settimeout(6 * TIMEOUT)
    tls = HandTls(s, proxy.client_context(alpn=alpn), host)
    s.sendall(tls.begin())
    return tls.handshake()


# ---- without any rules ----

def frame(kind, id=0, flags=0, payload=b""):
    """A frame's bytes, whatever they are."""
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + id.to_bytes(4, "big") + payload


DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS, PADDED, PRIORITIZED = 1, 1, 4, 8, 32


def window_update(id, n):
    return frame(WINDOW_UPDATE, id, 0, n.to_bytes(4, "big"))


def rst(id, code=CANCEL):
    return frame(RST_STREAM, id, 0, code.to_bytes(4, "big"))


class Wire:
    """A client's TLS connection that sends frames as told and reads what comes. Nothing is answered, not even SETTINGS."""

    def __init__(self, proxy, host, preface=True, settings=()):
        self.answered = {}  # final statuses that were read and not asked for yet
        self.host, self.proxy = host, proxy
        self.sock = secure(proxy, host, ("h2", "http/1.1"))
        assert self.sock.tls.selected_alpn_protocol() == "h2"
        self.encoder, self.decoder, self.buffer = hpack.Encoder(), hpack.Decoder(), b""
        self.decoder.max_header_list_size = 1 << 20
        self.seen = []
        if preface:
            self.send(PREFACE, hf.SettingsFrame(0, settings=dict(settings)))

    def send(self, *frames):
        """False when the connection is gone."""
        try:
            self.sock.sendall(b"".join(f if isinstance(f, bytes) else f.serialize() for f in frames))
            return True
        except OSError:
            return False

    def head(self, path="/", method="GET", fields=(), pseudo=None):
        """An encoded header block."""
        pseudo = [(":method", method), (":scheme", "https"), (":authority", self.host), (":path", path)] if pseudo is None else pseudo
        return self.encoder.encode([*pseudo, *fields], huffman=False)

    def request(self, id, ends=True, **kw):
        return frame(HEADERS, id, END_HEADERS | (END_STREAM if ends else 0), self.head(**kw))

    def next(self, timeout=None):
        """The next frame; None at the end of the connection or when nothing comes in time."""
        self.sock.settimeout(timeout or TIMEOUT)
        try:
            while len(self.buffer) < 9 or len(self.buffer) < 9 + int.from_bytes(self.buffer[:3], "big"):
                data = self.sock.recv(65536)
                if not data:
                    return None
                self.buffer += data
        except OSError:
            return None
        f, n = hf.Frame.parse_frame_header(memoryview(self.buffer[:9]))
        f.parse_body(memoryview(self.buffer[9:9 + n]))
        self.buffer = self.buffer[9 + n:]
        if isinstance(f, hf.HeadersFrame):
            f.head = self.decoder.decode(f.data)
        self.seen.append(f)
        return f

    def until(self, is_it, timeout=None):
        """The first frame for which `is_it` is true; None when the connection ends before that, or the time."""
        by = time.monotonic() + (timeout or TIMEOUT)
        while (left := by - time.monotonic()) > 0:
            f = self.next(left)
            if f is None or is_it(f):
                return f
        return None

    def status(self, id, timeout=None):
        """The final status of a stream; None when it was reset or the connection ended."""
        while id not in self.answered:  # answers come in any order
            f = self.until(lambda f: isinstance(f, hf.RstStreamFrame) or getattr(f, "head", None) and dict(f.head)[":status"][0] != "1", timeout)
            if f is None:
                return None
            self.answered[f.stream_id] = int(dict(f.head)[":status"]) if isinstance(f, hf.HeadersFrame) else None
        return self.answered.pop(id)

    def verdict(self, id=0, timeout=None):
        """How the proxy took what was sent: ("goaway", code), ("reset", code) of that stream, ("status", n), "eof", "reset", or None."""
        def is_it(f):
            return (isinstance(f, hf.GoAwayFrame) and f.error_code != NO_ERROR or isinstance(f, hf.RstStreamFrame) and f.stream_id == id
                    or isinstance(f, hf.HeadersFrame) and f.stream_id == id)
        f = self.until(is_it, timeout)
        if isinstance(f, hf.GoAwayFrame):
            return "goaway", f.error_code
        if isinstance(f, hf.RstStreamFrame):
            return "reset", f.error_code
        if isinstance(f, hf.HeadersFrame):
            return "status", int(dict(f.head)[":status"])
        return None

    def is_alive(self, timeout=None):
        """Does it still answer a PING?"""
        if not self.send(frame(PING, 0, 0, b"alive???")):
            return False
        return self.until(lambda f: isinstance(f, hf.PingFrame) and "ACK" in f.flags and f.opaque_data == b"alive???", timeout) is not None

    def close(self):
        self.sock.close()
