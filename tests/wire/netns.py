# SPDX-License-Identifier: Apache-2.0
"""A network of its own, so that public addresses, black holes and real ports can be had without touching the machine's.

The namespace has no name: it goes with the last process or descriptor in it. Sockets stay in the namespace they were made in, so a
test makes its servers, starts the proxy and connects inside a `with net:`, and nothing else has to know.
"""
import ctypes
import os
import subprocess

CLONE_NEWNET = 0x40000000
libc = ctypes.CDLL(None, use_errno=True)


def check(result):
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


class Net:
    """198.51.100.0/24 and 2001:db8:dead::/64 swallow what is sent to them; other addresses are added to the loopback interface."""

    def __init__(self, *addresses):
        self.outside = []
        before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        check(libc.unshare(CLONE_NEWNET))
        self.fd = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        check(libc.setns(before, CLONE_NEWNET))
        os.close(before)
        with self:
            # nobody listens at the other end, and nobody is asked whether the addresses are there
            for command in ("link set lo up", "link add hole type veth peer name end", "link set hole arp off", "link set hole up",
                            "link set end up", "addr add 198.51.100.1/24 dev hole", "-6 addr add 2001:db8:dead::1/64 dev hole nodad"):
                self.ip(command)
            for address in addresses:
                self.add(address)

    def ip(self, command):
        subprocess.run(["ip", *command.split()], check=True, capture_output=True)

    def add(self, address):
        with self:
            self.ip(f"-6 addr add {address}/128 dev lo nodad" if ":" in address else f"addr add {address}/32 dev lo")

    def __enter__(self):
        self.outside.append(os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC))
        check(libc.setns(self.fd, CLONE_NEWNET))
        return self

    def __exit__(self, *_):
        before = self.outside.pop()
        check(libc.setns(before, CLONE_NEWNET))
        os.close(before)

    def close(self):
        os.close(self.fd)
