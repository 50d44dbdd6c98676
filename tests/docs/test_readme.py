# SPDX-License-Identifier: Apache-2.0
"""What the README shows is what happens: the demo's transcript, commands, links."""
import os
import re
import subprocess
import sys

import pytest

from kit import PHOTOGATE, TOP, photogate

README = (TOP / "README.md").read_text()
DOCUMENTS = [TOP / "README.md", *sorted((TOP / "docs").glob("*.md"))]
# What differs from run to run and from release to release.
VARIES = [(r"PG-[0-9A-Z]{5}-[0-9A-Z]{5}", "PG-INCIDENT"), (r"127\.0\.0\.1:[0-9]+", "127.0.0.1:PORT"), (r"\.toml:[0-9]+", ".toml:LINE"),
          (r"/\S*/photogate-demo-\w+", "/tmp/DEMO"), (r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z", "TIME")]


def lines_of(text):
    for pattern, word in VARIES:
        text = re.sub(pattern, word, text)
    return text.splitlines()


def blocks():
    """Each command's block: its command line and what stands below."""
    for block in re.findall(r"^```\n\$ (.*?)^```$", README, re.S | re.M):
        command, _, shown = block.partition("\n")
        yield command, lines_of(shown)


def assert_shows(shown, actual):
    """The lines shown are what was printed, in order and without a gap but where a line has … alone."""
    at, gap = 0, False
    for line in shown:
        if line == "…":
            gap = True
            continue
        assert line in actual[at:] if gap or at == 0 else actual[at:at + 1] == [line], f"README shows: {line}\nprinted:\n" + "\n".join(actual)
        at = actual.index(line, at) + 1
        gap = False


def test_demo_prints_the_transcript():
    done = subprocess.run([sys.executable, TOP / "tools/demo/demo.py", "--photogate", PHOTOGATE], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert_shows(dict(blocks())["tools/run --demo"], lines_of(done.stdout))


def test_explain_prints_what_is_shown(tmp_path):
    command = "photogate explain PUT 'https://graph.microsoft.com/v1.0/me/photo/$value'"
    printed = photogate("explain", "PUT", "https://graph.microsoft.com/v1.0/me/photo/$value", status=3, cwd=tmp_path)
    assert_shows(dict(blocks())[command], lines_of(printed))


def test_options_exist():
    tools = {name: subprocess.run([TOP / "tools" / name, "--help"], capture_output=True, text=True, check=True).stdout
             for name in ("run", "test", "packages", "chroot-proof")}
    for path in DOCUMENTS:
        for name, options in re.findall(r"\btools/(run|test|packages|chroot-proof)((?: --[a-z-]+)*)", path.read_text()):
            for option in options.split():
                assert option in tools[name], f"{path.name}: tools/{name} {option}"


def test_commands_exist():
    known = photogate("--help")
    for path in DOCUMENTS:
        for name in re.findall(r"(?:`|\$ )photogate ([a-z]+)", path.read_text()):
            assert f"\n  {name} " in known, f"{path.name}: photogate {name}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: p.name)
def test_links_lead_somewhere(path):
    text = path.read_text()
    for target in re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'src="([^"]+)"', text):
        file, _, anchor = target.partition("#")
        if "://" in target:
            continue
        other = path if not file else path.parent / file
        assert other.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", other.read_text(), re.M)
            assert anchor in [re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings], target


def test_ci_runs_the_test_command():
    script = TOP / ".ci/run"
    assert os.access(script, os.X_OK) and script.read_text().splitlines()[-1] == "exec tools/test"
    assert "| `tools/test` |" in README
