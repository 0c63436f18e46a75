"""No page of the site is wider than a phone.

    python docs/check_pages.py docs/_build/html

opens every page at 390 pixels in Chromium and lists those that scroll sideways, with what is too
wide. Where there is no Chromium with its driver it says so and checks nothing, unless
``SKVAE_BROWSER=required``.
"""

import functools
import http.server
import os
import shutil
import sys
import threading
from pathlib import Path

WIDTH = 390
AT_ONCE = 8
OPEN = """
const [addresses, width, done] = arguments;
document.body.replaceChildren();
const looked = addresses.map((address) => new Promise((resolve) => {
  const frame = document.createElement("iframe");
  frame.style = `width: ${width}px; height: 800px; border: 0`;
  frame.onload = () => {
    const page = frame.contentDocument;
    // The theme lets the article scroll, so that the page itself never does.
    const scrolling = [page.documentElement, ...page.querySelectorAll(".bd-article-container")];
    const wide = Math.max(...scrolling.map((element) => element.scrollWidth));
    const beyond = [...page.body.querySelectorAll("*")].filter((element) =>
      wide > width && element.getBoundingClientRect().right > width + 1);
    const said = beyond.map((element) => element.outerHTML.slice(0, 100)).slice(-3);
    resolve([address, wide, said]);
  };
  frame.src = address;
  document.body.append(frame);
}));
Promise.all(looked).then(done);
"""


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files and writes no log."""

    def log_message(self, *arguments):
        """Say nothing."""


def browser():
    """Return Chromium, or None where there is none."""
    from selenium import webdriver

    programs = [shutil.which(name) for name in ("chromium", "chromedriver")]
    if None in programs:
        return None
    options = webdriver.ChromeOptions()
    options.binary_location = programs[0]
    for flag in ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"):
        options.add_argument(flag)
    return webdriver.Chrome(options, webdriver.ChromeService(programs[1]))


def too_wide(driver, site, pages):
    """Yield the pages that are wider than a phone, how wide they are, and what is."""
    handler = functools.partial(Quiet, directory=site)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    home = f"http://127.0.0.1:{server.server_port}/"
    driver.get(home + "search.html")  # the frames are of the same origin, so that it can look
    for start in range(0, len(pages), AT_ONCE):
        addresses = [home + page for page in pages[start : start + AT_ONCE]]
        for address, width, what in driver.execute_async_script(OPEN, addresses, WIDTH):
            if width > WIDTH:
                yield address.removeprefix(home), width, what
    server.shutdown()


def main():
    """Look at all pages; end with an error where one is too wide."""
    site = Path(sys.argv[1])
    pages = sorted(path.relative_to(site).as_posix() for path in site.rglob("*.html"))
    pages = [page for page in pages if not page.startswith("_")]
    if len(pages) < 20:
        sys.exit(f"{site} holds {len(pages)} pages: build the site first.")
    driver = browser()
    if driver is None:
        needed = os.environ.get("SKVAE_BROWSER") == "required"
        print("chromium or chromedriver is not installed: no page was looked at.")
        sys.exit(1 if needed else 0)
    driver.set_script_timeout(60)
    found = list(too_wide(driver, site, pages))
    driver.quit()
    for page, width, what in found:
        print(f"{page} is {width} pixels wide:", *what, sep="\n    ")
    print(f"{len(pages)} pages, {len(found)} of them wider than {WIDTH} pixels")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
