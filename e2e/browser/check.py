#!/usr/bin/env python3
"""Drives the page of `--demo` in a headless Chromium, as two people would.

    e2e/browser/check.py path/to/ws2http-tokio [--out DIR] [-- FLAGS OF THE GATEWAY]

Needs Python 3, chromium and chromedriver (CHROMIUM and CHROMEDRIVER name others than those in PATH), nothing else.
Leaves screenshots in DIR. Exits with 0 if everything went as it should, else with 1, the reason and a screenshot.
"""

import argparse
import pathlib
import sys
import tempfile
import urllib.parse

from gateway import Gateway
from webdriver import Browser


def expect(actual, expected, what):
    assert actual == expected, f"{what}: {actual!r} instead of {expected!r}"


def connect(browser, name):
    browser.wait(f"the page proposes the name {name}",
                 lambda: browser.js("return document.querySelector('#name').value") == name)
    browser.click("#connect")
    browser.wait(f"{name} is connected", lambda: browser.text("#status") == f"connected as {name}")


def say(browser, text):
    browser.fill("#text", text)
    browser.click("#send")


def await_message(browser, text):
    """Waits until the newest received bubbles have this text."""
    browser.wait(f"a message {text!r}", lambda: text in browser.texts("#messages .received span"))


def await_status(browser, text):
    browser.wait(f"the status {text!r}", lambda: browser.text("#status") == text)


def await_counts(browser, **counts):
    def reached():
        return all(browser.text(f"#count-{name}") == str(count) for name, count in counts.items())
    try:
        browser.wait("counts", reached)
    except AssertionError:
        shown = {name: browser.text(f"#count-{name}") for name in counts}
        raise AssertionError(f"counts: {shown} instead of {counts}") from None


def pick(browser, client):
    css = f"input[name=client][value={client}]"
    browser.wait(f"{client} can be picked", lambda: browser.js("return !!document.querySelector(arguments[0])", css))
    browser.click(css)


def await_log_line(browser, *parts):
    """Waits for a line of the event log that contains all these texts."""
    browser.wait(f"a log line with {parts}",
                 lambda: any(all(part in line for part in parts) for line in browser.texts("#log li")))


def no_complaints(browser):
    expect(browser.console_errors(), [], "errors in the browser's console")


def two_tabs(browser, page):
    """Opens the page twice, as alice and as bob; their tabs."""
    browser.open(page)
    alice = browser.tab()
    connect(browser, "alice")
    second = browser.js("return document.querySelector('#second-tab').href")
    expect(second, urllib.parse.urljoin(page, "/?name=bob"), "the link to a second tab")
    bob = browser.new_tab(second)
    connect(browser, "bob")
    await_counts(browser, connected=2, connects=2)
    return alice, bob


def talk(browser, alice, bob):
    """Text with emoji, binary, and what bob has the API push to alice."""
    browser.switch(alice)
    for text in ["hello", "Grüße 👋🏽 🚀 <b>&amp;"]:
        say(browser, text)
        await_message(browser, f"you said: {text}")
    browser.wait("the drawing lights up",
                 lambda: browser.js("return document.querySelector('#flow-message').matches('.lit')"))
    browser.click("#send-binary")
    sent = browser.wait("the sent bytes", lambda: browser.text("#messages .sent.binary span"))
    browser.wait("the same bytes back", lambda: browser.text("#messages .received.binary span") == sent)
    expect(sent.startswith("8 bytes: "), True, f"the size of {sent!r}")

    browser.switch(bob)
    say(browser, "@alice hi from bob 🙂")
    await_message(browser, "pushed to alice")
    expect(browser.texts("#messages .received span"), ["pushed to alice"], "what bob got")
    browser.switch(alice)
    await_message(browser, "bob: hi from bob 🙂")
    say(browser, "@nobody hi")
    await_message(browser, "nobody is not connected")


def push(browser, alice, bob):
    """bob's tab makes the API push to alice."""
    browser.switch(bob)
    pick(browser, "alice")
    browser.fill("#push-text", "from the API ✨")
    browser.click("#push")
    browser.wait("the gateway's answer",
                 lambda: browser.text("#api-result") == "push alice: the gateway answered 200 ok")
    browser.switch(alice)
    await_message(browser, "from the API ✨")
    await_log_line(browser, "API → gateway", "POST", "/alice", "from the API ✨", "200 ok")


def kick(browser, alice, bob):
    """alice's tab makes the API kick bob, who sees why."""
    browser.switch(alice)
    pick(browser, "bob")
    browser.fill("#kick-code", "4321")
    browser.fill("#kick-reason", "come back later ☕ & rest")
    browser.click("#kick")
    browser.wait("the gateway's answer",
                 lambda: browser.text("#api-result") == "kick bob: the gateway answered 200 ok")
    browser.switch(bob)
    await_status(browser, "closed with 4321 (the API's own code): come back later ☕ & rest")
    browser.switch(alice)
    await_log_line(browser, "gateway → API", "GET", "/api/bob", "200 ok")
    await_log_line(browser, "gateway → API", "DELETE", "/api/bob", "4321 come back later ☕ & rest")
    await_counts(browser, connected=1, connects=2, refused=0, messages=5, replies=5, pushes=2, undelivered=1,
                 kicks=1, closes=1)


def refused(browser, bob):
    """A name that the API does not let in: the text is shown."""
    browser.switch(bob)
    browser.click("#try-banned")
    browser.click("#connect")
    await_status(browser, 'refused by the API: the API lets nobody in whose name starts with "banned"')
    await_counts(browser, connected=1, refused=1)
    await_log_line(browser, "GET", "/api/banned-bob", "403")


def whole_page(browser, path, width, **metrics):
    """A screenshot of the page at this width, as high as it is; the width that it takes."""
    browser.emulate("setDeviceMetricsOverride", width=width, height=800, **metrics)
    taken, height = browser.js("const root = document.documentElement; return [root.scrollWidth, root.scrollHeight]")
    browser.emulate("setDeviceMetricsOverride", width=width, height=height, **metrics)
    browser.screenshot(path)
    browser.emulate("clearDeviceMetricsOverride")
    return taken


def looks(browser, alice, out):
    """Screenshots, light and dark; nothing may stick out of a phone's width."""
    browser.switch(alice)
    for scheme in ["light", "dark"]:
        browser.emulate("setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        whole_page(browser, out / f"desktop-{scheme}.png", 1280, deviceScaleFactor=1, mobile=False)
        width = whole_page(browser, out / f"phone-{scheme}.png", 360, deviceScaleFactor=2, mobile=True)
        expect(width, 360, "the page's width on a phone of 360")


def leave(browser, alice):
    """alice closes."""
    browser.switch(alice)
    browser.click("#disconnect")
    browser.wait("alice has closed", lambda: browser.text("#status").startswith("closed with 1000 (normal)"))
    await_counts(browser, connected=0, closes=2)
    await_log_line(browser, "DELETE", "/api/alice", "1000 bye")


def check(browser, page, out):
    alice, bob = two_tabs(browser, page)
    talk(browser, alice, bob)
    push(browser, alice, bob)
    kick(browser, alice, bob)
    for tab in (alice, bob):
        browser.switch(tab)
        no_complaints(browser)
    refused(browser, bob)
    looks(browser, alice, out)
    leave(browser, alice)


def judge(gateway, browser, out):
    """The check's verdict as an exit code, told on the way."""
    try:
        check(browser, gateway.page, out)
        gateway.stop()
    except Exception as error:
        browser.screenshot(out / "failure.png")
        print(f"FAILED: {error}\nscreenshot: {out / 'failure.png'}\n{gateway.tail()}", file=sys.stderr)
        return 1
    print(f"ok, screenshots in {out}")
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("gateway", help="the gateway binary")
    parser.add_argument("--out", type=pathlib.Path, help="where screenshots go (default: a new temporary directory)")
    end = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    arguments, flags = parser.parse_args(sys.argv[1:end]), sys.argv[end + 1:]
    out = arguments.out or pathlib.Path(tempfile.mkdtemp(prefix="ws2http-browser-"))
    out.mkdir(parents=True, exist_ok=True)
    try:
        with Gateway(arguments.gateway, *flags) as gateway, Browser() as browser:
            return judge(gateway, browser, out)
    except (OSError, RuntimeError) as error:  # one of the two does not start
        print(f"FAILED: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
