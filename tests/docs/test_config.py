# SPDX-License-Identifier: Apache-2.0
"""proxy.toml and docs/config.md say of the configuration what the program says of it: keys, kinds, defaults."""
import re
import tomllib

from kit import TOP, known_keys, photogate

SHIPPED = TOP / "proxy.toml"
SETTING = re.compile(r"#([a-z0-9_]+ = .*)")
# What the shipped file sets; all else in it is a comment.
SET = {"certs.dir": "run/ca", "log.access": "run/log/access.log", "log.block": "run/log/block.log"}


def shown_defaults():
    """The shipped file with nothing in force but what its comments show as defaults."""
    lines = []
    for line in SHIPPED.read_text().splitlines():
        if line.startswith("["):
            lines.append(line)
        elif match := SETTING.fullmatch(line):
            lines.append(match[1])
    return "\n".join(lines) + "\n"


def test_shipped_file_shows_each_key_with_its_default(tmp_path):
    path = tmp_path / "proxy.toml"
    path.write_text(shown_defaults())
    assert photogate("config", "--config", str(path)) == photogate("config", "--defaults")
    section, shown = None, []
    for line in path.read_text().splitlines():
        if line.startswith("["):
            section = line[1:-1]
        else:
            shown.append(f"{section}.{line.partition(' ')[0]}")
    assert shown == list(known_keys())


def test_shipped_file_sets_only_where_things_lie():
    parsed = tomllib.loads(SHIPPED.read_text())
    found = {f"{section}.{key}": value for section, values in parsed.items() for key, value in values.items() if not isinstance(value, dict)}
    assert found == SET


def test_each_key_is_explained():
    explained = ""
    for line in SHIPPED.read_text().splitlines():
        if SETTING.fullmatch(line):
            assert explained, line
        elif not line or line.startswith("["):
            explained = "" if not line else explained
        elif line.startswith("# "):
            explained = line
        assert len(line) <= 125, line


def rows():
    """(section.key, kind, default) of each table row in docs/config.md."""
    section = None
    for line in (TOP / "docs/config.md").read_text().splitlines():
        if match := re.match(r"#+ `\[([a-z.]+)\]`", line):
            section = match[1]
        elif match := re.fullmatch(r"\| `([a-z0-9_]+)` \| (.+?) \| (.+?) \| .+ \|", line):
            yield f"{section}.{match[1]}", match[2], match[3]


def test_reference_has_each_key_kind_and_default():
    known = known_keys()
    written = {key: (kind, default) for key, kind, default in rows()}
    assert written == {key: (k.kind.replace('"', "`"), "–" if k.default in ('""', "[]", "{}") else f"`{k.default}`")
                       for key, k in known.items()}
