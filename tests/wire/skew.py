# SPDX-License-Identifier: Apache-2.0
"""A proxy whose clocks a test can put forward while it runs (skew.c)."""
import functools
import mmap
import os
import pathlib
import struct
import subprocess
import tempfile


@functools.lru_cache(None)
def library():
    out = pathlib.Path(tempfile.mkdtemp(prefix="photogate-skew-")) / "skew.so"
    subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-o", out, pathlib.Path(__file__).with_name("skew.c")], check=True)
    out.parent.chmod(0o755)
    return out


class Skew:
    """Pass `env` to the proxy; then put its clocks forward."""

    def __init__(self, directory):
        path = pathlib.Path(directory) / "skew"
        path.write_bytes(bytes(16))
        with open(path, "r+b") as f:
            self.map = mmap.mmap(f.fileno(), 16)
        asan = ":".join(filter(None, (os.environ.get("ASAN_OPTIONS"), "verify_asan_link_order=0")))
        self.env = {"LD_PRELOAD": str(library()), "SKEW_FILE": str(path), "ASAN_OPTIONS": asan}
        self.monotonic = self.wall = 0

    def forward(self, seconds, wall=None):
        """Both clocks by `seconds`, or the wall clock by something else."""
        self.monotonic += seconds
        self.wall += seconds if wall is None else wall
        self.map[:] = struct.pack("=qq", self.monotonic, self.wall)
