"""The forms of an owner beside its API: one status for one reason, what was typed comes back, a file is part of what is asked."""

from __future__ import annotations

import io
import re
from typing import Any
from uuid import uuid4

import pytest
from PIL import Image

from common.embedded.stack import Stack
from common.testing import Query
from tests.integration.forms import Sender, logged_in, problem_on
from tests.integration.platforms import SERVICE, Platforms, platform_body, window_body
from tests.integration.test_doors import NOBODY, Doors, Refused, refused_otherwise

SLOT = {"starts_at": "2027-01-04T08:00:00Z", "ends_at": "2027-01-04T09:00:00Z"}
DRAWN = {"jour": "2027-01-04", "debut": "09:00", "fin": "10:00"}
DESCRIBED = {"title": "Atelier", "owner_title": "Lycée", "commune": "Rouen (76)", "capacity_count": "12", "units": "A"}


def owned(api: tuple[str, str, dict[str, Any] | None], form: str, status: int, **fields: Any) -> Refused:
    """What an owner may not do with a platform; `api` and `form` end the path of one."""
    method, path, body = api
    where = (method, f"/v1/platforms/{{nobody}}{path}", body)
    return Refused(
        SERVICE, "owner", "/mes-plateaux/nouveau", where, (f"/mes-plateaux/{{nobody}}{form}", fields), status
    )


CASES = [
    owned(("DELETE", "/windows/{nobody}", None), "/plage-retrait", 404, window_id=str(NOBODY)),
    owned(("DELETE", "/windows/x", None), "/plage-retrait", 422, window_id="x"),
    owned(("DELETE", "/photos/1", None), "/photo-retrait", 404, number="1"),
    owned(("DELETE", "/photos/9", None), "/photo-retrait", 422, number="9"),
    owned(("DELETE", "/photos/x", None), "/photo-retrait", 422, number="x"),
    owned(("DELETE", "/blocks/{nobody}", None), "/semaine/liberation", 404, block_id=str(NOBODY)),
    owned(("DELETE", "/blocks/x", None), "/semaine/liberation", 422, block_id="x"),
    owned(("PUT", "/windows/{nobody}", window_body()), "/semaine/plage", 404, **DRAWN),
    owned(
        ("PUT", "/windows/{nobody}", window_body(starts_at_local="x")), "/semaine/plage", 422, **DRAWN | {"jour": "x"}
    ),
    owned(
        ("PUT", "/windows/{nobody}", window_body(length_minutes=5)), "/semaine/plage", 422, **DRAWN | {"fin": "09:05"}
    ),
    owned(
        ("PUT", "/windows/{nobody}", window_body(rrule="FREQ=DAILY;UNTIL=x")),
        "/semaine/plage",
        422,
        **DRAWN,
        repetition="WEEKLY",
        jusqu_au="x",
    ),
    owned(("PUT", "/blocks/{nobody}", SLOT), "/semaine/plage", 404, **DRAWN, quoi="garder"),
    owned(
        ("PUT", "/blocks/{nobody}", SLOT | {"unit_number": 0}), "/semaine/plage", 422, **DRAWN, quoi="garder", place="0"
    ),
    owned(
        ("PUT", "/blocks/{nobody}", SLOT | {"note": "x" * 121}),
        "/semaine/plage",
        422,
        **DRAWN,
        quoi="garder",
        note="x" * 121,
    ),
    owned(
        ("PUT", "", platform_body(approval="UNKNOWN")), "", 422, **DESCRIBED, equipment="usinage", approval="UNKNOWN"
    ),
    owned(("PUT", "", platform_body(equipment_codes=["magie"])), "", 422, **DESCRIBED, equipment="magie"),
    owned(
        ("PUT", "", platform_body(access={"notice_hours": -1})),
        "",
        422,
        **DESCRIBED,
        equipment="usinage",
        access_notice_hours="-1",
    ),
    owned(("PUT", "/calendar", None), "/calendrier", 422),
    owned(("PUT", "/photos/1", None), "/photo", 422),
]


@pytest.fixture
def picture() -> bytes:
    """A photo."""
    return painted("teal")


def painted(colour: str) -> bytes:
    """A photo of one colour."""
    made = io.BytesIO()
    Image.new("RGB", (64, 48), colour).save(made, "PNG")
    return made.getvalue()


async def owner_of(platforms: Platforms, code: str) -> Sender:
    """An owner at its forms."""
    sub = f"doors-{uuid4().hex[:8]}"
    who = {"label": sub, "sub": sub, "roles": ["owner"], "email": f"{sub}@example.org", "name": "Atelier"}
    return await logged_in(platforms.stack, platforms.url, "/mes-plateaux/nouveau", {**who, "structure_id": code})


async def test_both_doors_refuse_with_one_status(stack: Stack) -> None:
    """Every form of an owner's platform and week has the status of its JSON route."""
    assert not await refused_otherwise(stack, CASES)


async def test_an_action_that_does_not_exist_is_not_there(stack: Stack) -> None:
    """404 as for any other address."""
    _, form = await Doors().of(stack, CASES[0])
    for path in ("chocolat", "semaine/chocolat"):
        assert (await form.send(f"/mes-plateaux/{NOBODY}/{path}")).status_code == 404, path


async def test_what_is_anothers_is_refused_alike(platforms: Platforms, picture: bytes) -> None:
    """403 at both doors with the same words, though the page of another's platform is not there."""
    _, other = await platforms.owner()
    platform_id = await platforms.platform(other)
    code, api = await platforms.owner()
    form = await owner_of(platforms, code)
    refused = await api.delete(f"/v1/platforms/{platform_id}/windows/{NOBODY}")
    assert refused.status_code == 403
    for path, fields in (
        ("", {**DESCRIBED, "equipment": "usinage"}),
        ("/plage-retrait", {"window_id": str(NOBODY)}),
        ("/photo-retrait", {"number": "1"}),
        ("/semaine/plage", DRAWN),
        ("/semaine/plage", {**DRAWN, "quoi": "garder"}),
        ("/semaine/liberation", {"block_id": str(NOBODY)}),
    ):
        answer = await form.send(f"/mes-plateaux/{platform_id}{path}", **fields)
        assert answer.status_code == 403 and refused.json()["detail"] in problem_on(answer), path
    for path, name, content in (
        ("photo", "photo", picture),
        ("calendrier", "calendar", b"BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n"),
    ):
        answer = await form.upload(f"/mes-plateaux/{platform_id}/{path}", name, content)
        assert answer.status_code in (403, 422), path
    assert (await form.upload(f"/mes-plateaux/{platform_id}/photo", "photo", picture)).status_code == 403


async def test_what_an_owner_typed_comes_back(platforms: Platforms) -> None:
    """A refused description keeps its boxes, a refused time its place; another form's refusal leaves the description alone."""
    code, api = await platforms.owner()
    platform_id = await platforms.platform(api, units=["A", "B"], accessible=True)
    form = await owner_of(platforms, code)
    path = f"/mes-plateaux/{platform_id}"

    def ticked(page: str) -> list[str]:
        return re.findall(r'type="checkbox" name="([a-z]+)" value="[^"]*" checked', page)

    assert ticked((await form.client.get(path)).text) == ["equipment", "accessible"]
    typed = {**DESCRIBED, "commune": "Nulle Part", "equipment": ["soudage", "usinage"], "withdrawn": "1"}
    answer = await form.send(path, **typed)
    assert answer.status_code == 422 and 'value="Nulle Part"' in answer.text
    assert ticked(answer.text) == ["equipment", "equipment", "withdrawn"]
    answer = await form.send(f"{path}/photo", caption="Le tour")
    assert answer.status_code == 422 and "Choisissez un fichier." in problem_on(answer)
    assert 'value="Le tour"' in answer.text and ticked(answer.text) == ["equipment", "accessible"]
    answer = await form.send(f"{path}/semaine/plage", **DRAWN, quoi="garder", place="2", note="x" * 121)
    assert answer.status_code == 422 and "note" in problem_on(answer)
    assert '<option value="2" selected>' in answer.text and 'value="09:00"' in answer.text


async def test_another_file_under_the_same_key_is_not_taken_for_the_first(
    platforms: Platforms, query: Query, picture: bytes
) -> None:
    """A second click is answered again; a page from before, sent with another photo, says that it is not."""
    code, api = await platforms.owner()
    platform_id = await platforms.platform(api, opened=False)
    form = await owner_of(platforms, code)
    path, key = f"/mes-plateaux/{platform_id}/photo", uuid4().hex
    for _ in range(2):
        assert (await form.upload(path, "photo", picture, key=key, caption="Le tour")).status_code == 303
    other = await form.upload(path, "photo", painted("red"), key=key, caption="Le tour")
    assert other.status_code == 422 and "déjà été envoyé" in problem_on(other)
    assert "choisissez de nouveau le fichier" in problem_on(other) and 'value="Le tour"' in other.text
    for colour in ("red", "green", "blue"):
        assert (await form.upload(path, "photo", painted(colour), caption=colour)).status_code == 303
    fifth = await form.upload(path, "photo", painted("black"), caption="noir")
    assert fifth.status_code == 409 and "Au plus 4 photos" in problem_on(fifth)
    assert (await form.send(f"{path}-retrait", number="2")).status_code == 303
    assert (await form.upload(path, "photo", painted("black"), caption="noir")).status_code == 303
    rows = await query(SERVICE, "SELECT caption FROM photo WHERE platform_id = :id ORDER BY number", id=platform_id)
    assert [row.caption for row in rows] == ["Le tour", "noir", "green", "blue"]


async def test_a_clock_with_a_zone_is_no_failure_of_ours(platforms: Platforms, query: Query) -> None:
    """A hand-made form may give a clock a zone: the time is that of Paris."""
    code, api = await platforms.owner()
    platform_id = await platforms.platform(api, opened=False)
    form = await owner_of(platforms, code)
    path = f"/mes-plateaux/{platform_id}/semaine/plage"
    assert (await form.send(path, **DRAWN | {"debut": "09:00+05:00"})).status_code == 303
    rows = await query(SERVICE, "SELECT starts_at_local FROM offer_window WHERE platform_id = :id", id=platform_id)
    assert [row.starts_at_local.isoformat() for row in rows] == ["2027-01-04T09:00:00"]


async def test_a_fictitious_platform_stays_so(platforms: Platforms, query: Query) -> None:
    """The form does not show it, and does not forget it."""
    code, api = await platforms.owner()
    platform_id = await platforms.platform(api, opened=False, fictitious=True)
    form = await owner_of(platforms, code)
    assert (await form.send(f"/mes-plateaux/{platform_id}", **DESCRIBED, equipment="usinage")).status_code == 303
    (row,) = await query(SERVICE, "SELECT title, fictitious FROM platform WHERE platform_id = :id", id=platform_id)
    assert (row.title, row.fictitious) == ("Atelier", True)
