"""Programs under test: each in a process group of its own, all of them ended whatever happens."""

import asyncio
import contextlib
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

SECONDS = 20  # how long a start or an end may take
started = []  # every program that still has to be ended
given = set()  # the free ports given out: nothing may listen on one yet


def free_port():
    """A port that nothing listens on, below those that the system gives to outgoing connections."""
    for _ in range(1000):
        port = random.randint(10_000, 30_000)
        if port in given:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            given.add(port)
            return port
    raise RuntimeError("no free port found between 10000 and 30000")


def find(*names):
    """The full path of the first of these programs that is installed."""
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
    for name in names:
        if found := shutil.which(name, path=path):
            return found
    raise RuntimeError(f"{' or '.join(names)} is not installed: run .ci/install")


async def wait_until(what, condition, seconds=SECONDS):
    """Waits for `condition`, a function or a coroutine function, to give something true and gives that."""
    end = time.monotonic() + seconds
    while True:
        result = condition()
        if asyncio.iscoroutine(result):
            result = await result
        if result:
            return result
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {seconds} s")
        await asyncio.sleep(0.01)


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Program:
    """One started program and what it has printed."""

    def __init__(self, name, arguments, directory, environment=None):
        self.name = name
        self.log = pathlib.Path(directory) / f"{name}.log"
        environment = {**os.environ, "TMPDIR": str(directory), **(environment or {})}
        with open(self.log, "wb") as log:
            self.popen = subprocess.Popen(
                [str(argument) for argument in arguments], cwd=directory, env=environment, start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )
        started.append(self)

    @property
    def pid(self):
        return self.popen.pid

    def output(self):
        return self.log.read_text(errors="replace")

    def is_running(self):
        return self.popen.poll() is None

    async def ready(self, what, condition):
        """Waits for a condition that a program which has ended cannot bring about."""

        def checked():
            if not self.is_running():
                raise RuntimeError(f"{what}: {self.name} ended with {self.popen.returncode}:\n{self.output()}")
            return condition()

        return await wait_until(f"{what} ({self.log})", checked)

    def signal(self, how):
        self.popen.send_signal(how)

    async def exit_code(self, seconds=SECONDS):
        await wait_until(f"{self.name} ends", lambda: not self.is_running(), seconds)
        if self in started:
            started.remove(self)
        return self.popen.returncode

    def kill(self):
        """Ends the whole process group at once."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.popen.pid, signal.SIGKILL)
        self.popen.wait()
        if self in started:
            started.remove(self)


@contextlib.contextmanager
def workspace():
    """A directory for one run. At its end every program is killed, and after a failure its output is shown."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))
    with tempfile.TemporaryDirectory(prefix="ws2http-") as directory:
        try:
            yield pathlib.Path(directory)
        except BaseException:
            for program in started:
                print(f"--- {program.name} ends with:\n{program.output()[-3000:]}", file=sys.stderr)
            raise
        finally:
            for program in reversed(started[:]):
                program.kill()


def binary_argument(parser):
    """Adds the argument that every suite has: the gateway's binary."""

    def existing(text):
        path = pathlib.Path(text)
        if not path.is_file():
            parser.error(f"{text} is not there: build it with cargo build --release")
        return path.resolve()

    parser.add_argument("binary", type=existing, help="a gateway binary, such as target/release/ws2http-tokio")
