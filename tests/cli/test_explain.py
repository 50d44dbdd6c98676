#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The commands `explain` and `rules` as a person or a script uses them. $PHOTOGATE is the program."""
import base64
import gzip
import json
import os
import pathlib
import re
import resource
import subprocess
import tempfile
import tomllib
import unittest

PHOTOGATE = os.environ["PHOTOGATE"]
ROOT = pathlib.Path(__file__).resolve().parents[2]
PHOTO = "https://graph.microsoft.com/v1.0/me/photo/$value"


def run(*args, given=None):
    return subprocess.run([PHOTOGATE, *args], input=given, capture_output=True, text=True, timeout=100)


class Files(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)

    def file(self, name, text):
        path = pathlib.Path(self.directory.name, name)
        path.write_text(text)
        return str(path)


class Explain(Files):
    def test_blocked(self):
        r = run("explain", "PUT", PHOTO)
        self.assertEqual(r.returncode, 3, r.stderr)
        self.assertTrue(r.stdout.startswith("BLOCKED\n"))
        for text in ("graph.user-photo (filters/packs/graph.toml:", "cannot be changed", "PUT /v1.0/me/photo/$value",
                     "PUT https://graph.microsoft.com/v1.0/me/photo/$value", "documented"):
            self.assertIn(text, r.stdout)

    def test_passes(self):
        r = run("explain", "GET", PHOTO)
        self.assertEqual((r.returncode, r.stdout.splitlines()[0]), (0, "PASSES"))
        r = run("explain", "PUT", "https://www.example.com/me/photo")
        self.assertEqual(r.returncode, 0)
        self.assertIn("not on the inspect list", r.stdout)

    def test_header(self):
        owa = "https://outlook.office.com/owa/service.svc?action=GetItem"
        self.assertEqual(run("explain", "POST", owa).returncode, 0)
        self.assertEqual(run("explain", "POST", owa, "-H", "Action: UploadPhoto").returncode, 3)
        self.assertEqual(run("explain", "-H", "Action:UploadPhoto", "POST", owa).returncode, 3)
        self.assertEqual(run("explain", "POST", owa, "-H", "Action").returncode, 2)

    def test_canonical(self):
        r = run("explain", "PUT", "https://graph.microsoft.com/v1.0/x/%2e./me%2Fphoto/%2524value")
        self.assertIn("canonical  PUT https://graph.microsoft.com/v1.0/me/photo/$value", r.stdout)
        self.assertIn("or read as /v1.0/x/../me/photo/$value", r.stdout)
        r = run("explain", "PUT", "https://graph.microsoft.com/v1.0/%00")
        self.assertIn("unreadable a NUL", r.stdout)
        self.assertIn("request.unreadable", r.stdout)

    def test_json(self):
        r = run("explain", "--json", "PUT", PHOTO)
        told = json.loads(r.stdout)
        self.assertEqual((told["verdict"], told["rule"], told["write"]), ("block", "graph.user-photo", True))
        self.assertEqual((told["host"], told["file"]), ("graph.microsoft.com", "filters/packs/graph.toml"))
        self.assertEqual(json.loads(run("explain", "--json", "GET", "https://x.example/").stdout),
                         {"verdict": "pass", "canonical": "GET https://x.example/", "write": False, "host": None})

    def test_administrators(self):
        config = self.file("proxy.toml", "[proxy]\nanything = 1\n[admins]\nusers = ['a@x.example']\nnetworks = ['10.1.0.0/16']\n")
        self.assertEqual(run("explain", "--config", config, "PUT", PHOTO).returncode, 3)
        r = run("explain", "--config", config, "--as", "A@x.example", "PUT", PHOTO)
        self.assertEqual(r.returncode, 0)
        self.assertIn("PASSES (bypass)", r.stdout)
        self.assertIn("let by     users: A@x.example", r.stdout)
        r = run("explain", "--config", config, "--from", "10.1.2.3", "--json", "PUT", PHOTO)
        self.assertEqual((json.loads(r.stdout)["verdict"], json.loads(r.stdout)["bypass"]), ("bypass", "networks: 10.1.0.0/16"))

    def test_connection(self):
        graph = "https://graph.microsoft.com/v1.0/me"
        for args, rule in (((graph, "--connect", "outlook.office.com:443"), "connection.host-mismatch"),
                           ((graph, "--sni", "outlook.office.com"), "connection.host-mismatch"),
                           ((graph, "-H", "Host: outlook.office.com"), "connection.host-mismatch"),
                           ((graph, "--connect", "20.190.160.1:443", "--sni", "graph.microsoft.com"), "connection.sni-mismatch"),
                           (("https://graph.microsoft.com:8443/v1.0/me",), "connection.port"),
                           (("http://graph.microsoft.com:8080/v1.0/me",), "connection.port")):
            r = run("explain", "--json", "GET", *args)
            self.assertEqual((r.returncode, json.loads(r.stdout)["rule"]), (3, rule), args)
        for args in ((graph, "-H", "Host: Graph.microsoft.com:443"), ("http://graph.microsoft.com/v1.0/me",),
                     ("https://someone@graph.microsoft.com/v1.0/me",)):
            self.assertEqual(run("explain", "GET", *args).returncode, 0, args)

    def test_wrong_usage(self):
        for args in ((), ("PUT",), ("PUT", PHOTO, "more"), ("--jsonl", "PUT", PHOTO), ("--from", "10.1", "PUT", PHOTO),
                     ("PUT", "graph.microsoft.com"), ("PUT", "ftp://graph.microsoft.com/"), ("--nothing",),
                     ("--body", "/nonexistent", "PUT", PHOTO), ("--config", "/nonexistent", "PUT", PHOTO)):
            r = run("explain", *args)
            self.assertEqual(r.returncode, 2, args)
            self.assertTrue(r.stderr.strip(), args)
            self.assertEqual(r.stdout, "", args)

    def test_help(self):
        for command in ("explain", "rules"):
            r = run(command, "--help")
            self.assertEqual((r.returncode, r.stderr), (0, ""))
            self.assertIn("Exit status", r.stdout)

    def test_fault_in_config(self):
        config = self.file("proxy.toml", "[admins]\nusrs = ['a']\n")
        r = run("explain", "--config", config, "PUT", PHOTO)
        self.assertEqual(r.returncode, 2)
        self.assertEqual(r.stderr, f'photogate: {config}:2:1: unknown key "usrs" in [admins]; did you mean "users"?\n')

    def test_files_beside_the_config(self):
        self.file("own.toml", "pack = 'own'\n[[rule]]\nid = 'own.x'\nwhy = 'No.'\nsource = 's'\ndate = 2026-01-01\n"
                              "confidence = 'seen'\nhosts = ['@graph']\nmethods = 'any'\npath = ['secret/**']\n"
                              "block = ['GET https://graph.microsoft.com/secret']\n")
        config = self.file("proxy.toml", "[filters]\npacks = ['own.toml']\ndisable = ['graph.user-photo']\n")
        self.assertEqual(run("explain", "--config", config, "GET", "https://graph.microsoft.com/secret/x").returncode, 3)
        self.assertEqual(run("explain", "--config", config, "PUT", PHOTO).returncode, 0)


class Jsonl(Files):
    def ask(self, *lines, config=None):
        given = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)
        args = ("--config", config) if config else ()
        r = run("explain", "--jsonl", *args, given=given)
        return r.returncode, [json.loads(line) for line in r.stdout.splitlines()]

    def test_answers(self):
        status, told = self.ask({"id": "a", "method": "PUT", "url": PHOTO}, {"id": 7, "method": "GET", "url": PHOTO},
                                {"method": "GET", "url": "https://x.example/", "more": [1], "actor": "user"})
        self.assertEqual(status, 0)
        self.assertEqual([(t["id"], t["verdict"], t["rule"]) for t in told],
                         [("a", "block", "graph.user-photo"), (7, "pass", None), (None, "pass", None)])
        self.assertEqual(set(told[0]), {"id", "verdict", "rule", "why", "evidence"})

    def test_forms(self):
        config = self.file("proxy.toml", "[admins]\nusers = ['a@x.example']\nnetworks = ['10.0.0.0/8']\n")
        put = {"method": "PUT", "url": PHOTO}
        status, told = self.ask(
            {**put, "actor": {"user": "a@x.example"}}, {**put, "actor": {"ip": "10.9.9.9"}}, {**put, "actor": None},
            {**put, "method": "GET", "headers": {"x-http-method": ["GET", "PUT"], "y": None}},
            {**put, "body": "/9j/", "body_encoding": "base64"}, {**put, "body": "x", "body_encoding": "utf8", "http": "2"},
            {"method": "GET", "url": "https://graph.microsoft.com/", "connect": "outlook.office.com:443"},
            {"method": "GET", "url": "https://graph.microsoft.com/", "sni": "outlook.office.com"}, config=config)
        self.assertEqual(status, 0)
        self.assertEqual([t["verdict"] for t in told], ["pass", "pass", "block", "block", "block", "block", "block", "block"])
        self.assertEqual([t.get("bypass") for t in told[:3]], ["users: a@x.example", "networks: 10.0.0.0/8", None])
        self.assertEqual(told[0]["rule"], "graph.user-photo")

    def test_batch(self):
        """Each request in a batch is told of, whatever its coding; an administrator's is read, too."""
        config = self.file("proxy.toml", "[admins]\nusers = ['a@x.example']\n")
        items = [{"id": "1", "method": "GET", "url": "/me/photo/$value"}, {"id": "2", "method": "PUT", "url": "/me/photo/$value", "body": "/9j/"}]
        body = json.dumps({"requests": items}).encode()
        case = {"method": "POST", "url": "https://graph.microsoft.com/v1.0/$batch", "body": body.decode()}
        zipped = {**case, "headers": {"Content-Encoding": "gzip"}, "body": base64.b64encode(gzip.compress(body)).decode(), "body_encoding": "base64"}
        status, told = self.ask(case, zipped, {**case, "actor": {"user": "a@x.example"}}, {**case, "body": body[:-1].decode()}, config=config)
        self.assertEqual((status, [t["verdict"] for t in told]), (0, ["block", "block", "pass", "block"]))
        for t in told[:3]:
            self.assertEqual([(i["id"], i["verdict"], i["rule"]) for i in t["items"]], [("1", "pass", None), ("2", "block", "graph.user-photo")])
            self.assertEqual(t["evidence"], 'request "2" in the batch: PUT /v1.0/me/photo/$value')
        self.assertEqual(told[2]["bypass"], "users: a@x.example")
        self.assertEqual((told[3]["rule"], told[3]["evidence"]), ("batch.unreadable", "its body cannot be read: its JSON is cut off"))

    def test_bad_lines(self):
        good = {"id": "good", "method": "PUT", "url": PHOTO}
        bad = ["{", "[]", "1", '"x"', "{} x", {"id": 1}, {"id": 1, "method": "GET"}, {"id": 1, "method": "GET", "url": "x"},
               {"id": 1, "method": "", "url": PHOTO}, {**good, "headers": []}, {**good, "headers": {"a": 1}},
               {**good, "headers": {"": "x"}}, {**good, "body": 1}, {**good, "body": "*", "body_encoding": "base64"},
               {**good, "body": "x", "body_encoding": "rot13"}, {**good, "actor": {"ip": "10.1"}},
               '{"id":1,"id":2,"method":"GET","url":"https://x.example/"}', "\x00", "\xff{"]
        status, told = self.ask(*[line for one in bad for line in (one, good)], "", "   ")
        self.assertEqual(status, 2)
        self.assertEqual(len(told), 2 * len(bad))
        for one, answer, after in zip(bad, told[::2], told[1::2]):
            self.assertIn("error", answer, one)
            self.assertNotIn("verdict", answer, one)
            self.assertEqual((after["id"], after["verdict"]), ("good", "block"), one)

    def test_last_line_without_end(self):
        r = run("explain", "--jsonl", given=json.dumps({"id": 1, "method": "GET", "url": PHOTO}))
        self.assertEqual(json.loads(r.stdout)["verdict"], "pass")

    def test_much(self):
        """30 MB in lines, then one line of 70 MB: all answered, in little memory."""
        line = json.dumps({"id": 1, "method": "POST", "url": "https://graph.microsoft.com/v1.0/me/messages", "body": "x" * 3000})
        given = self.file("much", (line + "\n") * 10000 + '{"id":2,"body":"' + "x" * (70 << 20) + '"}\n' + line + "\n")
        with open(given) as file:
            r = subprocess.run([PHOTOGATE, "explain", "--jsonl"], stdin=file, capture_output=True, text=True, timeout=100)
        told = r.stdout.splitlines()
        self.assertEqual((r.returncode, len(told)), (2, 10002))
        self.assertEqual(json.loads(told[-2]), {"id": None, "error": "the line is too long"})
        self.assertEqual(json.loads(told[-1])["verdict"], "pass")
        if "asan" not in PHOTOGATE and "tsan" not in PHOTOGATE:
            self.assertLess(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, 300 << 10)


class Rules(Files):
    def test_test(self):
        r = run("rules", "test")
        self.assertEqual(r.returncode, 0)
        self.assertRegex(r.stdout, r"^\d+ packs, \d+ rules, \d+ test vectors: all as they say; \d+ hosts inspected\n$")

    def test_failing_vector(self):
        self.file("own.toml", "pack = 'own'\n[[rule]]\nid = 'own.x'\nwhy = 'No.'\nsource = 's'\ndate = 2026-01-01\n"
                              "confidence = 'seen'\nhosts = ['@graph']\nmethods = 'write'\npath = ['secret/**']\n"
                              "block = ['GET https://graph.microsoft.com/secret']\n")
        r = run("rules", "test", "--config", self.file("proxy.toml", "[filters]\npacks = ['own.toml']\n"))
        self.assertEqual(r.returncode, 2)
        self.assertIn("own.toml:11:10: own.x must block", r.stderr)

    def test_list(self):
        config = self.file("proxy.toml", "[filters]\ndisable = ['ecp.user-photo']\n")
        rules = {r["id"]: r for r in map(json.loads, run("rules", "list", "--json", "--config", config).stdout.splitlines())}
        self.assertTrue(rules["graph.user-photo"]["on"])
        self.assertFalse(rules["ecp.user-photo"]["on"])
        self.assertRegex(run("rules", "list", "--config", config).stdout, r"(?m)^ecp\.user-photo +seen .*\(off\)$")

    def test_wrong_usage(self):
        for args in ((), ("tset",), ("test", "x"), ("--nothing", "test")):
            self.assertEqual(run("rules", *args).returncode, 2)


class Docs(Files):
    """docs/filters.md says what is so."""

    def setUp(self):
        super().setUp()
        self.text = (ROOT / "docs/filters.md").read_text()

    def test_example(self):
        self.file("staff.toml", re.search(r"```toml\n(.*?)```", self.text, re.S)[1])
        config = self.file("proxy.toml", '[filters]\npacks = ["staff.toml"]\n[inspect]\npacks = ["world"]\n')
        self.assertEqual(run("rules", "test", "--config", config).returncode, 0)
        r = run("explain", "--config", config, "PUT", "https://staff.contoso.com/api/v1/people/me/%70icture")
        self.assertEqual(r.returncode, 3)
        self.assertIn("Pictures in the staff directory are set by HR.", r.stdout)

    def test_keys(self):
        code = "".join((ROOT / "filters" / name).read_text() for name in ("pack.c", "conf.c"))
        keys = set(re.findall(r'(?:_FIELD\((?:\w+, )?"?|\.key = ")(\w+)"?[,)]', code)) - {"type", "name"}
        self.assertGreater(len(keys), 40)
        quoted = set(re.findall(r"\w+", " ".join(re.findall(r"`([^`]*)`", self.text))))
        self.assertEqual(keys - quoted, set())

    def test_rules(self):
        """Each rule about a way to change a photo stands in the table of ways."""
        packs = [tomllib.loads(path.read_text()) for path in (ROOT / "filters/packs").glob("*.toml")]
        ids = {rule["id"] for pack in packs for rule in pack.get("rule", ()) if pack["pack"] != "request"}
        self.assertGreater(len(ids), 30)
        self.assertEqual({rule for rule in ids if f"`{rule}`" not in self.text}, set())

    def test_transcript(self):
        command, *lines = re.search(r"    \$ photogate (.*?\n)\n", self.text, re.S)[1].splitlines()
        told = run(*[word.strip("'") for word in command.split()]).stdout
        for line in lines[:-1]:  # wherever in its file the rule may stand
            self.assertIn(re.sub(r":\d+", "", line.strip()) + "\n", re.sub(r":\d+", "", told))


unittest.main()
