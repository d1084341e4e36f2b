"""All resources of the assignment engine, by path."""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.http.access import Access
from router.http.agent_stream import AgentStreams
from router.http.moves import MOVES
from router.http.offers import Offers
from router.http.policies import Policies
from router.http.policy_versions import PolicyVersions
from router.http.queues import Queues
from router.http.resources import Resources
from router.http.socket import Sockets
from router.http.stats import Stats
from router.http.supervisor_stream import SupervisorStreams
from router.http.tasks import Tasks

if TYPE_CHECKING:
    from router.assembly import App
    from router.http.app import Methods


def assignment_routes(app: App, sockets: Sockets) -> dict[str, Methods]:
    """Also for a server without queues, which says what is missing."""
    access = Access(app.config, app.clock)
    tasks, offers, resources = Tasks(app, access), Offers(access), Resources(access)
    stats, policies = Stats(access), Policies(access)
    queues, versions = Queues(access), PolicyVersions(access)
    return {
        "/v1/tasks": {"GET": tasks.get_all, "POST": tasks.post},
        "/v1/tasks/{}": {"GET": tasks.get, "PATCH": tasks.patch},
        "/v1/tasks/{}/explain": {"GET": tasks.get_explain},
        "/v1/tasks/{}/events": {"GET": tasks.get_events},
        **{f"/v1/tasks/{{}}/{name}": {"POST": tasks.move(name)} for name in MOVES},
        "/v1/offers/{}/accept": {"POST": offers.post_accept},
        "/v1/offers/{}/decline": {"POST": offers.post_decline},
        "/v1/resources": {"GET": resources.get_all},
        "/v1/resources/{}": {"GET": resources.get, "PUT": resources.put},
        "/v1/resources/{}/work": {"GET": resources.get_work},
        "/v1/resources/{}/presence": {"POST": resources.post_presence},
        "/v1/resources/{}/drain": {"POST": resources.post_drain},
        "/v1/resources/{}/heartbeat": {"POST": resources.post_heartbeat},
        "/v1/resources/{}/token": {"POST": resources.post_token},
        "/v1/queues": {"GET": queues.get_all},
        "/v1/queues/{}": {"GET": queues.get},
        "/v1/queues/{}/open": {"PUT": queues.put_open},
        "/v1/skills": {"GET": queues.get_skills},
        "/v1/policies:dry-run": {"POST": policies.post_dry_run},
        "/v1/policies/assignment/versions": {"GET": versions.get_all, "POST": versions.post},
        "/v1/policies/assignment/versions/{}": {"GET": versions.get},
        "/v1/policies/assignment/versions/{}/activate": {"POST": versions.post_activate},
        "/v1/policies/assignment/rollback": {"POST": versions.post_rollback},
        "/v1/stats/queues": {"GET": stats.get_queues},
        "/v1/stats/agents": {"GET": stats.get_agents},
        "/v1/agents/{}/stream": {"GET": AgentStreams(app, access, sockets).get},
        "/v1/supervisor/stream": {"GET": SupervisorStreams(app, access, sockets).get},
    }
