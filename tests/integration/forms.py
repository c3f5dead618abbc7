"""A person who sends the forms of the pages without a browser: logged in, with the secret that every form carries."""

from __future__ import annotations

import html
import re
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import httpx

from common.embedded.stack import Stack
from common.testing import add_persona, http_client


def _csrf(page: str) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', page)
    assert found, "no form on this page"
    return found[1]


class Sender:
    """Sends forms as one person; a page of the service is read first, for its secret."""

    def __init__(self, client: httpx.AsyncClient, csrf: str) -> None:
        self.client = client
        self._csrf = csrf

    async def send(self, path: str, **fields: Any) -> httpx.Response:
        """The answer to a form, not followed."""
        return await self.client.post(path, data={"csrf": self._csrf, "key": uuid4().hex, **fields})

    async def upload(self, path: str, name: str, content: bytes, **fields: Any) -> httpx.Response:
        """The answer to a form with a file, not followed."""
        data = {"csrf": self._csrf, "key": uuid4().hex, **fields}
        return await self.client.post(path, data=data, files={name: (name, content)})

    def through(self, transport: httpx.AsyncBaseTransport) -> Sender:
        """The same person before another process of the same service."""
        client = httpx.AsyncClient(transport=transport, base_url="http://test", headers={"Accept": "text/html"})
        client.cookies.update(dict(self.client.cookies))
        return Sender(client, self._csrf)


async def logged_in(stack: Stack, url: str, path: str, persona: dict[str, Any]) -> Sender:
    """Logs a persona in and opens a page of theirs, which has a form."""
    add_persona(stack, persona)
    client = http_client(base_url=url, headers={"Accept": "text/html"})
    issuer = await client.get(path, follow_redirects=True)
    for link in re.findall(r'href="(\?[^"]+)"', issuer.text):
        if f"persona={persona['sub']}" in html.unescape(link):
            address = urlsplit(str(issuer.url))._replace(query=html.unescape(link)[1:]).geturl()
            page = await client.get(address, follow_redirects=True)
            assert page.status_code == 200, page.text
            return Sender(client, _csrf(page.text))
    raise AssertionError("the issuer does not offer this persona")


def problem_on(page: httpx.Response) -> str:
    """What the page says went wrong, as text."""
    found = re.search(r'role="alert".*?</div>', page.text, re.S)
    assert found, page.text
    return html.unescape(re.sub(r"<[^>]+>", "", found[0]))


def offered_again(page: httpx.Response) -> dict[str, Any]:
    """What the page offers to send again, under a key of its own."""
    form = re.search(r'role="alert".*?(<form.*?</form>)', page.text, re.S)
    assert form, page.text
    fields: dict[str, Any] = {}
    for name, value in re.findall(r'name="([^"]+)" value="([^"]*)"', form[1]):
        fields.setdefault(name, []).append(html.unescape(value))
    return fields
