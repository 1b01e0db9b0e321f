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
            self.page = self._await_line("demo")["page"]
        except BaseException:
            self.process.kill()
            raise

    def _read(self):
        for line in self.process.stderr:
            self.log.append(line.rstrip())
            self._lines.put(line)
        self._lines.put(None)

    def _await_line(self, message):
        """The fields of the log line with this message."""
        deadline = time.monotonic() + self.START_LIMIT
        while True:
            try:
                line = self._lines.get(timeout=max(0, deadline - time.monotonic()))
            except queue.Empty:
                raise RuntimeError(f"no log line {message!r} in {self.START_LIMIT} s; {self.tail()}") from None
            if line is None:
                raise RuntimeError(f"the gateway ended without a log line {message!r}; {self.tail()}")
            try:
                entry = json.loads(line)
            except json.JSONDecodeError:
                continue
            fields = entry.get("fields", entry)
            if fields.get("message") == message:
                return fields

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
