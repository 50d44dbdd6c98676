# SPDX-License-Identifier: Apache-2.0
"""A name server that does as it is told: answers, silence, delays, nonsense, over UDP and TCP."""
import ipaddress
import socket
import struct
import threading
import time

TYPES = {1: "A", 5: "CNAME", 6: "SOA", 28: "AAAA"}
CODES = {v: k for k, v in TYPES.items()}
SERVFAIL, NXDOMAIN, REFUSED = 2, 3, 5


def wire_name(name):
    return b"".join(bytes([len(p)]) + p.encode() for p in name.rstrip(".").split(".") if p) + b"\0"


def record(name, kind, data, ttl=60, cls=1):
    raw = wire_name(data) if kind == "CNAME" else data if isinstance(data, bytes) else ipaddress.ip_address(data).packed
    return wire_name(name) + struct.pack(">HHIH", CODES.get(kind, kind), cls, ttl, len(raw)) + raw


class Query:
    """What was asked, and ways to answer it. `count` is how often the same was asked before."""

    def __init__(self, packet, udp):
        self.packet, self.udp, self.at = packet, udp, time.monotonic()
        labels, i = [], 12
        while packet[i]:
            labels.append(packet[i + 1:i + 1 + packet[i]].decode("latin-1"))
            i += packet[i] + 1
        self.name = ".".join(labels).lower()
        self.type = TYPES.get(struct.unpack(">H", packet[i + 1:i + 3])[0], "?")
        self.question = packet[12:i + 5]
        self.count = 0

    def reply(self, records=(), rcode=0, truncated=False, question=None, ident=None):
        flags = 0x8180 | rcode | (0x0200 if truncated else 0)
        head = struct.pack(">HHHHHH", struct.unpack(">H", self.packet[:2])[0] if ident is None else ident, flags, 1, len(records), 0, 0)
        return head + (self.question if question is None else question) + b"".join(records)

    def addresses(self, *addresses, ttl=60):
        """Those of the family that was asked for."""
        version = {"A": 4, "AAAA": 6}.get(self.type)
        return self.reply([record(self.name, self.type, a, ttl) for a in addresses if ipaddress.ip_address(a).version == version])


def found_after(seconds, addresses, late=None):
    """For Dns.zone: a resolver that has to look further. All questions are answered together, `seconds` after the first one.

    `addresses` by type; with `late` the other type is known at once.
    """
    known_at = {}

    def answer(q):
        wait = known_at.setdefault(q.type, q.at + seconds) - q.at if late in (None, q.type) else 0
        return max(0, wait), q.addresses(*[addresses[q.type]] if q.type in addresses else [])
    return answer


class Dns:
    """`zone` maps a name to a list of addresses, a number (a response code), None (silence) or a function of the query.

    The function gives a packet, None for silence, or (seconds, packet) to answer later. A name that is not there does not exist.
    """

    def __init__(self, zone=None, address="127.0.0.1", ttl=60):
        self.zone, self.ttl, self.queries = zone or {}, ttl, []
        for _ in range(20):  # one number, free in both protocols
            self.tcp = socket.socket()
            self.tcp.bind((address, 0))
            self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            try:
                self.udp.bind((address, self.tcp.getsockname()[1]))
                break
            except OSError:
                self.tcp.close()
        self.tcp.listen(100)
        self.server = f"{address}:{self.udp.getsockname()[1]}"
        self.lock = threading.Lock()
        threading.Thread(target=self.serve_udp, daemon=True).start()
        threading.Thread(target=self.serve_tcp, daemon=True).start()

    @property
    def config(self):
        return f'dns_servers = "{self.server}"'

    def asked(self, name, kind=None):
        with self.lock:
            return [q for q in self.queries if q.name == name and kind in (None, q.type)]

    def answer(self, packet, udp):
        q = Query(packet, udp)
        with self.lock:
            q.count = sum(1 for o in self.queries if (o.name, o.type, o.udp) == (q.name, q.type, udp))
            self.queries.append(q)
        what = self.zone.get(q.name, NXDOMAIN)
        if callable(what):
            what = what(q)
        elif isinstance(what, int):
            what = q.reply(rcode=what)
        elif what is not None:
            what = q.addresses(*what, ttl=self.ttl)
        return what if isinstance(what, tuple) else (0, what)

    def serve_udp(self):
        while True:
            try:
                packet, client = self.udp.recvfrom(4096)
            except OSError:
                return
            if not packet:
                return  # closed
            delay, what = self.answer(packet, True)
            if what is not None and delay:
                threading.Timer(delay, self.send, (what, client)).start()
            elif what is not None:
                self.send(what, client)

    def send(self, what, client):
        try:
            self.udp.sendto(what, client)
        except OSError:
            pass

    def serve_tcp(self):
        while True:
            try:
                s, _ = self.tcp.accept()
            except OSError:
                return
            threading.Thread(target=self.talk, args=(s,), daemon=True).start()

    def talk(self, s):
        with s:
            try:
                while size := s.recv(2, socket.MSG_WAITALL):
                    delay, what = self.answer(s.recv(struct.unpack(">H", size)[0], socket.MSG_WAITALL), False)
                    time.sleep(delay)
                    if what is not None:
                        s.sendall(struct.pack(">H", len(what)) + what)
            except (OSError, struct.error):
                pass

    def close(self):
        for s in (self.udp, self.tcp):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            s.close()
