# SPDX-License-Identifier: Apache-2.0
"""The stand-in tenant for each test, on a port of its own."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "tenant"))

import pytest  # noqa: E402

from kit import Bench  # noqa: E402


@pytest.fixture
def bench(tmp_path):
    """bench(mailboxes=…, lock=…): a started Bench, ended with the test; requests that the stand-in does not know fail it."""
    started = []

    def start(**kw):
        started.append(Bench(tmp_path / str(len(started)), **kw).__enter__())
        return started[-1]

    yield start
    for one in started:
        one.__exit__()
        assert one.server.unknown == [] or one.expects_unknown
