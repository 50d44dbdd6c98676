# SPDX-License-Identifier: Apache-2.0
"""Real browsers, each with a home and an /etc of its own, spoken to without a driver of any kind.

Policies are read from fixed places below /etc. A browser here sees its own in a mount namespace of its own: nothing on the machine
changes, tests run side by side, and whatever happens to them nothing is left behind.
"""
import base64
import contextlib
import json
import os
import pathlib
import select
import shutil
import signal
import socket
import subprocess
import time

from harness import SLOW, TIMEOUT, Reader, free_port, wait_for

# $1: the directory that shall be /etc, with $1.real beside it for the one that is. What it lacks leads there.
# $2, $3: what the program gets as descriptors 3 and 4.
OWN_ETC = """
mount --make-rprivate /
mount --bind /etc "$1.real"
for entry in "$1.real"/*; do
    test -e "$1/${entry##*/}" || ln -s "$entry" "$1"
done
mount --bind "$1" /etc
in=$2 out=$3
shift 3
exec "$@" 3<&"$in" 4>&"$out"
"""
NAMESPACE = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--mount", "--map-root-user"]


class BrowserError(Exception):
    """What the browser says went wrong: net::ERR_… of Chromium, about:neterror?e=… of Firefox."""


class Browser:
    """A browser's process. `files` are put below its /etc: {"chromium/policies/managed/x.json": text}."""

    def __init__(self, home, files, argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL):
        etc = pathlib.Path(home) / "etc"
        for directory in etc, home / "etc.real":
            directory.mkdir(parents=True)
        for name, text in files.items():
            (etc / name).parent.mkdir(parents=True, exist_ok=True)
            (etc / name).write_text(text)
        env = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
        env.update(HOME=str(home), MOZ_CRASHREPORTER_DISABLE="1", MOZ_HEADLESS="1")
        fds = [f if f == subprocess.DEVNULL else f.fileno() for f in (stdin, stdout)]
        numbers = [str(0 if f == subprocess.DEVNULL else f) for f in fds]
        with open(home / "browser.log", "wb") as log:
            self.child = subprocess.Popen([*NAMESPACE, "bash", "-ec", OWN_ETC, "own-etc", etc, *numbers, *argv], env=env,
                                          stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                                          pass_fds=[f for f in fds if f != subprocess.DEVNULL])
        self.home = home

    @property
    def log(self):
        return (self.home / "browser.log").read_text(errors="replace")[-3000:]

    def close(self):
        for number in signal.SIGTERM, signal.SIGKILL:
            with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
                os.killpg(self.child.pid, number)
                self.child.wait(5 * SLOW)


class Chromium(Browser):
    """Headless Chromium with one page, by its DevTools protocol over a pipe: JSON texts that end with NUL."""

    # no page may depend on what these would fetch, and this machine may have no display, no GPU and no rights for a sandbox
    FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
             "--disable-component-update", "--disable-sync"]

    def __init__(self, home, files=(), flags=()):
        theirs_in, ours_out = os.pipe()
        ours_in, theirs_out = os.pipe()
        self.pipe_in, self.pipe_out = open(ours_in, "rb", 0), open(ours_out, "wb", 0)
        self.buffer, self.sent, self.events, self.answers = b"", 0, [], {}
        self.login = None
        with open(theirs_in, "rb", 0) as stdin, open(theirs_out, "wb", 0) as stdout:
            super().__init__(home, dict(files), ["chromium", *self.FLAGS, "--remote-debugging-pipe", f"--user-data-dir={home / 'profile'}",
                                                 *flags, "about:blank"], stdin, stdout)
        self.session = None
        page = next(t for t in self.call("Target.getTargets", 60 * SLOW)["targetInfos"] if t["type"] == "page")
        self.session = self.call("Target.attachToTarget", targetId=page["targetId"], flatten=True)["sessionId"]
        self.call("Page.enable")

    def post(self, method, **params):
        self.sent += 1
        message = {"id": self.sent, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        self.pipe_out.write(json.dumps(message).encode() + b"\0")
        return self.sent

    def call(self, method, timeout=30 * SLOW, **params):
        number, until = self.post(method, **params), time.monotonic() + timeout
        while number not in self.answers:
            self.read(until, method)
        answer = self.answers.pop(number)
        if "error" in answer:
            raise BrowserError(f"{method}: {answer['error']['message']}")
        return answer["result"]

    def read(self, until, what):
        """Takes the messages of one read."""
        if not select.select([self.pipe_in], [], [], max(0, until - time.monotonic()))[0]:
            raise AssertionError(f"{what}: no answer from Chromium\n{self.log}")
        data = os.read(self.pipe_in.fileno(), 1 << 20)
        assert data, f"{what}: Chromium has ended\n{self.log}"
        *messages, self.buffer = (self.buffer + data).split(b"\0")
        for message in map(json.loads, messages):
            if "id" in message:
                self.answers[message["id"]] = message
            else:
                self.notice(message["method"], message["params"])

    def notice(self, method, params):
        if method == "Fetch.requestPaused":
            self.post("Fetch.continueRequest", requestId=params["requestId"])
        elif method == "Fetch.authRequired":
            self.events.append(params["authChallenge"])
            user, password = self.login
            self.post("Fetch.continueWithAuth", requestId=params["requestId"],
                      authChallengeResponse={"response": "ProvideCredentials", "username": user, "password": password})

    def log_in_as(self, user, password):
        """What a person would type into the window that a challenge opens; the challenges are in `events`."""
        self.login = user, password
        self.call("Fetch.enable", handleAuthRequests=True)

    def go(self, url):
        """Opens a page and waits until it is there."""
        failed = self.call("Page.navigate", url=url).get("errorText")
        if failed:
            raise BrowserError(failed)
        wait_for(lambda: self.run("document.readyState") == "complete", 30 * SLOW)

    def run(self, script):
        """The value of an expression in the page; a promise is awaited."""
        result = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def text(self):
        return self.run("document.body.innerText")

    def picture(self, width, height, dark=False):
        """PNG of the page as a phone of that many CSS pixels shows it, two dots each; in full length where it is longer."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=2, mobile=True)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])
        return base64.b64decode(self.call("Page.captureScreenshot", captureBeyondViewport=True)["data"])

    def close(self):
        super().close()
        self.pipe_in.close()
        self.pipe_out.close()


class Firefox(Browser):
    """Headless Firefox by Marionette: JSON texts behind their length in digits and a colon."""

    # what would be fetched at the start, and questions
    PREFS = {"network.captive-portal-service.enabled": False, "network.connectivity-service.enabled": False,
             "browser.shell.checkDefaultBrowser": False, "browser.startup.homepage_override.mstone": "ignore",
             "datareporting.policy.dataSubmissionEnabled": False, "toolkit.telemetry.enabled": False, "app.normandy.enabled": False,
             "browser.safebrowsing.malware.enabled": False, "browser.safebrowsing.phishing.enabled": False,
             "extensions.update.enabled": False}

    def __init__(self, home, files=(), prefs=()):
        port = free_port()
        profile = home / "profile"
        profile.mkdir(parents=True)
        prefs = {**self.PREFS, **dict(prefs), "marionette.port": port}
        (profile / "user.js").write_text("".join(f"user_pref({json.dumps(k)}, {json.dumps(v)});\n" for k, v in prefs.items()))
        super().__init__(home, dict(files), ["firefox-esr", "--headless", "--no-remote", "--marionette", "--profile", profile, "about:blank"])
        self.sent = 0
        self.socket = wait_for(lambda: self.connect(port), 60 * SLOW)
        self.socket.settimeout(60 * SLOW)
        self.reader = Reader(self.socket)
        self.receive()  # who it is
        self.call("WebDriver:NewSession", capabilities={"alwaysMatch": {"acceptInsecureCerts": False}})

    def connect(self, port):
        assert self.child.poll() is None, f"Firefox has ended\n{self.log}"
        with contextlib.suppress(ConnectionRefusedError):
            return socket.create_connection(("127.0.0.1", port), TIMEOUT)

    def receive(self):
        return json.loads(self.reader.exactly(int(self.reader.until(b":")[:-1])))

    def call(self, command, **params):
        self.sent += 1
        text = json.dumps([0, self.sent, command, params]).encode()
        self.socket.sendall(b"%d:%s" % (len(text), text))
        _, _, error, result = self.receive()
        if error:
            raise BrowserError(error["message"])
        return result

    def go(self, url):
        self.call("WebDriver:Navigate", url=url)

    def run(self, script):
        """The value of an expression in the page; a promise is awaited."""
        return self.call("WebDriver:ExecuteAsyncScript", args=[], script=f"const done = arguments[0]; Promise.resolve({script}).then(done)")["value"]

    def text(self):
        return self.run("document.body.innerText")

    def close(self):
        super().close()
        self.socket.close()


def missing(*programs):
    """Why a test with these cannot run here; None when it can."""
    lacking = [p for p in programs if shutil.which(p) is None]
    return f"{', '.join(lacking)} not installed (tools/packages browser --install)" if lacking else None
