#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`photogate ca` as a person or a script uses it: exit status, what is printed where, other people's tools and files."""
import json
import os
import pathlib
import pty
import signal
import stat
import subprocess
import time
import unittest

import kit

NAMES = ["--name", "graph.microsoft.com", "--name", "*.sharepoint.com"]


class Cli(kit.Case):
    def setUp(self):
        super().setUp()
        self.ca = self.dir / "ca"

    def show(self, status=0):
        return json.loads(kit.ca("show", "--json", "--dir", self.ca, status=status)[0])

    def test_life_of_a_ca(self):
        out, err = kit.ca("init", "--dir", self.ca, *NAMES, "--public-url", "http://proxy.corp.example:8080")
        self.assertIn("Next: give ", out)
        self.assertEqual(err, "")
        first = self.show()
        self.assertEqual(first["permitted"], ["graph.microsoft.com", "proxy.corp.example", "sharepoint.com"])
        self.assertEqual(first["faults"], [])
        self.assertTrue(first["usable"] and first["constrained"])
        self.assertEqual(first["root"]["key"], "here")
        self.assertIn(first["root"]["days_left"], (3649, 3650))

        # the root in both forms, as openssl sees it
        pem, _ = kit.ca("export", "--dir", self.ca)
        self.assertEqual(pem, (self.ca / "public/root.pem").read_text())
        der, _ = kit.ca("export", "--der", "--dir", self.ca)
        printed, _ = kit.run("openssl", "x509", "-inform", "DER", "-noout", "-fingerprint", "-sha256",
                             stdin=der.encode("latin-1"))
        self.assertEqual(printed.split("=")[1].strip(), first["root"]["sha256"])

        # its CRL, as openssl sees it, where the issuing certificate says it is
        url = f"http://proxy.corp.example:8080/crl/{first['root']['key_id']}.crl"
        self.assertEqual(first["crl"]["url"], url)
        crl, err = kit.run("openssl", "crl", "-inform", "DER", "-in", first["crl"]["file"], "-CAfile",
                           self.ca / "public/root.pem", "-noout", "-text")
        self.assertIn("verify OK", err)
        self.assertIn("X509v3 CRL Number", crl)
        self.assertIn("No Revoked Certificates", crl)

        # rotated with the root's key elsewhere, and the first revoked
        safe = self.dir / "usb-stick.key"
        (self.ca / "private/root.key").rename(safe)
        self.assertEqual(self.show()["root"]["key"], "not here")
        _, err = kit.ca("rotate", "--dir", self.ca, status=1)
        self.assertTrue(err.startswith(f"photogate: {self.ca}/private/root.key: the root key is not there; "), err)
        kit.ca("rotate", "--dir", self.ca, "--root-key", safe, "--revoke", *NAMES)
        second = self.show()
        self.assertEqual(second["root"], dict(first["root"], key="not here", days_left=second["root"]["days_left"]))
        self.assertNotEqual(second["issuing"]["key_id"], first["issuing"]["key_id"])
        self.assertEqual([c["key_id"] for c in second["earlier"]], [first["issuing"]["key_id"]])
        self.assertEqual(second["permitted"], first["permitted"])
        self.assertEqual(second["crl"]["revoked"], 1)
        old = self.ca / f"public/old/{first['issuing']['key_id']}.pem"
        pem_crl = self.dir / "crl.pem"
        kit.run("openssl", "crl", "-inform", "DER", "-in", second["crl"]["file"], "-out", pem_crl)
        _, err = kit.run("openssl", "verify", "-crl_check", "-CRLfile", pem_crl, "-CAfile", self.ca / "public/root.pem",
                         old, status=2)
        self.assertIn("certificate revoked", err)
        kit.run("openssl", "verify", "-crl_check", "-CRLfile", pem_crl, "-CAfile", self.ca / "public/root.pem",
                self.ca / "public/chain.pem")
        kit.ca("crl", "--dir", self.ca, "--root-key", safe)
        self.assertEqual(self.show()["crl"]["revoked"], 1)

    def test_encrypted_root_key(self):
        """A root key that its owner has encrypted: the passphrase is asked for on the terminal."""
        kit.ca("init", "--dir", self.ca, *NAMES)
        plain, locked = self.ca / "private/root.key", self.dir / "root.enc"
        kit.run("openssl", "pkey", "-in", plain, "-aes256", "-passout", "pass:open sesame", "-out", locked)
        plain.unlink()
        for phrase, status in (("open sesame", 0), ("wrong", 1)):
            try:
                pid, terminal = pty.fork()
            except OSError as e:
                self.skipTest(f"no terminals here: {e}")
            if pid == 0:
                os.execv(kit.PHOTOGATE, ["photogate", "ca", "rotate", "--dir", str(self.ca), "--root-key", str(locked)])
            said = b""
            while b"pass phrase:" not in said:
                said += os.read(terminal, 1000)
            os.write(terminal, phrase.encode() + b"\n")
            try:
                while chunk := os.read(terminal, 1000):
                    said += chunk
            except OSError:
                pass  # the other end is closed
            os.close(terminal)
            self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), status, said)
        self.assertIn(b"root.enc: that was not its passphrase (", said)

    def test_no_public_url(self):
        _, err = kit.ca("init", "--dir", self.ca, *NAMES)
        self.assertEqual(err, "photogate: warning: without a public URL the certificates name no revocation list, and "
                              "Windows programs that insist on one refuse them; give --public-url\n")
        self.assertEqual(self.show()["crl"]["url"], None)

    def test_modes(self):
        before = os.umask(0)
        self.addCleanup(os.umask, before)
        kit.ca("init", "--dir", self.ca, *NAMES)
        kit.ca("rotate", "--dir", self.ca)
        for path in [self.ca, *self.ca.rglob("*")]:
            mode = stat.S_IMODE(path.stat().st_mode)
            private = "private" in path.parts
            want = (0o700 if private else 0o755) if path.is_dir() else (0o600 if private else 0o644)
            self.assertEqual(oct(mode), oct(want), path)

    def test_usage(self):
        for argv, wrong in [
                ((), "usage: photogate ca COMMAND"),
                (("frobnicate",), "photogate: ca: unknown command frobnicate"),
                (("init", "--frobnicate"), "photogate: unknown option --frobnicate; photogate ca init --help says"),
                (("init", "extra"), "photogate: unexpected argument extra;"),
                (("init", "--name"), "photogate: there is nothing behind --name;"),
                (("init", "--name", "10.0.0.1"), "photogate: --name 10.0.0.1: not a DNS name; it takes a full host name"),
                (("init", "--name", "*.com"), "photogate: --name *.com: not a DNS name;"),
                (("show", "--name", "a.b"), "photogate: it does not take --name;"),
                (("import",), "photogate: no FILE given;"),
                (("issue", "--node", "n"), "photogate: --node and --csr are needed;"),
                (("issue", "--node", "a b", "--csr", "x"), "photogate: --node takes a host's name, not a b;"),
                (("init", "--cn", "x" * 65), "photogate: --cn takes 1 to 64 characters;")]:
            with self.subTest(argv=argv):
                out, err = kit.ca(*argv, status=2, cwd=self.dir)
                self.assertEqual(out, "")
                self.assertTrue(err.startswith(wrong), err)
        for command in ("init", "show", "export", "rotate", "crl", "csr", "import", "issue"):
            out, err = kit.ca(command, "--help")
            self.assertTrue(out.startswith(f"usage: photogate ca {command} "), out)
            self.assertEqual(err, "")
        self.assertEqual(list(self.dir.iterdir()), [])

    def test_nothing_there(self):
        for argv in (["show"], ["export"], ["rotate"], ["crl"]):
            _, err = kit.ca(*argv, "--dir", self.ca, status=1)
            self.assertIn(str(self.ca), err)
            self.assertEqual(err.count("\n"), 1, err)

    def test_interrupted_init(self):
        """Killed at any moment an init leaves nothing that looks like a CA, and the next one works."""
        complete = 0
        for delay in [0, 0.001, 0.002, 0.003, 0.004, 0.005, 0.006, 0.008, 0.01, 0.015, 0.02, 0.03]:
            target = self.dir / f"ca-{delay}"
            child = subprocess.Popen([kit.PHOTOGATE, "ca", "init", "--dir", str(target), *NAMES],
                                     stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(delay)
            child.send_signal(signal.SIGKILL)
            child.wait()
            if target.exists():
                complete += 1
                kit.ca("show", "--dir", target)
            else:
                kit.ca("init", "--dir", target, *NAMES)
            self.assertFalse((self.dir / f"ca-{delay}.unfinished").exists())
        self.assertLess(complete, 12)

    # --- a corporate PKI run with openssl ---

    def corporate(self):
        """A root with a policy CA under it, which signs subordinate CAs as the request asks for."""
        key, root = self.dir / "corp.key", self.dir / "corp.pem"
        kit.new_key(key)
        kit.run("openssl", "req", "-x509", "-new", "-key", key, "-subj", "/O=Corp/CN=Corp Root", "-days", "1000", "-addext",
                "keyUsage=critical,keyCertSign,cRLSign", "-out", root)
        policy = kit.sign(self.dir, "policy", root, key, "/O=Corp/CN=Corp Policy CA",
                          ["basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,cRLSign",
                           "subjectKeyIdentifier=hash", "authorityKeyIdentifier=keyid"])
        return root, policy

    def request(self, *more):
        pem, err = kit.ca("csr", "--dir", self.ca, *NAMES, *more)
        self.assertIn("nameConstraints   critical", err)
        csr = self.dir / "issuing.csr"
        csr.write_text(pem)
        return csr

    def signed(self, csr, policy, extensions="copy"):
        pem = self.dir / "issuing-from-corp.pem"
        if extensions == "copy":
            kit.run("openssl", "x509", "-req", "-in", csr, "-CA", policy, "-CAkey", policy.with_suffix(".key"), "-set_serial",
                    "77", "-days", "300", "-copy_extensions", "copyall", "-out", pem)
        else:
            conf = self.dir / "ext.cnf"
            conf.write_text("[ext]\n" + "\n".join(extensions) + "\n")
            kit.run("openssl", "x509", "-req", "-in", csr, "-CA", policy, "-CAkey", policy.with_suffix(".key"), "-set_serial",
                    "78", "-days", "300", "-extfile", conf, "-extensions", "ext", "-out", pem)
        return pem

    def test_corporate_pki(self):
        root, policy = self.corporate()
        csr = self.request("--node", "gate1.corp.example")
        text, _ = kit.run("openssl", "req", "-in", csr, "-noout", "-verify", "-text")
        for wanted in ("photogate issuing CA (gate1.corp.example, ", "CA:TRUE, pathlen:0", "Certificate Sign, CRL Sign",
                       "DNS:sharepoint.com", "IP:0.0.0.0/0.0.0.0", "X509v3 Name Constraints: critical"):
            self.assertIn(wanted, text)
        signed = self.signed(csr, policy)
        _, err = kit.ca("import", "--dir", self.ca, signed, status=1)
        self.assertIn("there is no self-signed root in the file", err)
        out, _ = kit.ca("import", "--dir", self.ca, signed, policy, root, *NAMES)
        self.assertIn("between  CN=Corp Policy CA,O=Corp", out)
        shown = self.show()
        self.assertEqual(len(shown["between"]), 1)
        self.assertEqual(shown["crl"]["url"], None)
        self.assertEqual(kit.ca("export", "--dir", self.ca)[0], kit.run("openssl", "x509", "-in", root)[0])

    def test_other_forms(self):
        """What a Windows CA hands out: PKCS#7, DER or base64; and from a pipe."""
        root, policy = self.corporate()
        signed = self.signed(self.request(), policy)
        p7b, p7b_pem = self.dir / "chain.p7b", self.dir / "chain-base64.p7b"
        for out, form in ((p7b, "DER"), (p7b_pem, "PEM")):
            kit.run("openssl", "crl2pkcs7", "-nocrl", "-certfile", root, "-certfile", signed, "-certfile", policy, "-outform",
                    form, "-out", out)
            kit.ca("import", "--dir", self.ca, out, *NAMES)
            self.assertTrue(self.show()["usable"])
        child = subprocess.Popen([kit.PHOTOGATE, "ca", "import", "--dir", self.ca, "-", *NAMES], stdin=subprocess.PIPE,
                                 stdout=subprocess.DEVNULL)
        for part in (signed, policy, root):
            time.sleep(0.05)  # a pipe that has nothing yet
            child.stdin.write(part.read_bytes())
            child.stdin.flush()
        child.stdin.close()
        self.assertEqual(child.wait(20), 0)
        self.assertTrue(self.show()["usable"])

    def test_unconstrained_import(self):
        root, policy = self.corporate()
        signed = self.signed(self.request(), policy, ["basicConstraints=critical,CA:TRUE",
                                                      "keyUsage=critical,keyCertSign,cRLSign", "subjectKeyIdentifier=hash"])
        _, err = kit.ca("import", "--dir", self.ca, signed, policy, root, status=1)
        self.assertIn("has no critical name constraints, so whoever has its key can pose as any site; have it signed as "
                      "photogate ca csr asks for, or take it as it is with --force", err)
        self.assertFalse((self.ca / "public/chain.pem").exists())
        _, err = kit.ca("import", "--dir", self.ca, signed, policy, root, "--force")
        self.assertIn("photogate: " + str(signed) + ": warning: the issuing certificate has no critical name constraints", err)
        shown = self.show()
        self.assertFalse(shown["constrained"])
        self.assertTrue(any("has no name constraints" in line for line in shown["faults"]))

    def test_node(self):
        """One root for several nodes: each has an issuing CA and a key of its own."""
        kit.ca("init", "--dir", self.ca, *NAMES)
        node = self.dir / "node"
        csr, _ = kit.ca("csr", "--dir", node, *NAMES)
        bundle, err = kit.ca("issue", "--dir", self.ca, "--node", "gate2.corp.example", "--csr", "-", "--public-url",
                             "http://gate2.corp.example:8080", stdin=csr.encode())
        self.assertIn("on gate2.corp.example run: photogate ca import", err)
        kit.ca("import", "--dir", node, "-", stdin=bundle.encode())
        shown = json.loads(kit.ca("show", "--json", "--dir", node)[0])
        self.assertIn("(gate2.corp.example, ", shown["issuing"]["subject"])
        self.assertEqual(shown["root"]["sha256"], self.show()["root"]["sha256"])
        self.assertEqual(shown["root"]["key"], "not here")
        self.assertTrue(pathlib.Path(shown["crl"]["file"]).exists())
        self.assertIn("gate2.corp.example", shown["permitted"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
