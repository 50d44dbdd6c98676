# SPDX-License-Identifier: Apache-2.0
import contextlib
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import deploy  # noqa: E402
from harness import SANITIZER, Authority, Origin, Proxy, Route, free_port, pem_of, server_context  # noqa: E402
from logins import htpasswd  # noqa: E402
from microsoft import Microsoft  # noqa: E402

GRAPH = "graph.microsoft.com"
OUTLOOK = "outlook.office.com"
TUNNELLED = "tunnel.example.org"


@pytest.fixture(scope="session")
def authority():
    return Authority()


@pytest.fixture
def origin(authority, tmp_path):
    """An HTTPS origin that is Graph, Outlook and a tunnelled site at once."""
    pem = pem_of(*authority.leaf(GRAPH, OUTLOOK, TUNNELLED))
    o = Origin(server_context(pem, tmp_path))
    yield o
    o.close()


@pytest.fixture
def plain():
    """An HTTP origin, "plain.example:80"."""
    o = Origin()
    yield o
    o.close()


@contextlib.contextmanager
def runner(directory, authority):
    """run(origins=…, proxy="…", …): a started Proxy; at the end all are stopped, and looked through for sanitizer reports."""
    started = []

    def run(start=True, **kw):
        kw.setdefault("authority", authority)
        p = Proxy(directory / f"proxy{len(started)}", **kw)
        started.append(p)
        return p.start() if start else p

    yield run
    for p in started:
        if p.process is None:
            continue
        status = p.stop()
        found = SANITIZER.search(p.stderr)
        assert not found, p.stderr[max(0, found.start() - 200):found.start() + 6000]
        assert status in (0, 1, 2) or p.killed, f"exit status {status}: {p.stderr[-3000:]}"


@pytest.fixture
def run_proxy(authority, tmp_path):
    with runner(tmp_path, authority) as run:
        yield run


@pytest.fixture(scope="module")
def run_shared(authority, tmp_path_factory):
    """The same for a proxy that the tests of a file have in common."""
    with runner(tmp_path_factory.mktemp("shared"), authority) as run:
        yield run


@pytest.fixture(params=["inside", "clear"])
def kind(request):
    return request.param


@pytest.fixture
def open_route(run_proxy, origin, plain, kind):
    """open_route(proxy="…", …): a started proxy and a Route through it, inside an intercepted connection and, in a second run, in the clear."""
    def build(**kw):
        proxy = run_proxy(origins={f"{GRAPH}:443": origin.port, "plain.example:80": plain.port}, **kw)
        inside = kind == "inside"
        return Route(proxy, origin if inside else plain, GRAPH if inside else "plain.example", inside)
    return build


@pytest.fixture
def route(open_route):
    return open_route()


@pytest.fixture
def gate(run_proxy, origin, plain):
    """A proxy in front of `origin` and `plain`."""
    return run_proxy(origins={f"{GRAPH}:443": origin.port, f"{OUTLOOK}:443": origin.port, f"{TUNNELLED}:443": origin.port,
                              "plain.example:80": plain.port})


# ---- for browsers ----

@pytest.fixture
def microsoft(authority, tmp_path):
    o = Microsoft(server_context(pem_of(*authority.leaf(GRAPH, OUTLOOK, TUNNELLED)), tmp_path, alpn=None))
    yield o
    o.close()
    assert o.faults == []


@pytest.fixture
def office(run_proxy, microsoft):
    """office(login, sections): the proxy of docs/deploy.md in front of `microsoft`. Its second listener, .login, asks everybody who he is."""
    def run(login="", sections=""):
        ports = [free_port(), free_port()]
        p = run_proxy(start=False, origins={f"{host}:443": microsoft.port for host in (GRAPH, OUTLOOK, TUNNELLED)},
                      listen=f'"127.0.0.1:{ports[0]}", {{ address = "127.0.0.1:{ports[1]}", auth = "require"{login} }}',
                      public_url=f"http://{deploy.NAME}:{ports[0]}",
                      sections=f'[identity]\nhtpasswd = "users"\n[admins]\nusers = ["boss"]\n{sections}')
        (p.dir / "users").write_text(htpasswd(boss="sha512", worker="sha512"))
        p.port, p.login = ports
        return p.start()
    return run
