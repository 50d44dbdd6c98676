# SPDX-License-Identifier: Apache-2.0
"""The configuration in docs/deploy.md is one that the program takes; its policy files are tried in real browsers by tests/wire."""
import re
import sys

from kit import TOP, photogate

sys.path.insert(0, str(TOP / "tests/wire"))
from deploy import sample  # noqa: E402


def test_the_administrators_listener(tmp_path):
    text = sample("toml", "require")
    here = tmp_path / "etc"  # as the service's users may read it
    here.mkdir()
    # users that need not exist
    (here / "proxy.toml").write_text(text.replace("[proxy]\n", '[proxy]\nuser = "64901"\nsigner_user = "64902"\n'))
    (here / "admins.htpasswd").write_text("alice:$6$rounds=1000$saltsalt$" + "a" * 86 + "\n")
    photogate("ca", "init", cwd=here)
    photogate("run", "--check", cwd=here)
    first, login = (photogate("pac", "--listener", address, cwd=here) for address in re.findall(r'"([0-9.]+:[0-9]+)"', text))
    assert '"PROXY proxy.corp.example:3128"' in first and '"HTTPS proxy.corp.example:3129"' in login
