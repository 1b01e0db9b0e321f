#!/usr/bin/env python3
"""Runs three gateways behind a real HAProxy and a real nginx, with the files of deploy/, and shows what they promise.

    python3 e2e/internet/scale_out.py target/release/ws2http-tokio

Clients come by wss:// through TLS at the proxy. Prints a line per check; exit code 1 if one failed.
"""

import argparse
import asyncio
import sys
import time
import traceback

import scale_changes
import scale_paths
from programs import binary_argument, started, workspace
from proxies import PROXIES

CHECKS = [*scale_paths.CHECKS, *scale_changes.CHECKS]


async def run_check(check, binary, directory, kind):
    name = f"{kind.NAME}: {check.__name__.replace('_', ' ')}"
    began = time.monotonic()
    try:
        said = await check(binary, directory / f"{kind.NAME}-{check.__name__}", kind)
    except Exception:
        print(f"FAILED  {name}\n{traceback.format_exc()}", flush=True)
        for program in reversed(started[:]):
            print(f"--- {program.name} ends with:\n{program.output()[-600:]}")
            program.kill()
        return False
    print(f"passed  {name}  ({time.monotonic() - began:.1f} s){': ' + said if said else ''}", flush=True)
    return True


async def run(arguments, directory):
    results = []
    for kind in PROXIES.values():
        for check in CHECKS:
            if kind.NAME in arguments.proxy and (not arguments.only or arguments.only in check.__name__):
                if kind.NAME in getattr(check, "only_for", PROXIES):
                    results.append(await run_check(check, arguments.binary, directory, kind))
    print(f"{sum(results)} passed, {len(results) - sum(results)} failed")
    return results and all(results)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    binary_argument(parser)
    parser.add_argument("--only", help="only the checks that have this in their name")
    parser.add_argument("--proxy", choices=PROXIES, nargs="+", default=list(PROXIES), help="only behind this proxy")
    arguments = parser.parse_args()
    with workspace() as directory:
        passed = asyncio.run(run(arguments, directory))
    sys.exit(0 if passed else 1)


if __name__ == "__main__":
    main()
