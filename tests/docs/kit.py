# SPDX-License-Identifier: Apache-2.0
"""What the tests of the documents share: the program, and its own word on its configuration."""
import os
import pathlib
import re
import subprocess
import tomllib

TOP = pathlib.Path(__file__).resolve().parents[2]
PHOTOGATE = os.path.abspath(os.environ.get("PHOTOGATE", TOP / "build/dev/proxy/photogate"))


def photogate(*args, status=0, **more):
    done = subprocess.run([PHOTOGATE, *args], capture_output=True, text=True, timeout=60, **more)
    assert done.returncode == status, f"photogate {' '.join(args)}: {done.returncode}: {done.stderr}"
    return done.stdout


class Key:
    """One key as the program knows it: default as TOML text, kind for people."""

    def __init__(self, default, kind):
        self.default, self.kind = default, kind


def known_keys():
    """{"section.key": Key} in the program's order."""
    keys, section = {}, None
    for line in photogate("config", "--defaults").splitlines():
        if match := re.fullmatch(r"\[([a-z.]+)\]", line):
            section = match[1]
        elif line:
            key, default, kind = re.fullmatch(r"([a-z0-9_]+) = (.*) # (.*)", line).groups()
            tomllib.loads(f"x = {default}")
            keys[f"{section}.{key}"] = Key(default, kind)
    return keys
