"""As much of W3C WebDriver as the check needs: chromedriver speaks plain HTTP and JSON."""

import base64
import json
import os
import re
import shutil
import subprocess
import time
import urllib.error
import urllib.request

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the key of an element reference, fixed by W3C WebDriver
CHROMIUM_FLAGS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1280,1500"]


def program(variable, *names):
    """The path of a program: from the environment, else from PATH."""
    found = os.environ.get(variable) or next(filter(None, map(shutil.which, names)), None)
    if not found:
        raise RuntimeError(f"none of {', '.join(names)} is installed; name one by {variable}=/path")
    return found


class Browser:
    """One headless Chromium; a context manager that ends it."""

    PATIENCE = 15  # seconds that a condition may take

    def __init__(self):
        driver = program("CHROMEDRIVER", "chromedriver")
        self.process = subprocess.Popen([driver, "--port=0"], stdout=subprocess.PIPE, text=True)
        self.session = None
        try:
            port = self._port()
            self.base = f"http://127.0.0.1:{port}/session"
            chromium = program("CHROMIUM", "chromium", "chromium-browser", "google-chrome")
            options = {"binary": chromium, "args": CHROMIUM_FLAGS}
            wanted = {"browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
            self.session = self._ask("POST", "", {"capabilities": {"alwaysMatch": wanted}})["sessionId"]
        except BaseException:
            self.process.kill()
            raise

    def _port(self):
        for line in self.process.stdout:
            if found := re.search(r"started successfully on port (\d+)", line):
                return int(found[1])
        raise RuntimeError("chromedriver did not start")

    def _ask(self, method, path, body=None):
        url = f"{self.base}/{self.session}{path}" if self.session else self.base
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as refusal:
            value = json.load(refusal)["value"]
            raise RuntimeError(f"WebDriver: {value['error']}: {value['message'].splitlines()[0]}") from None

    def open(self, url):
        """Loads a page in this tab."""
        self._ask("POST", "/url", {"url": url})

    def tab(self):
        """This tab's handle."""
        return self._ask("GET", "/window")

    def new_tab(self, url):
        """Loads a page in another tab, which becomes the current one; its handle."""
        self.switch(self._ask("POST", "/window/new", {"type": "tab"})["handle"])
        self.open(url)
        return self.tab()

    def switch(self, tab):
        self._ask("POST", "/window", {"handle": tab})

    def click(self, css):
        element = self._ask("POST", "/element", {"using": "css selector", "value": css})[ELEMENT]
        self._ask("POST", f"/element/{element}/click", {})

    def fill(self, css, text):
        """Sets a field as if typed; WebDriver's own typing knows no emoji."""
        self.js("""const field = document.querySelector(arguments[0]);
                   field.focus(); field.value = arguments[1];
                   field.dispatchEvent(new Event('input', { bubbles: true }));""", css, text)

    def js(self, script, *arguments):
        return self._ask("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def texts(self, css):
        return self.js("return Array.from(document.querySelectorAll(arguments[0]), (e) => e.textContent.trim());", css)

    def text(self, css):
        return next(iter(self.texts(css)), None)

    def wait(self, what, condition):
        """Waits until condition() is true; its value."""
        deadline = time.monotonic() + self.PATIENCE
        while not (value := condition()):
            if time.monotonic() > deadline:
                raise AssertionError(f"in vain waited for: {what}")
            time.sleep(0.05)
        return value

    def console_errors(self):
        """What the console has complained about since last asked."""
        return [entry["message"] for entry in self._ask("POST", "/se/log", {"type": "browser"}) if entry["level"] == "SEVERE"]

    def emulate(self, command, **parameters):
        """A command of the DevTools' Emulation domain."""
        self._ask("POST", "/goog/cdp/execute", {"cmd": f"Emulation.{command}", "params": parameters})

    def screenshot(self, path):
        path.write_bytes(base64.b64decode(self._ask("GET", "/screenshot")))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            self._ask("DELETE", "")
        except (OSError, RuntimeError):
            pass  # it is killed anyway
        self.process.terminate()
        self.process.wait()
