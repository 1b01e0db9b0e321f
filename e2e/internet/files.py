#!/usr/bin/env python3
"""Checks the files that no compiler reads: those of deploy/ for machines, and what SECURITY.md says of tests and code.

    python3 e2e/internet/files.py target/release/ws2http-tokio

Needs promtool (Debian's prometheus), systemd-analyze, haproxy and nginx. Exit code 1 if a check failed.
"""

import argparse
import asyncio
import json
import pathlib
import re
import subprocess
import sys
import traceback

from api import Api
from gateway import Gateway
from programs import binary_argument, find, workspace
from proxies import PROXIES

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
# Words of PromQL that look like a metric's name.
WORDS = {"sum", "by", "rate", "increase", "changes", "histogram_quantile", "le", "method", "reason", "result", "code", "instance", "job", "up"}


def run(*command, **how):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, **how)
    assert done.returncode == 0, f"{' '.join(map(str, command))} gave {done.returncode}:\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


async def sysctl_keys_exist(_world):
    optional, count = False, 0
    for line in (DEPLOY / "sysctl.conf").read_text().splitlines():
        if line.startswith("#"):
            optional = line.endswith("optional")
        if not line or line.startswith("#"):
            continue
        setting = re.fullmatch(r"([a-z0-9_.-]+) = ([0-9 ]+)", line)
        assert setting, f"no setting: {line!r}"
        there = pathlib.Path("/proc/sys", setting[1].replace(".", "/")).is_file()
        assert there or optional, f"this kernel has no {setting[1]}"
        count += 1
    return f"{count} keys"


async def systemd_unit_is_sound(world):
    text = (DEPLOY / "systemd/ws2http.service").read_text()
    assert "/usr/local/bin/ws2http-tokio " in text
    unit = world.directory / "ws2http.service"
    unit.write_text(text.replace("/usr/local/bin/ws2http-tokio", str(world.binary)))
    said = run(find("systemd-analyze"), "verify", unit).strip()
    assert not said, said
    exposure = run(find("systemd-analyze"), "security", "--offline=yes", "--threshold=20", unit)
    known = run(world.binary, "--help")
    for flag in re.findall(r" (--[a-z-]+)", re.search(r"^ExecStart=.*", text, re.M)[0]):
        assert flag in known, f"the gateway has no {flag}"
    return exposure.strip().splitlines()[-1].strip("→ ")


async def proxies_take_their_files(world):
    for kind in PROXIES.values():
        directory = world.directory / kind.NAME
        directory.mkdir()
        proxy = kind(directory, [(7001, 7002)] * 3)
        check = ["-c"] if kind.NAME == "haproxy" else ["-t"]
        run(*proxy.command(), *check, cwd=directory)


async def prometheus_takes_its_files(_world):
    directory = DEPLOY / "prometheus"
    run(find("promtool"), "check", "config", "prometheus.yml", cwd=directory)
    run(find("promtool"), "test", "rules", "rules_test.yml", cwd=directory)
    names = re.findall(r"alert: (\w+)", (directory / "rules.yml").read_text())
    tests = (directory / "rules_test.yml").read_text()
    for name in names:
        assert f'alertname="{name}"' in tests and f"alertname: {name}," in tests, f"{name} has no test"
    return f"{len(names)} alerts, each seen to fire and to be quiet"


async def metrics_of_rules_and_dashboard_exist(world):
    dashboard = json.loads((DEPLOY / "grafana/dashboard.json").read_text())
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    variables = dashboard["templating"]["list"]
    expressions += [re.fullmatch(r"label_values\((\w+), \w+\)", v["query"])[1] for v in variables if v["type"] == "query"]
    assert len(expressions) > 10
    expressions += re.findall(r"expr: (.*)", (DEPLOY / "prometheus/rules.yml").read_text())
    names = set()
    for expression in expressions:
        bare = re.sub(r'"[^"]*"|\[[^]]*\]', "", expression)  # neither label values nor durations
        names |= set(re.findall(r"[a-z][a-z0-9_]+", bare)) - WORDS
    api = await Api().start()
    gateway = await Gateway.start(world.binary, world.directory, api.url)
    exposed = {re.split(r"[{ ]", name)[0] for name in await gateway.metrics()}
    gateway.kill()
    api.close()
    assert names <= exposed, f"not in /metrics: {sorted(names - exposed)}"
    return f"{len(names)} names"


async def security_names_tests_that_exist(_world):
    """Tests stand in it as `file::test`."""
    text = (ROOT / "SECURITY.md").read_text()
    named = set(re.findall(r"`(\w+)::(\w+)`", text))
    sources = {}
    for path in [*ROOT.glob("core/**/*.rs"), *ROOT.glob("e2e/**/*.rs"), *ROOT.glob("e2e/internet/*.py")]:
        sources.setdefault(path.stem, []).append(path.read_text())
    for file, test in sorted(named):
        found = any(re.search(rf"\b(fn|def) {test}\b", source) for source in sources.get(file, []))
        assert found, f"there is no test {file}::{test}"
    lines = [line for line in text.splitlines() if line.startswith("| ") and not line.startswith(("| ---", "| claim"))]
    assert lines
    for line in lines:
        assert re.search(r"`\w+::\w+`", line), f"without a test: {line}"
    return f"{len(named)} tests"


async def security_lists_all_unsafe_code(_world):
    text = (ROOT / "SECURITY.md").read_text()
    places = set()
    for path in ROOT.glob("*/**/*.rs"):
        if "target" not in path.relative_to(ROOT).parts and "allow(unsafe_code)" in path.read_text():
            places.add(str(path.relative_to(ROOT)))
    listed = set(re.findall(r"^- `([\w/.-]+\.rs)`", text, re.M))
    assert places == listed, f"with unsafe code: {sorted(places)}; listed: {sorted(listed)}"
    return f"{len(places)} places"


CHECKS = [
    sysctl_keys_exist, systemd_unit_is_sound, proxies_take_their_files, prometheus_takes_its_files,
    metrics_of_rules_and_dashboard_exist, security_names_tests_that_exist, security_lists_all_unsafe_code,
]


async def run_all(world):
    failed = 0
    for check in CHECKS:
        name = check.__name__.replace("_", " ")
        try:
            said = await check(world)
        except Exception:
            failed += 1
            print(f"FAILED  {name}\n{traceback.format_exc()}")
        else:
            print(f"passed  {name}{': ' + said if said else ''}")
    print(f"{len(CHECKS) - failed} passed, {failed} failed")
    return not failed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    binary_argument(parser)
    world = parser.parse_args()
    with workspace() as world.directory:
        passed = asyncio.run(run_all(world))
    sys.exit(0 if passed else 1)


if __name__ == "__main__":
    main()
