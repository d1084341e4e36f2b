"""The supervisor's page in a real browser, against a real server."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from router.assign.command import CreateTask, PutResource
from router.assign.entity import ChannelLimit
from tests.accessibility import check_accessible
from tests.browser.conftest import ADMIN
from tests.http_desk import LINES

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.browser.conftest import Server
    from tests.chromium import Page
    from tests.http_desk import Floor

    OpenPage = Callable[..., Page]

pytestmark = [pytest.mark.integration, pytest.mark.timeout(60)]
HOSTILE = '<img src=x onerror="window.hacked=1">\'"'
MANY = 400


def watch(open_page: OpenPage, server: Server, queue: str, **options: int | bool) -> Page:
    """The page, with one queue chosen."""
    page = open_page(server.url("/supervisor"), **options)
    page.sees("Live", "#connection")
    page.fill("#queues-tools input", f"{queue}")
    page.click("#queues .link", queue)
    page.sees(f"Waiting in {queue}")
    return page


def row(page: Page, table: str, name: str) -> str:
    return (
        f"[...document.querySelectorAll('#{table} tbody tr')]"
        f".find((each) => each.querySelector('th')?.innerText.includes('{name}'))"
    )


def test_a_waiting_task_is_explained_and_forced_to_an_agent(open_page: OpenPage, server: Server, floor: Floor) -> None:
    ana = floor.agent("ana", "away")
    page = watch(open_page, server, floor.line)
    assert page.js(f"{row(page, 'queues', floor.line)}.cells[1].innerText") == "0"
    task = floor.task(customer_id="c-17", context={"topic": HOSTILE})
    page.sees("c-17", "#waiting")
    page.until(f"{row(page, 'queues', floor.line)}.cells[1].innerText === '1'")
    page.click("#waiting .link")
    page.sees("nobody can take it now", "#task-why")
    page.sees("One who is away becomes available: 1 candidate.", "#task-why")
    page.sees(HOSTILE, "#task")
    check_accessible(page)
    page.fill("#task input[list=agent-ids]", ana)
    page.click("#task button", "Give it to the agent")
    page.sees("by a supervisor's word", "#task-why")
    assert floor.do("GET", f"/v1/tasks/{task['id']}")["resource_id"] == ana
    page.press("Escape")
    page.sees(f"Nobody waits in {floor.line}.", "#waiting-more")
    page.fill("#agents-tools input", ana)
    page.until(f"{row(page, 'agents', ana)}.cells[2].innerText.includes('1 of 3')")
    page.sees("task.assigned", "#events")
    assert page.js("document.querySelectorAll('img').length") == 0


def test_priority_transfer_and_cancel(open_page: OpenPage, server: Server, floor: Floor) -> None:
    page = watch(open_page, server, floor.line)
    path = f"/v1/tasks/{floor.task(id=f'{floor.line}-1')['id']}"
    page.click("#waiting .link")
    page.fill("#task input[type=number]", "7")
    page.click("#task button", "Set priority")
    page.sees("The priority is set.", "#notices")
    assert floor.do("GET", path)["priority"] == 7
    page.js("document.querySelector('#task select').value = 'cards'")
    page.click("#task button", "Transfer")
    page.sees("in cards", "#task")
    assert floor.do("GET", path)["queue"] == "cards"
    page.click("#task button", "Cancel the task")
    page.click("dialog.question button", "Cancel the task")
    page.until("document.querySelector('#task .actions').hidden")
    assert floor.do("GET", path)["state"] == "canceled"


def test_queues_are_closed_and_agents_drained_by_hand(open_page: OpenPage, server: Server, floor: Floor) -> None:
    ana = floor.agent("ana")
    page = watch(open_page, server, floor.line)
    switch = "document.querySelector('#queues tbody select')"
    for value, by_hand in (("closed", False), ("open", True), ("", None)):
        page.js(f"{switch}.value = '{value}', {switch}.dispatchEvent(new Event('change'))")
        page.until(f"{switch}.getAttribute('aria-disabled') === null")
        assert floor.do("GET", f"/v1/queues/{floor.line}")["is_open_by_hand"] is by_hand
    page.fill("#agents-tools input", ana)
    page.click("#agents button", "Drain")
    page.sees("draining", "#agents")
    page.click("#agents button", "Sign out")
    page.sees("offline", "#agents")
    assert floor.do("GET", f"/v1/resources/{ana}")["presence"] == "offline"


def test_thousands_of_rows_are_not_drawn(open_page: OpenPage, server: Server, floor: Floor) -> None:
    async def fill() -> None:
        desk = server.running.app.desk
        assert desk is not None
        channels = {"chat": ChannelLimit()}
        agents = [PutResource(id=f"x{number}", queues=(floor.line,), channels=channels) for number in range(MANY)]
        tasks = [CreateTask(id=f"{floor.line}-{number}", queue=floor.line, channel="chat") for number in range(MANY)]
        await asyncio.gather(*map(desk.submit, [*agents, *tasks]))

    page = watch(open_page, server, floor.line)
    server.running.run(fill())
    page.until(f"{row(page, 'queues', floor.line)}.cells[1].innerText === '{MANY}'")
    page.sees(f"And {MANY - 50} more behind them.", "#waiting-more")
    page.fill("#queues-tools input", "")
    page.until("document.querySelectorAll('#queues tbody tr').length === 60")
    page.sees(f"{LINES + 5 - 60} more: filter to see them.", "#queues-more")
    page.sees("more: filter to see them.", "#agents-more")
    assert page.js("document.querySelectorAll('*').length") < 4_000
    page.fill("#agents-tools input", f"x{MANY - 1}")
    page.until("document.querySelectorAll('#agents tbody tr').length === 1")


def test_it_goes_on_after_the_server_was_away(open_page: OpenPage, server: Server, floor: Floor) -> None:
    page = watch(open_page, server, floor.line)
    server.stop()
    page.sees("The connection is gone.", "#banner")
    server.start()
    page.sees("Live", "#connection")
    task = {"queue": floor.line, "customer_id": "c-late"}
    assert server.running.post(task, path="/v1/tasks").status == 201
    page.sees("c-late", "#waiting")


def test_with_the_admin_token(open_page: OpenPage, guarded: Server) -> None:
    page = open_page(guarded.url("/supervisor"))
    page.fill("#token", "none of them")
    page.press("Enter")
    page.sees("none of this server", "#banner")
    page.fill("#token", ADMIN)
    page.press("Enter")
    page.sees("Live", "#connection")
    assert not page.js("document.querySelector('#sign-in').checkVisibility()")
    page.click("#sign-out", "Forget the token")
    page.until("document.querySelector('#sign-in')?.checkVisibility()")


def test_it_can_be_used_without_eyes_and_on_a_small_screen(open_page: OpenPage, server: Server, floor: Floor) -> None:
    floor.agent("ana")
    floor.agent("ben", "busy")
    floor.offered()
    floor.task(customer_id="w" * 200)
    page = watch(open_page, server, floor.line, width=360)
    page.sees("offered to", "#waiting")
    for scheme in ("light", "dark"):
        page.colour(scheme)
        check_accessible(page)
    assert page.js("document.documentElement.scrollWidth") <= 360
    page.click("#waiting .link")
    page.sees("Why", "#task")
    for scheme in ("light", "dark"):
        page.colour(scheme)
        check_accessible(page)
    assert page.js("document.querySelector('#task').scrollWidth") <= 360
