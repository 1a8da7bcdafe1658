"""Debian's Chromium at the console of a house, for tests: fixtures to import, and what holds for every page.

What needs a browser is skipped where Chromium, its driver or python3-selenium are not installed (./setup --browser), and all of it where
the program was built without the console. TOUCHMARK_SCREENSHOTS names a directory for pictures.
"""
import base64
import http.client
import os
import re
import shutil

import pytest

try:
    from selenium import webdriver
    from selenium.common.exceptions import TimeoutException, WebDriverException
    from selenium.webdriver.chrome.service import Service
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait
except ImportError:
    webdriver = None

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
WAIT = 20
WIDE, NARROW, PHONE, WALL = (1280, 860), (860, 860), (360, 780), (2560, 1440)


def get(house, path, headers=None):
    """GET from the console listener."""
    connection = http.client.HTTPSConnection("127.0.0.1", house.ports["console"], context=house.tls(), timeout=10)
    try:
        connection.request("GET", path, headers=headers or {})
        response = connection.getresponse()
        return response.status, response.headers, response.read()
    finally:
        connection.close()


@pytest.fixture(scope="module")
def page(house):
    """The first page, as text."""
    status, headers, body = get(house, "/")
    assert status == 200 and headers["Content-Type"].startswith("text/html")
    text = body.decode()
    if "/assets/" not in text:
        pytest.skip(re.search(r"built without its console: [^<]*", text).group(0))
    return text


def issue(house, openssl, name, profile="server-internal-1y", **more):
    with open(openssl.csr(name, "/CN=" + name, "DNS:" + name), encoding="ascii") as f:
        reply = house.api("POST", "/enroll", {"csr": f.read(), "profile": profile, **more})
    assert reply.status in (201, 202), reply
    return reply.json


class Browser:
    """Chromium at the console of a house."""

    def __init__(self, driver, house):
        self.driver = driver
        self.house = house
        self.url = f"https://127.0.0.1:{house.ports['console']}/"

    def wait(self, condition, what):
        """What the condition gives once it is true; `what` says what was missing, and what the page says instead."""
        try:
            return WebDriverWait(self.driver, WAIT, 0.05, ignored_exceptions=(WebDriverException,)).until(lambda _: condition())
        except TimeoutException:
            raise AssertionError(f"{what} in: {self.text()[:2000]}") from None

    def find(self, css, text=None):
        """The first visible element of this kind (whose text begins with `text`); waits for it."""
        def look():
            for e in self.driver.find_elements(By.CSS_SELECTOR, css):
                if e.is_displayed() and (text is None or e.text.strip().startswith(text)):
                    return e
            return None
        return self.wait(look, f"no {css} {text or ''}")

    def click(self, css, text=None):
        """What is drawn anew between the look and the click is looked for again."""
        def act():
            self.find(css, text).click()
            return True
        self.wait(act, f"{css} {text or ''} cannot be clicked")

    def field(self, label):
        e = self.find("label", label)
        return self.driver.find_element(By.ID, e.get_attribute("for"))

    def fill(self, e, text):
        """A whole text at once, as pasting brings it."""
        self.driver.execute_script("arguments[0].focus(); arguments[0].select()", e)
        self.driver.execute_script("document.execCommand('insertText', false, arguments[0])", text)

    def text(self):
        return self.driver.find_element(By.TAG_NAME, "body").text

    def says(self, text):
        self.wait(lambda: text in self.text(), f"it does not say “{text}”")

    def go(self, place):
        self.driver.execute_script("location.hash = arguments[0]", "#/" + place)
        self.settle()

    def settle(self):
        self.wait(lambda: self.driver.find_elements(By.CSS_SELECTOR, "h1, .empty") and
                  not self.driver.find_elements(By.CSS_SELECTOR, ".loading, [aria-busy=true]"), "it is still loading")

    def sign_in(self, token=None):
        self.driver.get(self.url)
        self.driver.execute_script("sessionStorage.clear(); history.replaceState(null, '', '#/')")
        self.driver.refresh()
        self.click(".signin-box .chips button", "API token")
        self.field("API token").send_keys(token or self.house.admin_token)
        self.click("button[type=submit]")

    def look(self, size, dark=False):
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride",
                                    {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": size == PHONE})
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia",
                                    {"features": [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
                                                  {"name": "prefers-reduced-motion", "value": "reduce"}]})

    def picture(self, name):
        folder = os.environ.get("TOUCHMARK_SCREENSHOTS")
        if folder:
            os.makedirs(folder, exist_ok=True)
            shot = self.driver.execute_cdp_cmd("Page.captureScreenshot", {"format": "png"})
            with open(os.path.join(folder, name + ".png"), "wb") as f:
                f.write(base64.b64decode(shot["data"]))

    def complaints(self):
        """What the browser's own console holds against the page; refused requests are the tests' own doing."""
        return [e["message"] for e in self.driver.get_log("browser") if e["level"] == "SEVERE" and "Failed to load resource" not in e["message"]]


@pytest.fixture(scope="module")
def driver(page, tmp_path_factory):
    if webdriver is None:
        pytest.skip("python3-selenium is not installed (./setup --browser)")
    chromium, chromedriver = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not chromedriver:
        pytest.skip("chromium and chromium-driver are not installed (./setup --browser)")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    # The pages are our own, on loopback; in a container there is nothing to build the browser's sandbox from.
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--ignore-certificate-errors",
                     "--no-first-run", "--disable-background-networking", "--lang=en",
                     f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    try:
        driver = webdriver.Chrome(service=Service(chromedriver), options=options)
    except WebDriverException as e:
        pytest.skip(f"chromium does not start here: {e.msg}")
    yield driver
    driver.quit()


@pytest.fixture
def browser(driver, house):
    b = Browser(driver, house)
    b.look(WIDE)
    b.complaints()
    yield b
    assert not b.complaints()


# Names for everything that can be used, one h1, no id twice.
UNNAMED = """
const named = e => (e.getAttribute('aria-label') || e.textContent.trim() || e.title || [...(e.labels || [])].map(l => l.textContent).join('')).trim();
const bad = [...document.querySelectorAll('a, button, input:not([hidden]), select, textarea, dialog')]
  .filter(e => e.tagName !== 'DIALOG' && e.checkVisibility() && !named(e)).map(e => e.outerHTML.slice(0, 120));
const ids = [...document.querySelectorAll('[id]')].map(e => e.id);
for (const id of ids) if (ids.indexOf(id) !== ids.lastIndexOf(id)) bad.push('id twice: ' + id);
if (document.querySelectorAll('h1').length > 1) bad.push('more than one h1');
return bad;
"""

# Text against what lies behind it, WCAG 2.1 1.4.3: 4.5 to 1, 3 to 1 for large text. What is disabled is exempt.
CONTRAST = """
const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
const rgba = c => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = c; canvas.fillRect(0, 0, 1, 1); return [...canvas.getImageData(0, 0, 1, 1).data]; };
const over = (a, b) => [0, 1, 2].map(i => (a[i] * a[3] + b[i] * (255 - a[3])) / 255).concat(255);
const ground = e => { const layers = []; for (; e; e = e.parentElement) { const c = rgba(getComputedStyle(e).backgroundColor); layers.push(c); if (c[3] === 255) break; }
  return layers.reverse().reduce((below, c) => over(c, below), [255, 255, 255, 255]); };
const light = c => { const [r, g, b] = c.slice(0, 3).map(v => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
const bad = new Set();
for (const e of document.querySelectorAll('body *')) {
  if (![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()) || !e.checkVisibility() || e.closest('option, :disabled, .unseen, .skip')) continue;
  const style = getComputedStyle(e), back = ground(e), fore = over(rgba(style.color), back), a = light(fore), b = light(back);
  const size = parseFloat(style.fontSize), large = size >= 24 || (size >= 18.6 && style.fontWeight >= 700);
  const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  if (ratio < (large ? 3 : 4.5)) bad.add(ratio.toFixed(2) + ' ' + e.tagName + '.' + e.className + ': ' + e.textContent.slice(0, 40));
}
return [...bad];
"""


AXE = os.path.join(ROOT, "web", "node_modules", "axe-core", "axe.min.js")
# Contrast has a test of its own above, in both colours.
AXE_RUN = """
const done = arguments[arguments.length - 1];
axe.run(document, {resultTypes: ['violations'], rules: {'color-contrast': {enabled: false}}}).then(
  r => done(r.violations.filter(v => v.impact === 'serious' || v.impact === 'critical').map(v => v.id + ': ' + v.nodes.map(n => n.html.slice(0, 120)).join(' | '))),
  e => done(['axe: ' + e]));
"""


def serious_findings(browser):
    """What axe-core holds against the page; nothing where it is not installed."""
    if not os.path.exists(AXE):
        return []
    if not browser.driver.execute_script("return typeof axe === 'object'"):
        with open(AXE, encoding="utf-8") as f:
            browser.driver.execute_script(f.read())
    return browser.driver.execute_async_script(AXE_RUN)
