#!/usr/bin/env python3
"""Runs the cases of the Autobahn test suite against a gateway whose API echoes.

    python3 -m venv target/conformance && target/conformance/bin/pip install -r e2e/internet/requirements.txt
    target/conformance/bin/python e2e/internet/conformance.py target/release/ws2http-tokio

The cases are Autobahn's own, driven by kosoku, since the original runs on Python 2 only. Sections 1 to 10 must pass, with
a clean close, and whatever is not plain OK must be explained below. Exit code 1 otherwise.
"""

import argparse
import asyncio
import collections
import sys
import time

import wire
from api import Api, Reply, echo
from gateway import Gateway
from programs import binary_argument, workspace

try:
    from kosoku import FailureError, run_fuzzingclient
except ImportError:
    sys.exit(f"{sys.executable} has no kosoku; do as follows.\n\n{__doc__}")

# Name and number of cases: a suite that runs fewer proves less. Autobahn has no cases in 8 and 11.
SECTIONS = {
    1: ("framing", 16), 2: ("pings and pongs", 11), 3: ("reserved bits", 7), 4: ("opcodes", 10), 5: ("fragments", 20),
    6: ("UTF-8", 145), 7: ("closing", 37), 9: ("limits and performance", 54), 10: ("miscellaneous", 1),
    12: ("compression", 90), 13: ("compression, parameters", 126),
}
COMPRESSION = (12, 13)
# The largest message is 16 MiB; what the client sends ahead must not be refused or dropped.
FLAGS = ["--max-message", "17MiB", "--send-queue", "64MiB", "--receive-queue", "2000", "--receive-queue-bytes", "64MiB"]
PASSES = ("OK", "NON-STRICT", "INFORMATIONAL")
# Cases that need not be plain OK. Those of timing are OK whenever the API is faster than the next frame.
OVERTAKEN = "the case breaks the protocol right after a message; that ends the connection before the API has answered it"
UNSPECIFIED = "the case is informational, whatever happens: the code is outside of the protocol; it is answered with 1002"
EXPLAINED = {
    **dict.fromkeys(("3.2", "3.3", "3.4", "4.1.3", "4.1.4", "4.1.5", "4.2.3", "4.2.4", "4.2.5", "5.15"), OVERTAKEN),
    "7.1.6": "the case is informational: all messages sent before the close are still answered, both of them",
    **dict.fromkeys(("7.13.1", "7.13.2"), UNSPECIFIED),
}


class EchoWithEmptyMessages:
    """An empty answer sends nothing, so the echo of an empty message is a push."""

    async def __call__(self, request):
        if request.method == "POST" and not request.body:
            kind = ("Content-Type", request.header("content-type"))
            answer = await wire.request(self.gateway.control, "POST", request.path, b"", [kind])
            assert answer.status in (200, 404), answer
            return Reply()
        return await echo(request)


async def run_section(gateway, section):
    """One client after another, all with the section's ClientId."""
    url = f"ws://127.0.0.1:{gateway.public}/section-{section}"
    started = time.monotonic()
    try:
        results = await run_fuzzingclient(url, [f"{section}.*"])
    except FailureError as failure:
        results = failure.results
    return results, time.monotonic() - started


def judge(section, results):
    """What is wrong with a section, one line each, and the verdict and name of the cases that are explained."""
    wrong, notes = [], []
    for result in results:
        behaviour, close = result.behavior.value, result.behavior_close.value
        case = f"{result.case_id}: {behaviour}, close {close}"
        if section in COMPRESSION:
            if behaviour not in (*PASSES, "UNIMPLEMENTED"):
                wrong.append(f"{case}: {result.result} {result.result_close}")
        elif behaviour not in PASSES or close not in ("OK", "INFORMATIONAL"):
            wrong.append(f"{case}: {result.result} {result.result_close}")
        elif (behaviour, close) != ("OK", "OK"):
            known = result.case_id in EXPLAINED
            (notes if known else wrong).append((behaviour, result.case_id) if known else f"{case}: not explained")
    if len(results) != SECTIONS[section][1]:
        wrong.append(f"section {section}: {len(results)} results, not {SECTIONS[section][1]}")
    return wrong, notes


def print_row(section, results, seconds):
    counts = collections.Counter(result.behavior.value for result in results)
    closes = collections.Counter(result.behavior_close.value for result in results)
    told = lambda counter: ", ".join(f"{count} {name}" for name, count in sorted(counter.items()))
    print(f"{section:>2}  {SECTIONS[section][0]:<24} {len(results):>4}  {told(counts):<34} {told(closes):<28} {seconds:5.1f} s", flush=True)


def print_notes(notes):
    groups = collections.defaultdict(list)
    for behaviour, case in notes:
        groups[behaviour, EXPLAINED[case]].append(case)
    print("\nnot plain OK, and why:")
    for (behaviour, why), cases in groups.items():
        print(f"  {behaviour} {', '.join(cases)}:\n    {why}")


async def run(binary, directory):
    started = time.monotonic()
    answer = EchoWithEmptyMessages()
    api = await Api(answer, record=False).start()
    gateway = answer.gateway = await Gateway.start(binary, directory, api.url, *FLAGS)
    print(f"    {'section':<24} {'cases':>4} {'behaviour':<34} close")
    wrong, notes = [], []
    for section in SECTIONS:
        results, seconds = await run_section(gateway, section)
        print_row(section, results, seconds)
        for target, found in zip((wrong, notes), judge(section, results)):
            target += found
    api.close()
    print_notes(notes)
    if wrong:
        print("\nFAILED:", *wrong, sep="\n  ")
    print(f"\n{'FAILED' if wrong else 'passed'} in {time.monotonic() - started:.0f} s")
    return not wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    binary_argument(parser)
    binary = parser.parse_args().binary
    with workspace() as directory:
        passed = asyncio.run(run(binary, directory))
    sys.exit(0 if passed else 1)


if __name__ == "__main__":
    main()
