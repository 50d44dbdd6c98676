#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The floors only look down: fails when a file includes what its floor may not use, or when headers form a cycle.

usage: layers.py [ROOT]
"""
import pathlib
import re
import sys

# A file belongs to the longest floor that its path starts with, and may use that floor and these.
USES = {
    "common": (),
    "filters": ("common",),
    "certs": ("common",),
    "proxy/net": ("common", "certs"),
    "proxy/http": ("common",),
    "proxy/exch": ("common", "proxy/net", "proxy/http"),
    "proxy": ("common", "filters", "certs", "proxy/net", "proxy/http", "proxy/exch"),
    "admin": ("common",),
}
USES["tests"] = tuple(USES)
# Where a library may be seen; nothing else in <> but the C library is allowed.
LIBRARIES = {
    "uv.h": ("proxy/net", "proxy", "tests"),
    "ares.h": ("proxy/net", "tests"),
    "openssl/": ("certs", "proxy/net", "proxy", "admin", "tests"),
    "nghttp2/": ("proxy/http", "tests"),
    "llhttp.h": ("proxy/http", "tests"),
    "jansson.h": ("common", "filters", "proxy", "admin", "tests"),
    "toml++/": ("common",),
    "expat.h": ("filters", "admin"),
    "zlib.h": ("filters", "admin", "tests"),
    "brotli/": ("filters", "tests"),
    "zstd.h": ("filters", "tests"),
    "crypt.h": ("proxy",),
    "seccomp.h": ("certs", "proxy"),
    "cap-ng.h": ("certs", "proxy"),
    "curl/": ("admin", "tests"),
    "cmocka.h": ("tests",),
    "pacparser.h": ("tests",),
}
INCLUDE = re.compile(r'^\s*#\s*include\s+(?:"([^"]+)"|<([^>]+)>)')


def floor_of(path):
    fitting = [floor for floor in USES if path.startswith(floor + "/")]
    return max(fitting, key=len, default=None)


def cycles(edges):
    """Each cycle of header includes once, as a list of names."""
    found, done = [], set()

    def walk(node, trail):
        if node in trail:
            found.append(trail[trail.index(node):] + [node])
            return
        if node in done:
            return
        for other in edges.get(node, ()):
            walk(other, trail + [node])
        done.add(node)

    for node in sorted(edges):
        walk(node, [])
    return found


def main(root):
    faults, edges, count = [], {}, 0
    for top in sorted({floor.split("/")[0] for floor in USES}):
        for path in sorted((root / top).rglob("*.[ch]")):
            rel = path.relative_to(root).as_posix()
            floor = floor_of(rel)
            count += 1
            lines = path.read_text().splitlines()
            if "SPDX-License-Identifier: Apache-2.0" not in lines[0]:
                faults.append(f"{rel}:1: no SPDX-License-Identifier")
            for number, line in enumerate(lines, 1):
                match = INCLUDE.match(line)
                if not match:
                    continue
                ours, theirs = match.groups()
                if ours:
                    other = floor_of(ours)
                    if other is None:
                        faults.append(f'{rel}:{number}: "{ours}" does not start with a floor')
                    elif other != floor and other not in USES[floor]:
                        faults.append(f"{rel}:{number}: {floor} may not include {ours}")
                    if rel.endswith(".h"):
                        edges.setdefault(rel, []).append(ours)
                for prefix, floors in LIBRARIES.items():
                    if theirs and theirs.startswith(prefix) and floor not in floors:
                        faults.append(f"{rel}:{number}: {floor} may not include <{theirs}>")
    faults += ["headers in a circle: " + " -> ".join(c) for c in cycles(edges)]
    print("\n".join(faults) or f"{count} files, floors in order")
    return 1 if faults else 0


sys.exit(main(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()))
