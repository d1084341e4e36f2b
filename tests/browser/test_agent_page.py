"""The agent's page in a real browser, against a real server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from router.assign.command import CancelTask
from tests.accessibility import check_accessible
from tests.browser.conftest import ADMIN
from tests.http_desk import Floor

if TYPE_CHECKING:
    from collections.abc import Callable
    from itertools import count

    from router.assembly import App
    from tests.browser.conftest import Server
    from tests.chromium import Page

    OpenPage = Callable[..., Page]

pytestmark = [pytest.mark.integration, pytest.mark.timeout(60)]
HOSTILE = '<img src=x onerror="window.hacked=1">\'"><script>window.hacked=2</script>'


def sign_in(open_page: OpenPage, server: Server, agent: str, **options: int | bool) -> Page:
    page = open_page(server.url("/agent"), **options)
    page.fill("#agent-id", agent)
    page.press("Enter")
    page.sees("No offers now")
    return page


def test_a_task_from_its_offer_to_its_end_with_the_keyboard_alone(
    open_page: OpenPage, server: Server, floor: Floor
) -> None:
    ana = floor.agent("ana", "offline")
    page = sign_in(open_page, server, ana)
    task = floor.task(customer_id="c-17", context={"reason": "a card is lost", "tries": 3})
    page.sees("c-17", ".ringing")
    page.sees("a card is lost", ".ringing")
    page.until("document.title.startsWith('(1) offer')")
    assert "Alt A accepts" in page.js("document.querySelector('#spoken').textContent")
    page.press("a", alt=True)
    page.until(f"document.activeElement.id === 'task-{task['id']}'")  # where one goes on
    assert page.js("document.querySelectorAll('.ringing').length") == 0
    assert page.js("document.title") == "Takt agent"
    assert floor.do("GET", f"/v1/tasks/{task['id']}")["resource_id"] == ana
    page.click("#tasks button", "Pause")
    page.sees("paused", "#tasks")
    page.click("#tasks button", "Resume")
    page.sees("in progress", "#tasks")
    page.fill("#tasks input[list=outcomes]", "resolved")
    page.press("Tab")
    page.press("Enter")
    page.sees("Wrap-up: ", "#tasks")
    page.click("#tasks button", "Done")
    page.sees("You hold no tasks.")
    done = floor.do("GET", f"/v1/tasks/{task['id']}")
    assert (done["state"], done["outcome"]) == ("completed", "resolved")


def test_declining_says_why(open_page: OpenPage, server: Server, floor: Floor) -> None:
    page = sign_in(open_page, server, floor.agent("ana", "offline"))
    task = floor.task()
    page.sees("Decline")
    page.js("document.querySelector('.ringing select').value = 'not_my_skill'")
    page.press("d", alt=True)
    page.until("document.querySelectorAll('.ringing').length === 0")
    (offer, *_) = floor.do("GET", f"/v1/tasks/{task['id']}")["offers"]
    assert (offer["state"], offer["reason"]) == ("declined", "not_my_skill")


def test_what_nobody_answers_expires(open_page: OpenPage, server: Server, floor: Floor) -> None:
    ana = floor.agent("ana", "offline", channels={"brief": {}})
    page = sign_in(open_page, server, ana)
    task = floor.task(channel="brief")
    page.sees("0:05", ".ringing")
    page.sees("has expired", "#notices")
    assert floor.do("GET", f"/v1/tasks/{task['id']}")["offers"][0]["state"] == "expired"


def test_presence_and_handing_on(open_page: OpenPage, server: Server, floor: Floor) -> None:
    ana = floor.agent("ana", "offline")
    page = sign_in(open_page, server, ana)
    task = floor.task()
    page.click(".ringing button", "Accept")
    page.click("summary", "Hand on")
    page.until("[...document.querySelectorAll('#tasks select option')].some(({ value }) => value === 'cards')")
    page.js("document.querySelector('#tasks select').value = 'cards'")
    page.click("#tasks button", "To queue")
    page.sees("You hold no tasks.")
    assert floor.do("GET", f"/v1/tasks/{task['id']}")["queue"] == "cards"
    page.click("#presence button", "Away")
    page.sees("You are away: nothing rings.")
    assert floor.do("GET", f"/v1/resources/{ana}")["presence"] == "away"
    page.click("#sign-out")
    page.sees("Agent id")
    assert floor.do("GET", f"/v1/resources/{ana}")["presence"] == "offline"


def test_who_holds_tasks_is_asked_before_they_sign_out(open_page: OpenPage, server: Server, floor: Floor) -> None:
    ana = floor.agent("ana", "offline")
    page = sign_in(open_page, server, ana)
    task = floor.task()
    page.click(".ringing button", "Accept")
    page.sees("in progress")
    page.click("#sign-out")
    page.sees("You hold a task.", "dialog")
    page.press("Escape")
    page.until("!document.querySelector('dialog')")
    assert floor.do("GET", f"/v1/resources/{ana}")["tasks"] == [task["id"]]
    page.click("#sign-out")
    page.click("dialog button", "Sign out")
    page.sees("Agent id")
    assert floor.do("GET", f"/v1/tasks/{task['id']}")["state"] == "queued"


def test_the_server_goes_and_comes_back(open_page: OpenPage, server: Server, floor: Floor) -> None:
    ana = floor.agent("ana", "offline")
    page = sign_in(open_page, server, ana)
    kept, canceled = floor.task(customer_id="c-kept"), floor.task(customer_id="c-canceled")
    for customer in ("c-kept", "c-canceled"):
        page.sees(customer, ".ringing")
        page.click(".ringing button", "Accept")
        page.sees(customer, "#tasks")
    server.stop()
    page.sees("The connection is gone.", "#banner")
    page.sees("your 2 tasks stay yours", "#banner")

    async def cancel(app: App) -> None:
        assert app.desk is not None
        await app.desk.submit(CancelTask(task_id=canceled["id"], reason="caller"))

    server.start(cancel)
    page.sees("Connected", "#connection")
    page.until("!document.querySelector('#tasks').innerText.includes('c-canceled')")
    page.sees("c-kept", "#tasks")
    assert not page.js("document.querySelector('#banner').checkVisibility()")
    page.js("location.reload()")  # the tab knows who it is
    page.sees("c-kept", "#tasks")
    assert server.running.ask("GET", f"/v1/resources/{ana}").json()["tasks"] == [kept["id"]]


def test_whoever_was_signed_out_is_told_and_may_come_back(open_page: OpenPage, server: Server, floor: Floor) -> None:
    ana = floor.agent("ana", "offline")
    page = sign_in(open_page, server, ana)
    floor.post(f"/v1/resources/{ana}/presence", {"presence": "offline"})
    page.sees("You have been signed out", "#banner")
    page.click("#banner-act", "Sign in again")
    page.until("document.querySelector('#banner').hidden")
    page.sees("No offers now")
    assert floor.do("GET", f"/v1/resources/{ana}")["presence"] == "available"


def test_an_agent_works_in_one_window(open_page: OpenPage, server: Server, floor: Floor) -> None:
    ana = floor.agent("ana", "offline")
    first, second = sign_in(open_page, server, ana), sign_in(open_page, server, ana)
    first.sees("is signed in in another window")
    floor.task(customer_id="c-17")
    second.sees("c-17", ".ringing")
    assert first.js("document.querySelectorAll('.ringing').length") == 0
    first.click("#banner-act", "Work here instead")
    second.sees("is signed in in another window")
    first.sees("c-17", ".ringing")


def test_what_a_customer_writes_stays_text(open_page: OpenPage, server: Server, floor: Floor) -> None:
    page = sign_in(open_page, server, floor.agent("ana", "offline"))
    floor.task(customer_id=HOSTILE, context={HOSTILE[:100]: HOSTILE, "deep": {"in": [HOSTILE]}})
    page.sees(HOSTILE, ".ringing .customer")
    page.sees(HOSTILE, ".ringing .facts")
    page.click(".ringing button", "Accept")
    page.sees(HOSTILE, "#tasks")
    assert page.js("document.querySelectorAll('img, body script').length") == 0
    assert page.js("window.hacked === undefined")


def test_a_policy_stops_what_is_not_this_servers(open_page: OpenPage, server: Server) -> None:
    """And the other tests would see it."""
    page = open_page(server.url("/agent"))
    page.js("document.body.append(Object.assign(document.createElement('script'), {textContent: 'window.hacked = 1'}))")
    page.until("window.hacked === undefined")
    assert "Content Security Policy" in page.complaints.pop()


def test_with_a_token(open_page: OpenPage, guarded: Server, line_numbers: count[int]) -> None:
    floor = Floor(guarded.running, line_numbers, ADMIN)
    ana, ben = floor.agent("ana", "offline"), floor.agent("ben", "offline")
    token = floor.post(f"/v1/resources/{ana}/token")["token"]
    page = open_page(guarded.url("/agent"))
    for agent, said in ((ana, "send `Authorization: Bearer`"), (ben, "only with its own token")):
        page.fill("#agent-id", agent)
        if agent == ben:
            page.fill("#agent-token", token)
        page.press("Enter")
        page.sees(said, "#alerts")
    page.fill("#agent-id", ana)
    page.fill("#agent-token", token)
    page.press("Enter")
    page.sees("No offers now")
    floor.task()
    page.click(".ringing button", "Accept")
    page.sees("in progress", "#tasks")
    assert page.js("document.querySelector('#agent-token').value") == ""


def test_it_can_be_used_without_eyes_and_on_a_small_screen(open_page: OpenPage, server: Server, floor: Floor) -> None:
    page = sign_in(open_page, server, floor.agent("ana", "offline"), width=360, dark=True)
    floor.task(customer_id="c" * 200, context={"k" * 60: "v" * 300})
    page.sees("Accept")
    check_accessible(page)
    assert page.js("document.documentElement.scrollWidth") <= 360
    page.click(".ringing button", "Accept")
    page.sees("in progress")
    page.click("summary", "Hand on")
    check_accessible(page)
    assert page.js("document.documentElement.scrollWidth") <= 360
    assert page.js("getComputedStyle(document.body).backgroundColor") == "rgb(18, 21, 27)"
