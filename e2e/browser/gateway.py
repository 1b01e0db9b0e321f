"""Runs a gateway binary with --demo and reads from its log where it listens."""

import collections
import json
import queue
import subprocess
import threading
import time


class Gateway:
    """A gateway under test; a context manager that ends it."""

    START_LIMIT = 20  # seconds
    STOP_LIMIT = 20  # seconds: more than the default --drain

    def __init__(self, binary, *flags):
        command = [binary, "--demo", "--listen", "127.0.0.1:0", "--log-format", "json", *flags]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, encoding="utf-8")
        self.log = collections.deque(maxlen=50)
        self._lines = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        try:
            self.page = self._await_field("page")
        except BaseException:
            self.process.kill()
            raise

    def _read(self):
        for line in self.process.stderr:
            self.log.append(line.rstrip())
            self._lines.put(line)
        self._lines.put(None)

    def _await_field(self, name):
        """The first value of a field that a log line has."""
        deadline = time.monotonic() + self.START_LIMIT
        while True:
            try:
                line = self._lines.get(timeout=max(0, deadline - time.monotonic()))
            except queue.Empty:
                raise RuntimeError(f"no log line has {name!r} in {self.START_LIMIT} s; {self.tail()}") from None
            if line is None:
                raise RuntimeError(f"the gateway ended without a log line that has {name!r}; {self.tail()}")
            try:
                fields = json.loads(line).get("fields", {})
            except json.JSONDecodeError:
                continue  # not everything on standard error is a log line
            if name in fields:
                return fields[name]

    def tail(self):
        return "the gateway's log ends:\n  " + "\n  ".join(self.log)

    def stop(self):
        """Ends it as an operator does, and demands that it ends in order."""
        self.process.terminate()
        code = self.process.wait(self.STOP_LIMIT)
        if code != 0:
            raise RuntimeError(f"the gateway ended with exit code {code} after SIGTERM; {self.tail()}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
