# SPDX-License-Identifier: Apache-2.0
"""TLS by hand: hellos that no library would send, records cut as one likes, alerts read off the wire."""
import os
import socket
import struct

SERVER_NAME, SUPPORTED_VERSIONS, ECH = 0, 43, 0xFE0D


def vector(size, data):
    return len(data).to_bytes(size, "big") + data


def server_name(name, kind=0):
    """The contents of a server_name extension; `name` may be bytes that are none."""
    raw = name if isinstance(name, bytes) else name.encode()
    return vector(2, bytes([kind]) + vector(2, raw))


def hello(sni=None, extensions=(), pad=0, extension_block=True):
    """A ClientHello message without its record: TLS 1.2 and 1.3, one group, enough for a peek and for a real server's answer."""
    ext = b""
    if sni is not None:
        ext += struct.pack(">H", SERVER_NAME) + vector(2, server_name(sni))
    ext += bytes.fromhex("000a00040002001d" "000d000a0008040308040805080b".replace(" ", ""))
    ext += bytes.fromhex("002b0005040304" "0303")
    ext += bytes.fromhex("00330026" "0024001d0020") + os.urandom(32)
    for kind, data in extensions:
        ext += struct.pack(">H", kind) + vector(2, data)
    if pad:
        ext += struct.pack(">H", 21) + vector(2, bytes(pad))
    body = b"\x03\x03" + os.urandom(32) + vector(1, os.urandom(32)) + vector(2, bytes.fromhex("130113021303c02bc02f")) + b"\x01\x00"
    if extension_block:
        body += vector(2, ext)
    return b"\x01" + vector(3, body)


def records(message, size=16384, kind=22, version=b"\x03\x01"):
    """`message` in records of at most `size` bytes each."""
    return b"".join(bytes([kind]) + version + vector(2, message[i:i + size]) for i in range(0, len(message), size))


def read_alert(sock):
    """What came as (level, description) when it was an alert, None at the end of the stream, else the bytes."""
    data = b""
    try:
        while len(data) < 7:
            more = sock.recv(65536)
            if not more:
                break
            data += more
    except ConnectionResetError:
        pass
    if not data:
        return None
    return (data[5], data[6]) if data[0] == 21 and len(data) >= 7 else data


def is_closed(sock, timeout=10):
    """True when the peer closes or resets without another byte."""
    sock.settimeout(timeout)
    try:
        return sock.recv(1) == b""
    except ConnectionResetError:
        return True
    except socket.timeout:
        return False


ACCESS_DENIED, UNRECOGNIZED_NAME = 49, 112
