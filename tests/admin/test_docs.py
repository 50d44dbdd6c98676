# SPDX-License-Identifier: Apache-2.0
"""admin.toml and docs/lock.md name the keys that the program knows, all of them."""
import pathlib
import re
import subprocess

from kit import PROGRAM

TOP = pathlib.Path(__file__).parent.parent.parent


def known_keys():
    """From the tables that read them."""
    source = (TOP / "admin/conf.c").read_text()
    return set(re.findall(r'(?:STRINGS?|BOOL|ENUM|WITHIN)\(\s*"([a-z_]+)"', source)) | {"assign"}


def test_reference_has_each_key():
    rows = re.findall(r"^\| `\[+[a-z.]+\]+` \| (.*) \|$", (TOP / "docs/lock.md").read_text(), re.M)
    assert set(re.findall(r"`([a-z_]+)`", " ".join(rows))) == known_keys()


def test_sample_is_taken_with_all_its_comments_in_force(tmp_path):
    lines = (TOP / "admin.toml").read_text().splitlines()
    settings = [line.removeprefix("#") if re.match(r"#(?:[a-z_]+ = |\[\[)", line) else line for line in lines]
    shown = {m[1] for line in settings if (m := re.match(r"([a-z_]+) = ", line))}
    assert shown | {"assign"} == known_keys()
    # [[lock.assign]] stands between keys of [lock] and its other tables
    (tmp_path / "admin.toml").write_text("\n".join(settings).replace('login_host = ""', 'login_host = "login.invalid"'))
    done = subprocess.run([PROGRAM, "whoami", "--config", str(tmp_path / "admin.toml")], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1 and "photogate-admin.pem cannot be read" in done.stdout, done.stdout + done.stderr
