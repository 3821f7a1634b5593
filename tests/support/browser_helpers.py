"""A server of the dashboard in a thread, and what tests ask a browser."""

import asyncio
import contextlib
import json
import socket
import threading
import time
from urllib.parse import urlsplit

import uvicorn
from admin_helpers import TOKEN
from selenium.webdriver.common.by import By
from starlette.applications import Starlette

from semantic_llm_cache.server.admin import admin_routes
from semantic_llm_cache.server.dashboard import dashboard_routes

__all__ = ["Served", "click", "find", "find_all", "requests_of", "text_of", "until"]


class Served:
    """An application with the dashboard of an operator, in a thread with a loop of its own.

    Args:
        fill: a coroutine function that makes the operator and its caches, and uses them; it returns the operator.
        token: None: this machine needs none.
    """

    def __init__(self, fill, token=TOKEN):
        self._fill = fill
        self._token = token
        self._loop = asyncio.new_event_loop()
        self._server = None
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.operator = None

    def __enter__(self):
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(ready,), daemon=True)
        self._thread.start()
        assert ready.wait(30)
        until(lambda: self._server is not None and self._server.started)
        return self

    def __exit__(self, *_):
        self._server.should_exit = True
        self._thread.join(10)
        self._socket.close()

    def _run(self, ready):
        async def work():
            self.operator = await self._fill()
            routes = [*dashboard_routes(self.operator, self._token), *admin_routes(self.operator, self._token)]
            options = {"log_level": "error", "ws": "none", "lifespan": "off", "timeout_graceful_shutdown": 1}
            self._server = uvicorn.Server(uvicorn.Config(Starlette(routes=routes), **options))
            self._server.capture_signals = contextlib.nullcontext  # they are for the main thread
            ready.set()
            await self._server.serve([self._socket])
            for engine in list(self.operator.caches.engines.values()):
                await engine.close()

        with self._loop_closed():
            self._loop.run_until_complete(work())

    @contextlib.contextmanager
    def _loop_closed(self):
        try:
            yield
        finally:
            self._loop.close()

    def call(self, work):
        """Run a coroutine in the server's loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)


def until(check, seconds=30.0):
    """Wait until `check` returns something true, and return that."""
    end = time.monotonic() + seconds
    while True:
        found = check()
        if found:
            return found
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.03)


def find(driver, selector):
    """Return the element of a CSS selector, once it is there."""
    return until(lambda: next(iter(driver.find_elements(By.CSS_SELECTOR, selector)), None))


def click(driver, selector):
    """Click on the element of a CSS selector, in the middle of the window."""
    element = find(driver, selector)
    driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
    element.click()


def find_all(driver, selector):
    """Return the elements of a CSS selector."""
    return driver.find_elements(By.CSS_SELECTOR, selector)


def text_of(driver, selector):
    """Return the text of an element as it is now; "" if it is not there."""
    return driver.execute_script("return document.querySelector(arguments[0])?.innerText ?? ''", selector)


def requests_of(driver):
    """Return the URLs that pages have asked for since the last call."""
    found = []
    for line in driver.get_log("performance"):
        message = json.loads(line["message"])["message"]
        if message["method"] in ("Network.requestWillBeSent", "Network.webSocketCreated"):
            params = message["params"]
            found.append(params["request"]["url"] if "request" in params else params["url"])
    return [url for url in found if urlsplit(url).scheme not in ("data", "blob")]
