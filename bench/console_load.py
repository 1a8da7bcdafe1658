#!/usr/bin/python3
"""bench/console_load.py [ROUNDS] - how long the console takes to be there, on a browser whose processor is four times slower.

A house of its own with some certificates, Debian's Chromium with Emulation.setCPUThrottlingRate 4 and nothing in its cache. Two moments, from the
beginning of the navigation: the sign-in form, and the overview with all its panels, of somebody who is signed in; each when it stands and
the page has answered to a task of its own (requestIdleCallback). Prints every round and the median; what the page's main thread did of its own
(thread time, throttled alike: what is left of the figure where other programs have the processor), and what went over the wire as well.
Needs what ./setup --browser installs. No test: figures depend on the machine.
"""
import os
import statistics
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [os.path.join(ROOT, "tests", "system"), os.path.join(ROOT, "tests", "helpers")]
import shutil  # noqa: E402

from conftest import House, Openssl  # noqa: E402
from selenium import webdriver  # noqa: E402
from selenium.webdriver.chrome.service import Service  # noqa: E402

SLOWER = 4
CERTIFICATES = 40
# The moment at which what is looked for stands and nothing of it loads any more, then the first idle time of the page.
WATCH = """
(() => {
  const ready = () => document.querySelector('.signin-box button, .page-head h1') && !document.querySelector('.loading');
  let told = false;
  const look = () => {
    if (told || !ready()) return;
    told = true;
    const stood = performance.now();
    requestIdleCallback(() => { window.bench = {stood, idle: performance.now()}; });
  };
  new MutationObserver(look).observe(document, {childList: true, subtree: true, attributes: true});
})();
"""
TOLD = """
const seen = performance.getEntriesByType('resource').concat(performance.getEntriesByType('navigation'));
const size = e => e.encodedBodySize;
return {...window.bench, first: (performance.getEntriesByName('first-contentful-paint')[0] || {}).startTime,
        files: seen.filter(e => !e.name.includes('/api/')).reduce((n, e) => n + size(e), 0), api: seen.filter(e => e.name.includes('/api/')).length};
"""


def chromium(folder):
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--ignore-certificate-errors", "--no-first-run",
                     "--disable-background-networking", "--window-size=1280,860", f"--user-data-dir={folder}"):
        options.add_argument(argument)
    return webdriver.Chrome(service=Service(shutil.which("chromedriver")), options=options)


def load(driver, url):
    """One first load: what was told of it, milliseconds and octets."""
    driver.get("about:blank")
    driver.execute_cdp_cmd("Network.clearBrowserCache", {})
    before = worked(driver)
    driver.get(url)
    driver.set_script_timeout(60)
    driver.execute_async_script("const done = arguments[0]; (function look() { window.bench ? done() : setTimeout(look, 20); })();")
    after = worked(driver)
    # Another page may have another process, whose count begins anew.
    return {**driver.execute_script(TOLD), "thread": after - before if after >= before else after}


def worked(driver):
    """Milliseconds of its own that the main thread has worked."""
    found = driver.execute_cdp_cmd("Performance.getMetrics", {})["metrics"]
    return 1000 * next(m["value"] for m in found if m["name"] == "TaskDuration")


def measure(driver, url, rounds, what):
    told = [load(driver, url) for _ in range(rounds)]
    for key in ("first", "stood", "idle", "thread"):
        values = [t[key] for t in told]
        print(f"{what:10} {key:6} median {statistics.median(values):6.0f} ms   {' '.join(f'{v:.0f}' for v in values)}")
    print(f"{what:10} files  {told[0]['files'] / 1024:.1f} KiB compressed, {told[0]['api']} requests to the API")


def main():
    if sys.argv[1:] and not sys.argv[1].isdigit():
        sys.exit(__doc__)
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 9
    with tempfile.TemporaryDirectory() as folder:
        house = House(os.path.join(folder, "home")).start()
        driver = None
        try:
            openssl = Openssl(folder)
            for i in range(CERTIFICATES):
                with open(openssl.csr("c", "/CN=c.example.org", f"DNS:c{i}.example.org"), encoding="ascii") as f:
                    assert house.api("POST", "/enroll", {"csr": f.read(), "profile": "server-internal-1y"}).status == 201
            driver = chromium(os.path.join(folder, "chromium"))
            driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": WATCH})
            driver.execute_cdp_cmd("Network.enable", {})
            driver.execute_cdp_cmd("Performance.enable", {"timeDomain": "threadTicks"})
            url = f"https://127.0.0.1:{house.ports['console']}/"
            driver.get(url)
            driver.execute_cdp_cmd("Emulation.setCPUThrottlingRate", {"rate": SLOWER})
            measure(driver, url, rounds, "sign-in")
            driver.execute_script("sessionStorage.setItem('touchmark.session', JSON.stringify({token: arguments[0], tenant: 'default'}))", house.admin_token)
            measure(driver, url, rounds, "overview")
        finally:
            if driver:
                driver.quit()
            house.stop()


if __name__ == "__main__":
    main()
