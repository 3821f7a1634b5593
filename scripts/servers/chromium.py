"""Chromium without a window, and the program that drives it: this machine's own, or Debian's, unpacked.

    >>> with browser() as driver:  # doctest: +SKIP
    ...     driver.get("http://127.0.0.1:8080/dashboard")

Debian's run with the machine's own dynamic loader, which must be as new as that of Debian 12 (glibc 2.36): Chromium
starts itself again for each of its processes, and that does not work through another loader.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from scripts.servers.common import debian_packages, wheel_file

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

SUITE = "bookworm"
PACKAGES = """
    chromium-headless-shell chromium-common chromium-driver fonts-dejavu-core
    libasound2 libasyncns0 libatk1.0-0 libatspi2.0-0
    libblkid1 libbrotli1 libbsd0 libcap2 libdav1d6 libdbus-1-3 libdouble-conversion3 libdrm2 libexpat1 libffi8
    libflac12 libfontconfig1 libfreetype6 libgbm1 libgcc-s1 libgcrypt20 libglib2.0-0 libgpg-error0
    libgraphite2-3 libharfbuzz-subset0 libharfbuzz0b libjpeg62-turbo liblcms2-2 liblz4-1 liblzma5 libmd0
    libminizip1 libmount1 libmp3lame0 libmpg123-0 libnspr4 libnss3 libogg0 libopenh264-7 libopenjp2-7 libopus0
    libpcre2-8-0 libpng16-16 libpulse0 libselinux1 libsndfile1 libstdc++6 libsystemd0 libudev1 libvorbis0a
    libvorbisenc2 libwayland-server0 libx11-6 libx11-xcb1 libxau6 libxcb1 libxcomposite1 libxdamage1 libxdmcp6
    libxext6 libxfixes3 libxi6 libxkbcommon0 libxnvctrl0 libxrandr2 libxrender1 libzstd1 zlib1g
""".split()  # noqa: SIM905
"""With all libraries that they need, but for those of the dynamic loader."""
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-default-apps", "--disable-extensions",
    "--disable-dev-shm-usage", "--metrics-recording-only", "--no-default-browser-check", "--no-proxy-server",
]  # fmt: skip
_AXE = ("axe-playwright-python==0.1.8", "axe_playwright_python/axe.min.js")


class Programs(NamedTuple):
    """What it takes to drive a browser.

    Attributes:
        browser, driver: the programs.
        environment: the variables that they need.
    """

    browser: str
    driver: str
    environment: dict[str, str]


def programs() -> Programs:
    """Return the programs, fetched if need be."""
    browser = shutil.which("chromium-headless-shell") or shutil.which("chromium")
    driver = shutil.which("chromedriver")
    if browser is not None and driver is not None:
        return Programs(browser, driver, {})
    return fetched()


def fetched() -> Programs:
    """Return Debian's programs, unpacked into the cache of servers."""
    folder = debian_packages(
        "chromium", SUITE, PACKAGES, "Install chromium and chromedriver (Debian: chromium-driver)."
    )
    libraries = sorted({str(file.parent) for file in folder.rglob("*.so*")})
    fonts = folder / "fonts.conf"
    fonts.write_text(
        f"<fontconfig><dir>{folder}/usr/share/fonts</dir><cachedir>{folder}/fonts-cache</cachedir></fontconfig>\n"
    )
    return Programs(
        str(folder / "usr/lib/chromium/chromium-headless-shell"),
        str(folder / "usr/bin/chromedriver"),
        {"LD_LIBRARY_PATH": ":".join(libraries), "FONTCONFIG_FILE": str(fonts)},
    )


def axe() -> str:
    """Return the source of axe-core, which finds what keeps people with disabilities from using a page."""
    return wheel_file("axe-core", *_AXE).read_text(encoding="utf-8")


@contextlib.contextmanager
def browser(*flags: str) -> Iterator[Chrome]:
    """Start a browser with a fresh profile; end it and remove the profile afterwards.

    All requests of its pages are in ``driver.get_log("performance")``, all messages of their consoles in
    ``driver.get_log("browser")``.
    """
    from selenium.webdriver import Chrome, ChromeOptions
    from selenium.webdriver.chrome.service import Service

    found = programs()
    with tempfile.TemporaryDirectory(prefix="semantic-llm-cache-chromium-", ignore_cleanup_errors=True) as profile:
        options = ChromeOptions()
        options.binary_location = found.browser
        for flag in (*FLAGS, f"--user-data-dir={profile}", *flags):
            options.add_argument(flag)
        if Path(found.browser).name == "chromium-headless-shell":  # it opens no page of its own: the driver must
            options.set_capability("browserName", "chrome-headless-shell")
        options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
        service = Service(executable_path=found.driver, env={**os.environ, "HOME": profile, **found.environment})
        driver = Chrome(options=options, service=service)
        try:
            yield driver
        finally:
            driver.quit()
