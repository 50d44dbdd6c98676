#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Layout as .clang-format has it. usage: format.py CLANG-FORMAT [--fix]"""
import pathlib
import subprocess
import sys

files = sorted(str(p) for top in ("common", "filters", "certs", "proxy", "admin", "tests")
               for p in pathlib.Path(top).rglob("*.[ch]"))
how = ["-i"] if "--fix" in sys.argv else ["--dry-run", "--Werror"]
sys.exit(subprocess.run([sys.argv[1], *how, *files]).returncode)
