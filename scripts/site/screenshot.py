"""`python -m scripts.site.screenshot`: the pictures of the dashboard in docs/pictures, light and dark.

It fills a cache with the prompts of the demo, opens the dashboard in a browser without a window, and shrinks what it
sees to a palette, so that the files are small.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import io
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scripts.servers.chromium import browser
from scripts.site.serve_demo import serving

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

FOLDER = Path(__file__).resolve().parent.parent.parent / "docs" / "pictures"
COLOURS = 128


def ready(driver: Chrome) -> bool:
    """Return whether the page has drawn its figures."""
    return bool(driver.execute_script("return document.documentElement.dataset.ready"))


def look(driver: Chrome, url: str, theme: str, width: int, height: int | None) -> bytes:
    """Return a picture (PNG) of the page at this width; a height of None takes all of it."""
    size = {"width": width, "height": height or 900, "deviceScaleFactor": 1, "mobile": width < 500}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    media = {"features": [{"name": "prefers-color-scheme", "value": theme}]}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    driver.get(url)
    end = time.monotonic() + 20
    while not ready(driver) and time.monotonic() < end:
        time.sleep(0.1)
    time.sleep(0.6)  # the first answer to what another threshold would change
    options: dict[str, Any] = {"format": "png"}
    if height is None:
        whole = driver.execute_cdp_cmd("Page.getLayoutMetrics", {})["cssContentSize"]
        options.update(captureBeyondViewport=True, clip={**whole, "scale": 1})
    return base64.b64decode(driver.execute_cdp_cmd("Page.captureScreenshot", options)["data"])


def small(picture: bytes) -> bytes:
    """Return the picture with a palette of few colours."""
    from PIL import Image

    shrunk = io.BytesIO()
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    image.quantize(COLOURS, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(
        shrunk, "PNG", optimize=True
    )
    return shrunk.getvalue()


def take(url: str, folder: Path, widths: Sequence[int], *, whole: bool) -> None:
    """Write a picture for each width and theme."""
    folder.mkdir(parents=True, exist_ok=True)
    with browser("--hide-scrollbars") as driver:
        for width in widths:
            for theme in ("light", "dark"):
                picture = look(driver, url, theme, width, None if whole else 1450)
                name = f"dashboard-{theme}" if len(widths) == 1 else f"dashboard-{theme}-{width}"
                (folder / f"{name}.png").write_bytes(small(picture))
                print(folder / f"{name}.png")


async def _run(options: argparse.Namespace) -> None:
    async with serving(empty=options.empty) as url:
        await asyncio.to_thread(take, url, options.folder, options.width or [1280], whole=options.whole)


def main() -> None:
    """Take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where to write them")
    parser.add_argument("--width", type=int, action="append", help="of the window, in pixels; may be repeated")
    parser.add_argument("--whole", action="store_true", help="all of the page, not only its top")
    parser.add_argument("--empty", action="store_true", help="of a cache that nobody has used")
    asyncio.run(_run(parser.parse_args()))


if __name__ == "__main__":
    main()
