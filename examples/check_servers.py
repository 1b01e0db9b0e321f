"""Starts the example APIs and the gateway, each in a process group of its own, and ends them again."""

import asyncio
import json
import os
import pathlib
import shutil
import signal
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.append(str(HERE.parent / "e2e/internet"))  # last, so that nothing here is hidden

from programs import Program, find, free_port, listens, started, wait_until


def wait(what, condition, program=None):
    """Waits for `condition` to give something true and gives that; in vain if `program` ends before."""
    return asyncio.run(program.ready(what, condition) if program else wait_until(what, condition))


def wait_for_output(program, text):
    wait(f"{program.name} prints {text!r}", lambda: text in program.output(), program)


def wait_for_port(program, port):
    wait(f"{program.name} listens on {port}", lambda: listens(port), program)


def end(program, how=signal.SIGTERM):
    """Asks a program to end and gives its exit code; whatever is left of it is killed."""
    try:
        program.signal(how)
        return asyncio.run(program.exit_code())
    finally:
        program.kill()


def end_all():
    for program in reversed(started[:]):
        end(program)


def replaced(text, old, new):
    """`text` with its one `old` replaced: fails when the example no longer has it."""
    assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in the example"
    return text.replace(old, new)


def start_python(directory, port, environment):
    """Gives the program whose output has the API's log lines."""
    python = Program("python", [sys.executable, "-u", HERE / "python/api.py"], directory, {**environment, "PORT": str(port)})
    wait_for_port(python, port)
    return python


def start_node(directory, port, environment):
    node = Program("node", [find("node"), HERE / "node/api.mjs"], directory, {**environment, "PORT": str(port)})
    wait_for_port(node, port)
    return node


def start_php(directory, port, environment):
    """nginx and PHP-FPM with the example's own files: only the port differs, and the user where that is root."""
    shutil.copytree(HERE / "php", directory, dirs_exist_ok=True)
    nginx_conf, pool = directory / "nginx.conf", directory / "php-fpm.conf"
    nginx_conf.write_text(replaced(nginx_conf.read_text(), "127.0.0.1:8000", f"127.0.0.1:{port}"))
    directives, as_root = "daemon off;", []
    if os.geteuid() == 0:
        directives, as_root = "daemon off; user root;", ["-R"]
        pool.write_text(pool.read_text() + "user = root\ngroup = root\n")

    names = ["php-fpm", *(f"php-fpm{version}" for version in ("8.5", "8.4", "8.3", "8.2", "8.1"))]
    fpm = Program("php-fpm", [find(*names), "-p", directory, "-y", pool, "-F", "-O", *as_root], directory, environment)
    wait("php-fpm opens its socket", (directory / "php-fpm.sock").exists, fpm)
    nginx = Program("nginx", [find("nginx"), "-p", directory, "-c", nginx_conf, "-e", "stderr", "-g", directives], directory, environment)
    wait_for_port(nginx, port)
    return nginx


def start_worker(directory, port, environment):
    """worker.php with a stand-in for RoadRunner itself (see check_roadrunner.php)."""
    shutil.copytree(HERE / "php", directory, dirs_exist_ok=True)
    (directory / "vendor").mkdir()
    shutil.copy(HERE / "check_roadrunner.php", directory / "vendor/autoload.php")
    worker = Program("worker", [find("php"), directory / "worker.php"], directory, {**environment, "PORT": str(port)})
    wait_for_port(worker, port)
    return worker


STARTERS = {"php": start_php, "worker": start_worker, "python": start_python, "node": start_node}


def start_gateway(binary, directory, port, api_port, environment):
    arguments = ["--listen", f"127.0.0.1:{port}", "--api", f"http://127.0.0.1:{api_port}/", "--log-format", "json"]
    arguments += ["--on-duplicate", "replace", "--drain", "1s"]
    gateway = Program("gateway", [binary, *arguments], directory, environment)
    wait("the gateway says that it listens", lambda: any(map(is_listening, gateway.output().splitlines())), gateway)
    return gateway


def is_listening(line):
    try:
        fields = json.loads(line).get("fields", {})
    except (ValueError, AttributeError):
        return False  # a line still being written, or not the log's
    return fields.get("message") == "listening" and "public" in fields
