"""The dashboard in a browser: what people do in it, and that it is for all people and for this machine alone."""

import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from admin_helpers import TOKEN, WORDS, ask
from browser_helpers import Served, click, find, find_all, requests_of, text_of, until
from selenium.webdriver import ActionChains, Keys
from selenium.webdriver.common.by import By

from semantic_llm_cache import SemanticCache
from semantic_llm_cache.server.operator import Operator

PROJECT = Path(__file__).resolve().parent.parent.parent.parent
if str(PROJECT) not in sys.path:
    sys.path.insert(0, str(PROJECT))

from scripts.servers import chromium  # noqa: E402

HOSTILE = '<img src=x onerror="document.title=1"><script>document.title=2</script>'
SERIOUS = ("serious", "critical")


OTHERS = {HOSTILE: [0.0, 0.0, 0.0, 1.0, 0.0], "Refused?": [0.0, 0.0, 0.0, 0.0, 1.0]}


def embed(text):
    return OTHERS.get(text) or [*WORDS.get(text, [0.0, 1.0, 0.0]), 0.0, 0.0]


async def used():
    """An operator of a cache with exact and near hits, a near miss, and a prompt that would like to be HTML."""
    operator = Operator()
    cache = SemanticCache("memory://", embedder=embed, guards=None, similarity=0.95, cache_if=lambda one: one != "no")
    operator.add(cache, "main")
    for text, answer in (
        ("What is Python?", HOSTILE), ("What is Python?", ""), ("What's Python?", ""),
        ("Explain Python", "A language."),
        ("Opening hours?", "9 to 5"), ("Opening hours?", ""), (HOSTILE, HOSTILE), (HOSTILE, ""), ("Refused?", "no"),
    ):  # fmt: skip
        await ask(cache, text, answer)
    return operator


async def crowded():
    """The same, and a tenant whose name and prompts are long and have no spaces."""
    operator = await used()
    cache = SemanticCache("memory://", embedder=embed, guards=None, similarity=0.95, namespace="tenant-" + "long" * 20)
    operator.add(cache)
    for text in ("x" * 900, "y" * 900):
        await ask(cache, text, "z" * 900)
    return operator


async def unused():
    return Operator("memory://")


@pytest.fixture(scope="module")
def driver():
    with chromium.browser() as started:
        started.set_page_load_timeout(60)
        started.set_script_timeout(60)
        yield started


@pytest.fixture
def server(driver):
    with Served(used) as started:
        yield started
        driver.get("about:blank")  # which asks it for nothing any more


@pytest.fixture(autouse=True)
def clean(driver):
    """No message of the console is an error, and no request leaves the machine, whatever a test does."""
    driver.execute_cdp_cmd("Network.clearBrowserCookies", {})
    requests_of(driver)
    yield
    asked = requests_of(driver)
    assert asked
    assert {urlsplit(url).hostname for url in asked} == {"127.0.0.1"}
    assert complaints(driver) == []


def complaints(driver):
    """Return the errors and warnings in the console since the last call."""
    return [line["message"] for line in driver.get_log("browser") if line["level"] in ("SEVERE", "WARNING")]


def look(driver, *, width=1280, theme="light"):
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    media = [{"name": "prefers-color-scheme", "value": theme}, {"name": "prefers-reduced-motion", "value": "reduce"}]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": media})


def open_dashboard(driver, server):
    """Sign in with the token in the address, as the command prints it, and wait for the figures."""
    driver.get(f"{server.url}/dashboard/login#token={TOKEN}")
    until(lambda: driver.execute_script("return document.documentElement.dataset.ready"))


def violations(driver):
    """Return what axe-core finds that is serious."""
    driver.execute_script(chromium.axe())
    run = "axe.run(document, {resultTypes: ['violations']})"
    run += ".then(arguments[0], error => arguments[0]({error: `${error}`}))"
    found = driver.execute_async_script(run)
    assert "error" not in found, found["error"]
    assert len(found["passes"]) > 10
    serious = [one for one in found["violations"] if one["impact"] in SERIOUS]
    return [(one["id"], [node["target"] for node in one["nodes"]]) for one in serious]


def test_signing_in_with_the_form(driver, server):
    look(driver)
    driver.get(f"{server.url}/dashboard")
    assert violations(driver) == []
    find(driver, "#token").send_keys("not-the-token-of-this", Keys.ENTER)
    until(lambda: "not the token" in text_of(driver, "#problem"))
    [refused] = complaints(driver)
    assert "401" in refused
    find(driver, "#token").send_keys(TOKEN, Keys.ENTER)
    until(lambda: text_of(driver, ".tile .figure"))
    assert driver.execute_script("return document.cookie") == ""
    driver.get(f"{server.url}/dashboard/login")
    until(lambda: driver.current_url == f"{server.url}/dashboard" and text_of(driver, ".tile .figure"))
    find(driver, ".leave button").click()
    until(lambda: find_all(driver, "#token"))


def test_a_hit_marked_wrong_is_gone(driver, server):
    look(driver)
    open_dashboard(driver, server)
    assert "#token" not in driver.current_url
    card = find(driver, "#near-hits .pair")
    assert [one.text for one in card.find_elements(By.CSS_SELECTOR, "mark")] == ["What's", "What is"]
    assert "What is Python?" in text_of(driver, "#top-entries")
    click(driver, "#near-hits .wrong-one")
    until(lambda: not find_all(driver, "#near-hits .pair"))
    assert "deleted" in text_of(driver, "#said")
    assert "All checked" in text_of(driver, "#near-hits")
    until(lambda: "What is Python?" not in text_of(driver, "#top-entries"))
    until(lambda: "report" in text_of(driver, "#audit"))
    [event] = server.operator.history.near_hits(10)
    assert server.operator.history.verdict(event.lookup.id) == "wrong"
    assert driver.execute_script("return document.activeElement.id") == "review-title"


def test_an_entry_is_read_and_deleted(driver, server):
    look(driver)
    open_dashboard(driver, server)
    find(driver, "#sort").send_keys("Newest")
    until(lambda: driver.execute_script("return document.querySelector('#top-entries .link').innerText") == HOSTILE)
    assert driver.execute_script("return document.activeElement.id") == "sort"
    click(driver, "#top-entries .link")
    find(driver, "#dialog .wrong-one").click()
    until(lambda: HOSTILE not in text_of(driver, "#top-entries"))
    assert "Opening hours?" in text_of(driver, "#top-entries")


def test_the_threshold_is_moved_by_keys_and_pointer_and_applied(driver, server):
    look(driver)
    open_dashboard(driver, server)
    slider = find(driver, "#slider")
    until(lambda: "0 of 1 hit " in text_of(driver, "#what-if"))
    slider.send_keys(*[Keys.ARROW_LEFT] * 21)
    until(lambda: "At 0.845 instead of 0.950" in text_of(driver, "#what-if"))
    assert "1 miss would be above" in text_of(driver, "#what-if")
    slider.send_keys(Keys.END)
    until(lambda: "1 of 1 hit would be lost" in text_of(driver, "#what-if"))
    plot = find(driver, "#similarities svg")
    half = plot.size["width"] // 2
    ActionChains(driver).move_to_element_with_offset(plot, half - 12, 0).click_and_hold().move_by_offset(
        100 - 2 * half + 12, 0
    ).release().perform()
    until(lambda: find(driver, "#threshold-number").get_attribute("value") < "0.7")
    number = find(driver, "#threshold-number")
    number.send_keys(Keys.CONTROL, "a")
    number.send_keys("0.84", Keys.TAB)
    until(lambda: "At 0.840" in text_of(driver, "#what-if"))
    click(driver, "#apply")
    assert "From 0.950 to 0.840" in text_of(driver, "#dialog")
    find(driver, "#yes").click()
    until(lambda: "is now 0.840" in text_of(driver, "#said"))
    assert server.operator.caches.engine("main").similarity == 0.84
    until(lambda: "similarity 0.84" in text_of(driver, "#audit"))


def test_a_near_miss_offers_the_threshold_that_would_make_it_a_hit(driver, server):
    look(driver)
    open_dashboard(driver, server)
    assert "Explain Python" in text_of(driver, "#near-misses")
    click(driver, "#near-misses .buttons button")
    until(lambda: "At 0.845 instead of 0.950" in text_of(driver, "#what-if"))


def test_no_text_of_a_prompt_or_an_answer_becomes_html(driver, server):
    look(driver)
    open_dashboard(driver, server)
    hostile = [one for one in find_all(driver, "#top-entries .link") if one.text == HOSTILE]
    hostile[0].click()
    until(lambda: text_of(driver, "#dialog .boxed") == HOSTILE)
    find(driver, "#dialog .strong").click()
    until(lambda: not find_all(driver, "#dialog[open]"))
    click(driver, "#near-hits summary")
    until(lambda: text_of(driver, "#near-hits .answer .prompt") == HOSTILE)
    click(driver, "#top-entries .link")
    until(lambda: find_all(driver, "#dialog[open]"))
    assert find_all(driver, "main img, dialog img, body script") == []
    assert driver.title == "semantic-llm-cache dashboard"
    refused = "try { document.body.innerHTML = 'x'; return 'taken' } catch { return 'refused' }"
    assert driver.execute_script(f"return (() => {{ {refused} }})()") == "refused"
    [blocked] = complaints(driver)
    assert "TrustedHTML" in blocked


@pytest.mark.parametrize(("width", "theme"), [(1280, "light"), (390, "dark")])
def test_it_is_usable_by_all_and_fits_the_screen(driver, width, theme):
    look(driver, width=width, theme=theme)
    with Served(crowded) as server:
        open_dashboard(driver, server)
        if theme == "light":
            driver.execute_script("for (const one of document.querySelectorAll('details')) one.open = true")
        assert violations(driver) == []
        assert driver.execute_script("return document.documentElement.scrollWidth") <= width
        assert all(0 < one.size["width"] < width for one in find_all(driver, ".plot svg"))
        driver.get("about:blank")


PAIRS = {
    ("What is Python?", "What's Python?"): (["What is"], ["What's"]),
    ("5 miles in km", "6 miles in km"): (["5"], ["6"]),
    ("a b c d", "a x y d"): (["b c"], ["x y"]),
    ("same", "same"): ([], []),
    ("", "new words"): ([], ["new words"]),
    ("pay now", "now pay please"): (["now"], ["now", "please"]),
    ("long " * 900 + "end", "short " * 900 + "end"): ([("long " * 900).strip()], [("short " * 900).strip()]),
}


def test_the_words_that_differ(driver, server):
    driver.get(f"{server.url}/dashboard/login")
    script = "const [pairs, done] = arguments; import('/dashboard/static/words.js').then("
    script += "({differences}) => done(pairs.map(one => differences(...one))))"
    for texts, found in zip(PAIRS, driver.execute_async_script(script, list(map(list, PAIRS))), strict=True):
        assert ["".join(text for text, _ in side) for side in found] == list(texts)
        assert tuple([text for text, differs in side if differs] for side in found) == PAIRS[texts]


def test_an_empty_dashboard_says_what_to_do(driver):
    look(driver, theme="dark")
    with Served(unused, token=None) as server:
        driver.get(f"{server.url}/dashboard")
        until(lambda: driver.execute_script("return document.documentElement.dataset.ready"))
        assert "operator.add" in text_of(driver, "#hint")
        assert "warm LOG" in text_of(driver, "#top-entries")
        assert [one.text for one in find_all(driver, ".sections li") if one.is_displayed()] == [
            "Figures", "Entries", "Scopes", "Health", "Log"
        ]  # fmt: skip
        assert not find(driver, ".leave").is_displayed()
        assert violations(driver) == []
        driver.get("about:blank")


def test_the_keyboard_alone_reaches_the_first_hit(driver, server):
    look(driver)
    open_dashboard(driver, server)
    page = find(driver, "body")
    page.send_keys(Keys.TAB)
    assert driver.execute_script("return document.activeElement.className") == "skip"
    driver.switch_to.active_element.send_keys(Keys.ENTER)
    for _ in range(40):
        driver.switch_to.active_element.send_keys(Keys.TAB)
        if "right-one" in driver.switch_to.active_element.get_attribute("class"):
            break
    driver.switch_to.active_element.send_keys(Keys.ENTER)
    until(lambda: not find_all(driver, "#near-hits .pair"))
    assert "Right" in text_of(driver, "#said")
