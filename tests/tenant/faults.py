# SPDX-License-Identifier: Apache-2.0
"""What goes wrong on the way: single faults for one test, or a seeded plan over everything."""
import random
import time
from dataclasses import dataclass

# What each does; `lost` and `half` and `503after` happen after a write was done: the client cannot know whether it was.
KINDS = ("429", "429f", "429n", "concurrency", "503", "504", "401", "reset", "half", "lost", "503after", "slow", "gzip", "redirect")


@dataclass
class Fault:
    kind: str
    match: str = ""  # in "METHOD path cmdlet"
    times: int = 1
    skip: int = 0  # so many matching requests pass first

    def takes(self, line):
        if self.times <= 0 or self.match not in line:
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        self.times -= 1
        return True


class Faults:
    def __init__(self):
        self.single, self.rate, self.kinds, self.done = [], 0.0, KINDS, []
        self.rng = random.Random(1)
        self.in_a_row = 0

    def add(self, *args, **kw):
        self.single.append(Fault(*args, **kw))

    def seed(self, seed, rate, kinds=KINDS):
        self.rng, self.rate, self.kinds = random.Random(seed), rate, tuple(kinds)

    def pick(self, line):
        """The kind that this request meets, or None; at most two in a row, so that a bounded number of retries gets through."""
        kind = next((f.kind for f in self.single if f.takes(line)), None)
        if kind is None and self.rate and self.in_a_row < 2 and self.rng.random() < self.rate:
            kind = self.rng.choice(self.kinds)
        self.in_a_row = self.in_a_row + 1 if kind else 0
        if kind:
            self.done.append((kind, line))
        return kind


class Throttle:
    """Documented pace of old: 120 destructive cmdlets in 60 s (EHLO blog 2015). Off until `limit` is set."""

    def __init__(self):
        self.limit, self.window, self.times, self.refused = 0, 60.0, [], 0

    def admit(self):
        """0, or the seconds to wait."""
        if not self.limit:
            return 0
        now = time.monotonic()
        self.times = [t for t in self.times if now - t < self.window]
        if len(self.times) >= self.limit:
            self.refused += 1
            return self.window - (now - self.times[0])
        self.times.append(now)
        return 0
