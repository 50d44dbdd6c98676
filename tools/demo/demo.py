#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Shows what photogate does: a Graph and an Outlook of our own on loopback, the real proxy before them, curl as the client.

usage: demo.py --photogate PROGRAM [--stay]

Everything lies in a temporary directory that goes at the end. Exit status: 0 all was as it should be, 1 not.
"""
import argparse
import contextlib
import json
import os
import pathlib
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import time

from origin import GRAPH, OUTLOOK, Origin, picture

COLOUR = sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM", "dumb") != "dumb"
PHOTO = f"https://{GRAPH}/v1.0/me/photo/$value"
WIDTH = 116


def bold(text):
    return f"\033[1m{text}\033[0m" if COLOUR else text


def say(text=""):
    print(text, flush=True)


def step(text):
    say("\n" + bold(f"# {text}"))


def shortened(text):
    return text if len(text) <= WIDTH else text[:WIDTH - 1] + "…"


class Demo:
    def __init__(self, program, directory):
        self.program, self.dir = os.path.abspath(program), pathlib.Path(directory)
        self.dir.chmod(0o755)  # the proxy's own users read its configuration there
        self.origin = Origin(self.dir).start()
        self.port = 3128 if is_free(3128) else free_port()
        self.process, self.failed = None, False

    # ---- the proxy ----

    def write_config(self):
        here = f"127.0.0.1:{self.origin.port}"
        # Users by number: this makes none on the system.
        (self.dir / "proxy.toml").write_text(f"""[proxy]
listen = ["127.0.0.1:{self.port}"]
workers = 1
user = "64901"
signer_user = "64902"
[origin]
connect_to = ["{GRAPH}:443:{here}", "{OUTLOOK}:443:{here}"]
ca_file = "root.pem"
[log]
block = "log/block.log"
[ui]
organisation = "Contoso"
contact = "the help desk, extension 4711"
""")

    def photogate(self, *args):
        return subprocess.run([self.program, *args], cwd=self.dir, capture_output=True, text=True)

    def start(self):
        self.write_config()
        made = self.photogate("ca", "init")
        if made.returncode != 0:
            raise SystemExit(made.stderr)
        with open(self.dir / "stderr", "w") as err:
            self.process = subprocess.Popen([self.program, "run"], cwd=self.dir, stdout=err, stderr=err)
        until = time.monotonic() + 30
        while "ready hosts=" not in (self.dir / "stderr").read_text():
            if self.process.poll() is not None or time.monotonic() > until:
                raise SystemExit("demo: the proxy did not start:\n" + (self.dir / "stderr").read_text())
            time.sleep(0.02)

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(5)
            if self.process.poll() is None:
                self.process.send_signal(signal.SIGTERM)  # asked twice, it does not wait for open connections
                self.process.wait(40)

    # ---- the transcript ----

    def environment(self):
        return {"https_proxy": f"http://127.0.0.1:{self.port}", "CURL_CA_BUNDLE": str(self.dir / "ca/public/root.pem")}

    def curl(self, *args, expect):
        """Shows a curl command and what came of it; the response's body."""
        say(f"$ curl -i {' '.join(quote(a) for a in args)}")
        env = {k: v for k, v in os.environ.items() if k.lower() not in ("no_proxy", "all_proxy")}
        done = subprocess.run(["curl", "-q", "-sS", "-i", "--suppress-connect-headers", "--max-time", "20", *args], cwd=self.dir,
                              env={**env, **self.environment()}, capture_output=True)
        if done.returncode != 0:
            say(done.stderr.decode())
            self.failed = True
            return b""
        head, _, body = done.stdout.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        say(lines[0])
        shown = ("content-type", "x-photogate-incident", "x-photogate-rule")
        for line in lines[1:]:
            if line.partition(":")[0].lower() in shown:
                say(line)
        self.failed |= int(lines[0].split()[1]) != expect
        return body

    def run(self):
        step("Graph and Outlook are two servers on this machine, with these names; photogate stands before them.")
        for name, value in self.environment().items():
            say(f"$ export {name}={shlex.quote(value)}")
        (self.dir / "new.png").write_bytes(picture(255, 140, 0))

        step("Somebody sets another profile photo. It is refused, and never gets to Graph:")
        body = self.curl("-X", "PUT", "-H", "Content-Type: image/png", "--data-binary", "@new.png", PHOTO, expect=403)
        with contextlib.suppress(ValueError, KeyError):
            error = json.loads(body)["error"]
            say(textwrap.fill(f'{{"error":{{"code":"{error["code"]}","message":"{error["message"]}", …', WIDTH))

        step("Everybody may look at it:")
        body = self.curl(PHOTO, expect=200)
        say(f"… {len(body)} bytes, as Graph sent them" if body == picture(0, 90, 158) else "… not what Graph sent")
        self.failed |= body != picture(0, 90, 158)

        step("A group's photo is not a person's:")
        self.curl("-X", "PUT", "-H", "Content-Type: image/png", "--data-binary", "@new.png",
                  f"https://{GRAPH}/v1.0/groups/02bd9fd6/photo/$value", expect=200)

        step("The page in Outlook that changes a photo is answered with one that says why not:")
        page = self.curl("-H", "Accept: text/html", f"https://{OUTLOOK}/mail/changephoto", expect=403).decode()
        title = re.search(r"<h1[^>]*>(.*?)</h1>", page, re.S)
        say(f"… {title.group(1).strip() if title else 'no heading'}")

        step("What came through to Graph and Outlook, all of it:")
        for line in self.origin.seen:
            say(line)
        self.failed |= [line.split()[0] for line in self.origin.seen] != ["GET", "PUT"]

        step("Why was it refused? What the help desk can ask:")
        say(f"$ photogate explain PUT {quote(PHOTO)}")
        explained = self.photogate("explain", "PUT", PHOTO)
        self.failed |= explained.returncode != 3
        for line in explained.stdout.rstrip().splitlines():
            say(shortened(line))

        step("And what the log of refusals has of it (the line is abbreviated):")
        self.show_log()

    def show_log(self):
        path = self.dir / "log/block.log"
        until = time.monotonic() + 5
        lines = []
        while len(lines) < 2 and time.monotonic() < until:
            lines = path.read_text().splitlines() if path.exists() else []
            time.sleep(0.02)
        if len(lines) != 2:
            self.failed = True
            return
        line = json.loads(lines[0])
        say("$ head -1 log/block.log")
        say(json.dumps({k: line.get(k) for k in ("time", "event", "client", "method", "host", "path", "rule", "incident")}))

    def invite(self):
        step("It goes on until Ctrl-C. To try more by hand, in another terminal:")
        for name, value in self.environment().items():
            say(f"export {name}={shlex.quote(value)}")
        say(f"curl -i -X PUT --data-binary x '{PHOTO}'")
        say(f"\nThe block page:  http://127.0.0.1:{self.port}/block-page")
        say(f"The PAC file:    http://127.0.0.1:{self.port}/proxy.pac")
        with contextlib.suppress(KeyboardInterrupt):
            self.process.wait()


def quote(arg):
    return f"'{arg}'" if re.search(r"[^A-Za-z0-9_./:=@%+,-]", arg) else arg


def is_free(port):
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def main():
    parser = argparse.ArgumentParser(usage="demo.py --photogate PROGRAM [--stay]")
    parser.add_argument("--photogate", required=True)
    parser.add_argument("--stay", action="store_true")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    directory = tempfile.mkdtemp(prefix="photogate-demo-")
    demo = None
    try:
        demo = Demo(args.photogate, directory)
        demo.start()
        demo.run()
        if args.stay:
            demo.invite()
        elif not demo.failed:
            say(f"\nAll of it is gone again. tools/run --demo --stay keeps it running: the block page is then at\n"
                f"http://127.0.0.1:{demo.port}/block-page, for any browser.")
    except KeyboardInterrupt:
        pass
    finally:
        if demo is not None:
            demo.stop()
        shutil.rmtree(directory, ignore_errors=True)
    if demo is None or demo.failed:
        say("\ndemo: this was not as it should be; please report it with all of the above")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
