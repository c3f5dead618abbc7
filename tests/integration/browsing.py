"""A headless Chromium for the tests of pages, and the login as a persona of the development issuer."""

from __future__ import annotations

import asyncio
import fcntl
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, BrowserContext, Page

from common.embedded.stack import Stack
from common.testing import PATIENCE_SECONDS, add_persona, http_client

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # Pages of the browser's own, which nobody sees here.
    "--disable-features=PreloadTopChromeWebUI,InitialWebUI,WebUIReloadButton,WebUIToolbar,Translate,OptimizationHints",
]
WIDTHS = (390, 1280)


def chromium() -> str:
    """A Chromium on the PATH, installed through apt when root; otherwise one line names the package.

    The one without a window of its own is taken first: it needs half the processor for the same page.
    """
    # One worker installs it, the other waits for that.
    with (Path(tempfile.gettempdir()) / "estuaire-chromium.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        found = _found()
        if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
            subprocess.run(
                "apt-get update -qq && apt-get install -y -qq chromium-headless-shell || apt-get install -y -qq chromium",
                shell=True, check=False, stdout=subprocess.DEVNULL,
            )  # fmt: skip
            found = _found()
    if found is None:
        pytest.fail("the browser tests need Chromium: apt-get install chromium", pytrace=False)
    return found


def _found() -> str | None:
    names = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
    return next(filter(None, map(shutil.which, names)), None)


# Contexts that nobody uses now: a new one takes twice the processor of a page in one that is there.
_IDLE: dict[tuple[int, bool], list[BrowserContext]] = {}


@asynccontextmanager
async def opened(browser: Browser, width: int = 1280, *, javascript: bool = True) -> AsyncIterator[Page]:
    """A page that nobody is logged in on, and none other at a time shares its cookies; what the console says fails the test."""
    idle = _IDLE.setdefault((width, javascript), [])
    context = idle.pop() if idle else await _new_context(browser, width, javascript=javascript)
    page = await context.new_page()
    said: list[str] = []
    page.on("pageerror", lambda error: said.append(str(error)))
    yield page
    # What stays on a device, such as the list at a door, goes with its context.
    if context.service_workers:
        await context.close()
    else:
        await page.close()
        await context.clear_cookies()
        idle.append(context)
    assert said == []


async def _new_context(browser: Browser, width: int, *, javascript: bool) -> BrowserContext:
    context = await browser.new_context(
        viewport={"width": width, "height": 844}, locale="fr-FR", java_script_enabled=javascript
    )
    context.set_default_timeout(PATIENCE_SECONDS * 1000)
    return context


async def log_in(page: Page, stack: Stack, url: str, path: str, persona: dict[str, Any]) -> None:
    """Opens a page as a persona. The way through the login is walked without the browser, which is given the session.

    Its service sends to the login, and the issuer sends the persona that was chosen back.
    """
    add_persona(stack, persona)
    async with http_client(follow_redirects=True, headers={"Accept": "text/html"}) as client:
        login = await client.get(url + path)
        back = await client.get(login.url.copy_add_param("persona", persona["sub"]))
        assert back.is_success, back.text
        sessions = [(one.name, str(one.value)) for one in client.cookies.jar]
    await page.context.add_cookies(
        [{"name": name, "value": value, "url": url, "httpOnly": True, "sameSite": "Lax"} for name, value in sessions]
    )
    await page.goto(url + path)


async def link_sent_to(stack: Stack, email: str, subject: str = "") -> str:
    """The path of the signed link in the newest mail that an address received; with a subject that has these words, if any."""
    found: list[str] = []
    async with http_client() as client:
        for _ in range(300):
            answer = await client.get(f"http://127.0.0.1:{stack.settings.mail_port}/api/mails")
            mails = [one for one in answer.json()["mails"] if one["to"] == email and subject in one["subject"]]
            found = [path for one in mails for path in re.findall(r"https?://[^/\s]+(/\S+/\S{60,})", one["body"])]
            if found:
                return found[-1]
            await asyncio.sleep(0.1)
    raise AssertionError(f"no mail with a link came for {email}")


# Texts for who listens, out of the box that scrolls with them: such a one widens the page as soon as its table is wide.
_ESCAPED = """
    [...document.querySelectorAll('.vh')].filter(text => {
        let box = text.offsetParent && text.parentElement
        while (box && box !== text.offsetParent && getComputedStyle(box).overflowX === 'visible') box = box.parentElement
        return box && box !== text.offsetParent
    }).map(text => text.textContent)"""


async def assert_accessible(page: Page) -> None:
    """No violation of axe-core's rules (WCAG 2.2 A and AA, best practices), and nothing that overflows sideways."""
    result = await Axe().run(page)
    assert result.violations_count == 0, result.generate_report()
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert await page.evaluate(_ESCAPED) == []
