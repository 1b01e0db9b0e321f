"""Starts the example APIs and the gateway, each in a process group of its own, and ends them again."""

import json
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
SECONDS = 20  # how long a start or an end may take
started = []  # every process that still has to be ended


def free_port():
    """A port that nothing listens on, below those that the system gives to outgoing connections."""
    for _ in range(1000):
        port = random.randint(10_000, 30_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("no free port found between 10000 and 30000")


def wait_until(what, condition, process=None):
    """Waits for `condition` to give something true and gives that."""
    end = time.monotonic() + SECONDS
    while not (result := condition()):
        if process and process.popen.poll() is not None:
            raise RuntimeError(f"{what}: {process.name} ended with {process.popen.returncode}:\n{process.output()}")
        if time.monotonic() > end:
            raise RuntimeError(f"{what}: not within {SECONDS} s" + (f":\n{process.output()}" if process else ""))
        time.sleep(0.01)
    return result


class Process:
    """One started program and what it has printed."""

    def __init__(self, name, arguments, directory, environment):
        self.name = name
        self.log = directory / f"{name}.log"
        environment = {**os.environ, "TMPDIR": str(directory), **environment}
        with open(self.log, "wb") as log:
            self.popen = subprocess.Popen(
                arguments, cwd=directory, env=environment, start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )
        started.append(self)

    def output(self):
        return self.log.read_text(errors="replace")

    def wait_for_output(self, text):
        wait_until(f"{self.name} prints {text!r}", lambda: text in self.output(), self)

    def wait_for_port(self, port):
        wait_until(f"{self.name} listens on {port}", lambda: listens(port), self)

    def end(self, how=signal.SIGTERM):
        """Asks the program to end and gives its exit code; whatever is left of it is killed."""
        try:
            self.popen.send_signal(how)
            return self.popen.wait(SECONDS)
        finally:
            try:
                os.killpg(self.popen.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            self.popen.wait()
            if self in started:
                started.remove(self)


def end_all():
    for process in reversed(started[:]):
        process.end()


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def program(*names):
    """The full path of the first of these programs that is installed."""
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
    for name in names:
        if found := shutil.which(name, path=path):
            return found
    raise RuntimeError(f"{' or '.join(names)} is not installed")


def replaced(text, old, new):
    """`text` with its one `old` replaced: fails when the example no longer has it."""
    assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in the example"
    return text.replace(old, new)


def start_python(directory, port, environment):
    """Gives the process whose output has the API's log lines."""
    python = Process("python", [sys.executable, "-u", HERE / "python/api.py"], directory, {**environment, "PORT": str(port)})
    python.wait_for_port(port)
    return python


def start_node(directory, port, environment):
    node = Process("node", [program("node"), HERE / "node/api.mjs"], directory, {**environment, "PORT": str(port)})
    node.wait_for_port(port)
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
    fpm = Process("php-fpm", [program(*names), "-p", directory, "-y", pool, "-F", "-O", *as_root], directory, environment)
    wait_until("php-fpm opens its socket", (directory / "php-fpm.sock").exists, fpm)
    nginx = Process("nginx", [program("nginx"), "-p", directory, "-c", nginx_conf, "-e", "stderr", "-g", directives], directory, environment)
    nginx.wait_for_port(port)
    return nginx


def start_worker(directory, port, environment):
    """worker.php with a stand-in for RoadRunner itself (see check_roadrunner.php)."""
    shutil.copytree(HERE / "php", directory, dirs_exist_ok=True)
    (directory / "vendor").mkdir()
    shutil.copy(HERE / "check_roadrunner.php", directory / "vendor/autoload.php")
    worker = Process("worker", [program("php"), directory / "worker.php"], directory, {**environment, "PORT": str(port)})
    worker.wait_for_port(port)
    return worker


STARTERS = {"php": start_php, "worker": start_worker, "python": start_python, "node": start_node}


def start_gateway(binary, directory, port, api_port, environment):
    arguments = ["--listen", f"127.0.0.1:{port}", "--api", f"http://127.0.0.1:{api_port}/", "--log-format", "json"]
    arguments += ["--on-duplicate", "replace", "--drain", "1s"]
    gateway = Process("gateway", [binary, *arguments], directory, environment)
    wait_until("the gateway says that it listens", lambda: any(map(is_listening, gateway.output().splitlines())), gateway)
    return gateway


def is_listening(line):
    try:
        fields = json.loads(line).get("fields", {})
    except (ValueError, AttributeError):
        return False  # a line still being written, or not the log's
    return fields.get("message") == "listening" and "public" in fields
