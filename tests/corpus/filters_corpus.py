#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs `photogate explain --jsonl` over the shared corpora and counts what is not as expected.

usage: filters_corpus.py PHOTOGATE

The corpora are no part of the project: they are looked for in $PHOTOGATE_SHARED, else in ../shared beside the source.
Without them the test is skipped (exit status 77).
"""
import collections
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
OPTIONAL = '[inspect]\noptional = ["power-platform", "graph-relay", "engage"]\n'
FIT = {"block": {"block"}, "block-or-400": {"block"}, "block-preferred": {"block"}, "allow": {"pass"}, "policy": {"block", "pass"}}


def lines(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file if line.strip()]


def explain(photogate, config, cases):
    """The verdict of each case, in order."""
    with tempfile.NamedTemporaryFile("w+", encoding="utf-8") as given:
        for number, case in enumerate(cases):
            given.write(json.dumps({**case, "id": number}) + "\n")
        given.flush()
        given.seek(0)
        run = subprocess.run([photogate, "explain", "--jsonl", "--config", config], stdin=given, capture_output=True)
    answers = [json.loads(line) for line in run.stdout.splitlines()]
    assert [a["id"] for a in answers] == list(range(len(cases))), run.stderr.decode()
    return answers


def filled(case, tokens):
    """The case with its {{JWT_…}} placeholders replaced; header lists and bodies too."""
    text = json.dumps(case)
    for name, token in tokens.items():
        text = text.replace("{{" + name + "}}", token)
    return json.loads(text)


def check(photogate, config, name, cases, expected):
    start = time.monotonic()
    answers = explain(photogate, config, cases)
    seconds = time.monotonic() - start
    wrong = [(c, e, a) for c, e, a in zip(cases, expected, answers) if a.get("verdict") not in FIT[e]]
    missed = sum(e != "allow" for _, e, _ in wrong)
    for case, answer in zip(cases, answers):
        if "blocked_ids" in case:
            found = [i["id"] for i in answer.get("items", ()) if i["verdict"] == "block"]
            if sorted(found) != sorted(case["blocked_ids"]):
                wrong.append((case, case["blocked_ids"], found))
    print(f"{name}: {len(cases)} cases, {missed} missed, {len(wrong) - missed} blocked in error, {seconds:.2f} s")
    for case, want, answer in wrong:
        print(f"    {case['id']}: wants {want}: {case['method']} {case['url']} -> {answer}")
    return wrong


def main():
    shared = pathlib.Path(os.environ.get("PHOTOGATE_SHARED", ROOT.parent / "shared"))
    corpus = shared / "corpus"
    if not (corpus / "judge.toml").exists():
        print(f"no corpora in {shared}; skipped")
        return 77
    photogate, config = sys.argv[1], str(corpus / "judge.toml")
    faults = 0
    requests = lines(corpus / "graph/graph-requests.jsonl")
    faults += len(check(photogate, config, "graph requests", requests, [c["expect"] for c in requests]))
    for path in sorted((corpus / "requests").glob("*.jsonl")):
        cases = lines(path)
        for case in cases:
            if "x_http_method" in case:
                case["headers"] = {"X-HTTP-Method": case["x_http_method"]}
        faults += len(check(photogate, config, path.stem, cases, [c["expect"] for c in cases]))

    batches = lines(corpus / "graph/graph-batch.jsonl")
    for case in batches:
        case["headers"] = {"Content-Type": case["content_type"]}
    faults += len(check(photogate, config, "graph batches", batches, [c["expect"] for c in batches]))

    tokens = json.loads((corpus / "vectors_tokens.json").read_text())
    vectors = [filled(case, tokens) for case in lines(corpus / "vectors.jsonl")]
    # Framing is judged before there is a request: wire tests do that.
    framing = [case for case in vectors if case.get("wire", {}).get("raw")]
    print(f"{len(framing)} vectors of framing left to wire tests")
    kinds = collections.defaultdict(list)
    for case in vectors:
        if case not in framing:
            kinds["on optional hosts" if case.get("requires") == "optional host" else "by " + case["detect"]].append(case)
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as optional:
        optional.write(OPTIONAL + pathlib.Path(config).read_text())
        optional.flush()
        for kind, cases in sorted(kinds.items()):
            by = optional.name if kind == "on optional hosts" else config
            faults += len(check(photogate, by, "vectors " + kind, cases, [c["verdict"] for c in cases]))
    return 1 if faults else 0


sys.exit(main())
