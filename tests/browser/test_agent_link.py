"""What the agent's page does on a bad line, with sockets that say only what the test makes them say."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.browser.conftest import Server
    from tests.chromium import Page

pytestmark = [pytest.mark.integration, pytest.mark.timeout(60)]
STAGE = """(async () => {
  const sockets = [], states = [];
  let tick;
  window.WebSocket = class {
    constructor(url) { this.url = String(url); this.sent = []; this.isClosed = false; sockets.push(this); }
    send(text) { this.sent.push(JSON.parse(text)); }
    close() { this.isClosed = true; }
    say(message) { this.onmessage({ data: JSON.stringify(message) }); }
    welcome() { this.say({ type: "hello", heartbeat_s: 5, lease_s: 15, grace_s: 30 }); }
  };
  window.Worker = class { postMessage() {} terminate() {} set onmessage(hear) { tick = hear; } };
  const { AgentLink } = await import("/pages/agent-link.js");
  const agent = { id: "ana b", session: "s-1", token: "" };
  const link = new AgentLink(agent, { onpush() {}, onstate: (state) => states.push(state.is) });
  %s
})()"""


@pytest.fixture
def stage(open_page: Callable[..., Page], server: Server) -> Callable[[str], Any]:
    """Runs a script on a page with a link, fake sockets, and a pulse that beats by `tick()`."""
    page = open_page(server.url("/agent"))
    return lambda script: page.js(STAGE % script)


def test_a_server_that_is_silent_is_left(stage: Callable[[str], Any]) -> None:
    states, answered, closed = stage("""
      sockets[0].welcome();
      const first = link.keepAlive();
      sockets[0].say({ type: "reply", ref: sockets[0].sent[0].ref, status: 200, body: {} });
      await first;
      tick();
      sockets[0].say({ type: "reply", ref: sockets[0].sent[1].ref, status: 200, body: {} });
      tick();
      const answered = states.at(-1);
      tick();
      return [states, answered, sockets[0].isClosed];
    """)
    assert answered == "open"
    assert states == ["connecting", "open", "waiting"]
    assert closed


def test_a_request_is_sent_again_with_its_key_until_it_is_answered(stage: Callable[[str], Any]) -> None:
    urls, requests, left, body = stage("""
      sockets[0].welcome();
      const asked = link.ask("accept", { offer_id: "t-1" });
      sockets[0].onclose({ code: 1012, reason: "" });
      dispatchEvent(new Event("online"));
      sockets[1].welcome();
      const again = sockets[1].sent[0];
      sockets[1].say({ type: "reply", ref: again.ref, status: 200, body: { is: "done" } });
      const body = await asked;
      sockets[1].onclose({ code: 1006, reason: "" });
      dispatchEvent(new Event("online"));
      sockets[2].welcome();
      return [sockets.map(({ url }) => url), [sockets[0].sent[0], again], sockets[2].sent, body];
    """)
    assert [url.partition("/v1/")[2] for url in urls] == ["agents/ana%20b/stream?session=s-1"] * 3
    assert requests[0] == requests[1]
    assert requests[0]["key"]
    assert (left, body) == ([], {"is": "done"})


@pytest.mark.parametrize("code", [4001, 1008])
def test_where_coming_back_is_of_no_use_it_stays_away(stage: Callable[[str], Any], code: int) -> None:
    states, error, sockets = stage(f"""
      sockets[0].welcome();
      const asked = link.ask("work").catch((error) => error.message);
      sockets[0].onclose({json.dumps({"code": code, "reason": "no"})});
      dispatchEvent(new Event("online"));
      return [states, await asked, sockets.length];
    """)
    assert states == ["connecting", "open", "ended"]
    assert error == "The connection has ended."
    assert sockets == 1
