#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Functions that have no place here: unbounded copies, hidden state, shells. usage: banned.py [ROOT]"""
import pathlib
import re
import sys

BANNED = {
    "strcpy": "memcpy with a length", "strcat": "struct buf", "sprintf": "buf_printf", "vsprintf": "buf_printf",
    "strtok": "str_cut", "gets": "file_read", "atoi": "str_u64", "atol": "str_u64", "sscanf": "str_cut and str_u64",
    "localtime": "clock.h", "gmtime": "clock.h", "asctime": "clock.h", "ctime": "clock.h", "strerror": "err_str",
    "system": "posix_spawn", "popen": "posix_spawn", "alloca": "an arena", "rand": "getrandom", "random": "getrandom",
    "setjmp": "returns", "longjmp": "returns", "tmpnam": "mkstemp", "mktemp": "mkstemp", "getaddrinfo": "proxy/net/dns",
    "gethostbyname": "proxy/net/dns",
}
CALL = re.compile(r"(?<![\w.>])(" + "|".join(BANNED) + r")\s*\(")
PLAIN = re.compile(r"(?<![\w.>])(malloc|calloc|realloc|strdup|strndup)\s*\(")
COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"", re.S)

root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()
faults = []
for top in ("common", "filters", "certs", "proxy", "admin"):
    for path in sorted((root / top).rglob("*.[ch]")):
        rel = path.relative_to(root).as_posix()
        text = COMMENT.sub(lambda m: re.sub(r"[^\n]", " ", m.group()), path.read_text())
        for number, line in enumerate(text.splitlines(), 1):
            for match in CALL.finditer(line):
                faults.append(f"{rel}:{number}: {match.group(1)}() is banned: use {BANNED[match.group(1)]}")
            if rel != "common/mem.c":
                for match in PLAIN.finditer(line):
                    faults.append(f"{rel}:{number}: {match.group(1)}(): use common/mem.h")
print("\n".join(faults) or "no banned calls")
sys.exit(1 if faults else 0)
