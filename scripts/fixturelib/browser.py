"""A browser without a window, driven over WebDriver: chromedriver's own HTTP interface and nothing between.

https://www.w3.org/TR/webdriver2/
"""

import json
import re
import shutil
import subprocess
import time
import urllib.error
import urllib.request

# https://www.w3.org/TR/webdriver2/#keyboard-actions
KEYS = {"Ctrl": "\ue009", "Enter": "\ue007", "Escape": "\ue00c", "Backspace": "\ue003", "Down": "\ue015",
        "Up": "\ue013", "Left": "\ue012", "Right": "\ue014"}


# No proxy is between us.
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Browser:
    """One session; `with` ends it."""

    def __init__(self, scale=1):
        driver, browser = shutil.which("chromedriver"), shutil.which("chromium") or shutil.which("google-chrome")
        if not driver or not browser:
            raise SystemExit("needs chromium and chromedriver (Debian: chromium chromium-driver)")
        self.driver = subprocess.Popen([driver, "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        started = next((line for line in self.driver.stdout if "successfully" in line), "")
        port = re.search(r"on port (\d+)", started)
        if not port:
            raise SystemExit("chromedriver does not start")
        self.url = f"http://127.0.0.1:{port[1]}/session"
        # The sandbox is not for root, and /dev/shm is small in containers.
        arguments = ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--hide-scrollbars",
                     f"--force-device-scale-factor={scale}"]
        options = {"binary": browser, "args": arguments}
        wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"},
                  "unhandledPromptBehavior": "ignore"}
        session = self._call("POST", "", {"capabilities": {"alwaysMatch": wanted}})
        self.url += "/" + session["sessionId"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            self._call("DELETE", "", None)
        finally:
            self.driver.terminate()
            self.driver.wait()

    def _call(self, method, path, body):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with DIRECT.open(request, timeout=60) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise RuntimeError(json.load(error)["value"]["message"].splitlines()[0]) from None

    def open(self, url):
        """Load a page anew, even when only its fragment differs from the one before."""
        self._call("POST", "/url", {"url": "about:blank"})
        self._call("POST", "/url", {"url": url})

    def size(self, width, height, dark=False):
        """Make the window that big, in CSS pixels."""
        self._devtools("Emulation.setDeviceMetricsOverride",
                       {"width": width, "height": height, "deviceScaleFactor": 0, "mobile": False})
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._devtools("Emulation.setEmulatedMedia", {"features": [scheme]})

    def _devtools(self, command, parameters):
        return self._call("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def run(self, script, *arguments):
        """The value of a function body in the page."""
        return self._call("POST", "/execute/sync", {"script": script, "args": arguments})

    def wait(self, script, *arguments):
        """Wait until a function body in the page returns something true, and return it."""
        end = time.monotonic() + 10
        while time.monotonic() < end:
            if value := self.run(script, *arguments):
                return value
            time.sleep(0.05)
        raise AssertionError(f"never true: {script}")

    def move(self, x, y, click=False):
        """Move the mouse to a place in the window, and click there."""
        actions = [{"type": "pointerMove", "x": int(x), "y": int(y), "duration": 0}]
        if click:
            actions += [{"type": "pointerDown", "button": 0}, {"type": "pointerUp", "button": 0}]
        self._call("POST", "/actions", {"actions": [{"type": "pointer", "id": "mouse", "actions": actions}]})

    def click(self, selector, index=0):
        """Click on the middle of an element."""
        script = """const found = document.querySelectorAll(arguments[0])[arguments[1]];
            found.scrollIntoView({ block: "center" });
            const box = found.getBoundingClientRect();
            return [box.left + box.width / 2, box.top + box.height / 2];"""
        self.move(*self.run(script, selector, index), click=True)

    def press(self, *keys, held=None):
        """Press keys, by their name or the character they write, while `held` is down."""
        strokes = [(kind, KEYS.get(key, key)) for key in keys for kind in ("keyDown", "keyUp")]
        if held:
            strokes = [("keyDown", KEYS[held]), *strokes, ("keyUp", KEYS[held])]
        actions = [{"type": kind, "value": value} for kind, value in strokes]
        self._call("POST", "/actions", {"actions": [{"type": "key", "id": "keys", "actions": actions}]})

    def complaints(self):
        """What the console has had to say since the last time: errors, violations of the page's policy."""
        entries = self._call("POST", "/se/log", {"type": "browser"})
        # "rendering" has advice on how fast a canvas is that is read, as tests do.
        return [entry["message"] for entry in entries if entry["source"] != "rendering"]

    def pdf(self):
        """The printed page, base64."""
        return self._call("POST", "/print", {})

    def screenshot(self):
        """What is in the window, a PNG in base64."""
        return self._call("GET", "/screenshot", None)
