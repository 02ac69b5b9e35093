"""The embedded master: every decision of a Mesos 1.11 master that a scheduler or an operator can see, without I/O.

The door to the books (`Cluster`) and to the modules that work on them. Each method is one event: it gets the time,
changes the books, lets the allocator look at what changed, and returns what is to be done. Between events call
`on_timer` at `next_wake`. A master that dies is a new `Master` with another identity and the old one's `registry`;
agents and frameworks bring back the rest.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping

import msgspec

from mesos.core.scheduler_api import Call, CallType
from mesos.local.core import (
    accepting,
    draining,
    endpoints,
    framework_validation,
    inverse_offers,
    maintenance,
    membership,
    offers,
    operating,
    operator_calls,
    operator_streams,
    protocol,
    registration,
    role_settings,
    statuses,
    subscriptions,
)
from mesos.local.core.cluster import Answer, Cluster, Due, Effects, Kind, MasterConfig
from mesos.local.core.frameworks import Framework
from mesos.local.core.registry import KnownAgent, MachineMode, Registry
from thermos.clock import Now
from thermos.errors import Bug

__all__ = ["Answer", "Effects", "Master", "MasterConfig", "Registry"]

_REALM = {"WWW-Authenticate": 'Basic realm="mesos-master-scheduler"'}


class Master:
    def __init__(self, config: MasterConfig, identity: str, now: Now, registry: Registry | None = None) -> None:
        """`identity` is unique among all masters ever; `registry` is what the last one knew."""
        self.identity = identity
        self.cluster = Cluster(config, identity, now, registry or Registry())

    @property
    def next_wake(self) -> float | None:
        """Monotonic seconds; call `on_timer` then, or earlier."""
        wanted = (self.cluster.timers.next_at, self.cluster.allocator.next_at)
        return min((at for at in wanted if at is not None), default=None)

    # --- frameworks

    def authenticate(self, authorization: str | None) -> str | Answer | None:
        """The principal of an Authorization header; None where nobody is asked who he is; an Answer refuses."""
        credentials = self.cluster.config.credentials
        if credentials is None:
            return None
        principal, secret = _basic(authorization or "")
        if principal and credentials.get(principal) == secret:
            return principal
        return Answer(status=401, headers=_REALM)

    def subscribe(self, call: Call, stream_id: str, principal: str | None, now: Now) -> Answer:
        """200: the answer is on the stream `stream_id`, which is open now. The id is unique among all streams."""
        self._begin(now)
        problem = _problem_of(call, principal)
        if problem is not None or call.subscribe is None:
            return Answer(status=400, text=problem or "", effects=self._end())
        self.cluster.counts["call SUBSCRIBE"] += 1
        subscriptions.subscribe(self.cluster, call.subscribe, stream_id, principal)
        return Answer(status=200, effects=self._end())

    def call(self, call: Call, stream_id: str | None, principal: str | None, now: Now) -> Answer:
        """Everything but SUBSCRIBE; 202 where Mesos says so, or why not."""
        self._begin(now)
        problem = _problem_of(call, principal)
        if problem is not None:
            return Answer(status=400, text=problem, effects=self._end())
        if call.type == CallType.SUBSCRIBE:
            text = "Subscribe calls should not include the 'Mesos-Stream-Id' header"
            return Answer(status=400, text=text, effects=self._end())
        framework = self.cluster.frameworks.get(call.framework_id.value if call.framework_id is not None else "")
        refusal = self._refusal(framework, stream_id, principal)
        if refusal is not None or framework is None:
            return refusal or Answer(status=400, effects=self._end())
        self.cluster.counts[f"call {call.type}"] += 1
        answer = self._dispatch(framework, call)
        return Answer(status=answer.status, text=answer.text, effects=self._end())

    def _refusal(self, framework: Framework | None, stream_id: str | None, principal: str | None) -> Answer | None:
        if framework is None:
            return Answer(status=400, text="Framework cannot be found", effects=self._end())
        named = framework.info.principal
        if principal is not None and principal != named:
            text = framework_validation.other_principal(principal, named)
            return Answer(status=400, text=text, effects=self._end())
        if framework.stream_id is None:
            return Answer(status=403, text="Framework is not subscribed", effects=self._end())
        if stream_id is None:
            text = "All non-subscribe calls should include the 'Mesos-Stream-Id' header"
            return Answer(status=400, text=text, effects=self._end())
        if stream_id != framework.stream_id:
            text = (
                f"The stream ID '{stream_id}' included in this request didn't match the stream ID "
                f"currently associated with framework ID {framework.id}"
            )
            return Answer(status=400, text=text, effects=self._end())
        return None

    def _dispatch(self, framework: Framework, call: Call) -> Answer:
        cluster = self.cluster
        if call.update_framework is not None and call.type == CallType.UPDATE_FRAMEWORK:
            return subscriptions.update(cluster, framework, call.update_framework)
        match CallType(call.type):
            case CallType.TEARDOWN:
                subscriptions.teardown(cluster, framework)
            case CallType.REVIVE:
                subscriptions.revive(cluster, framework, call.revive)
            case CallType.SUPPRESS:
                subscriptions.suppress(cluster, framework, call.suppress)
            case CallType.REQUEST:
                pass  # Mesos' allocator ignores it
            case _:
                self._dispatch_payload(framework, call)
        return Answer(status=202)

    def _dispatch_payload(self, framework: Framework, call: Call) -> None:
        """Calls whose payload is there: `problem_of_call` has seen to it."""
        cluster = self.cluster
        if (accept := call.accept) is not None and call.type == CallType.ACCEPT:
            accepting.accept(cluster, framework, accept)
        elif (decline := call.decline) is not None and call.type == CallType.DECLINE:
            offers.decline(cluster, framework, decline.offer_ids, decline.filters)
        elif (inverse := call.accept_inverse_offers) is not None and call.type == CallType.ACCEPT_INVERSE_OFFERS:
            inverse_offers.answer(cluster, framework, inverse.inverse_offer_ids, inverse.filters, "ACCEPT")
        elif (inverse := call.decline_inverse_offers) is not None and call.type == CallType.DECLINE_INVERSE_OFFERS:
            inverse_offers.answer(cluster, framework, inverse.inverse_offer_ids, inverse.filters, "DECLINE")
        elif (kill := call.kill) is not None and call.type == CallType.KILL:
            statuses.kill(cluster, framework, kill)
        elif (ack := call.acknowledge) is not None and call.type == CallType.ACKNOWLEDGE:
            statuses.acknowledge(cluster, framework, ack)
        elif (reconcile := call.reconcile) is not None and call.type == CallType.RECONCILE:
            statuses.reconcile(cluster, framework, reconcile.tasks)
        elif (shutdown := call.shutdown) is not None and call.type == CallType.SHUTDOWN:
            self._to_executor(framework, shutdown.agent_id.value, protocol.ShutdownExecutor(
                framework_id=framework.framework_id, executor_id=shutdown.executor_id))  # fmt: skip
        elif (message := call.message) is not None and call.type == CallType.MESSAGE:
            self._to_executor(framework, message.agent_id.value, protocol.MessageExecutor(
                framework_id=framework.framework_id, executor_id=message.executor_id, data=message.data))  # fmt: skip
        elif (done := call.acknowledge_operation_status) is not None:
            operating.acknowledge(cluster, framework, done)
        elif (asked := call.reconcile_operations) is not None:
            operating.reconcile(cluster, framework, asked.operations)
        else:
            raise Bug(f"a call of type {call.type} has no payload")

    def _to_executor(self, framework: Framework, agent: str, message: protocol.FromMaster) -> None:
        """Dropped where the agent is not there: messages to executors are best effort."""
        known = self.cluster.agents.get(agent)
        if known is not None and known.connected:
            self.cluster.tell(known, message)
        else:
            self.cluster.counts["messages dropped"] += 1

    def stream_closed(self, stream_id: str, now: Now) -> Effects:
        """A framework's or an operator's."""
        self._begin(now)
        operator_streams.stream_closed(self.cluster, stream_id)
        subscriptions.stream_closed(self.cluster, stream_id)
        return self._end()

    # --- operators

    def operator(self, call: object, principal: str | None, now: Now) -> Answer:
        """A decoded JSON object for `/api/v1`, everything but SUBSCRIBE. What comes back is JSON in `body`, or a text.
        `principal`, if not None, has been authenticated; what it may do is not restricted."""
        self._begin(now)
        answer = operator_calls.answer(self.cluster, call)
        return msgspec.structs.replace(answer, effects=self._end())

    def subscribe_operator(self, stream_id: str, principal: str | None, now: Now) -> Answer:
        """SUBSCRIBE of the operator API: 200, and the events are SendOperator effects for this stream. It ends with
        `stream_closed`. When there are too many, the oldest is ended."""
        self._begin(now)
        operator_streams.subscribe(self.cluster, stream_id)
        return Answer(status=200, effects=self._end())

    def endpoint(self, method: str, path: str, query: Mapping[str, str], body: bytes, now: Now) -> Answer:
        """The old endpoints: all paths but `/api/v1…`; 404 and 405 are answers like others."""
        self._begin(now)
        answer = endpoints.answer(self.cluster, endpoints.Request(method, path, query, body))
        return msgspec.structs.replace(answer, effects=self._end())

    # --- agents

    def from_agent(self, link: str, message: protocol.FromAgent, now: Now) -> Effects:
        """`link` names the connection; an agent may come over another one the next time."""
        self._begin(now)
        cluster = self.cluster
        match message:
            case protocol.StatusUpdate():
                statuses.on_status(cluster, message)
            case protocol.Pong():
                membership.pong(cluster, message)
            case protocol.RegisterAgent():
                registration.register(cluster, link, message)
            case protocol.ReregisterAgent():
                registration.reregister(cluster, link, message)
            case protocol.UnregisterAgent():
                membership.unregister(cluster, message)
            case protocol.ExecutorExited():
                statuses.on_executor_exited(cluster, message)
            case protocol.ExecutorMessage():
                statuses.on_executor_message(cluster, message)
            case protocol.OperationUpdate():
                operating.on_update(cluster, message)
        return self._end()

    def link_broken(self, link: str, now: Now) -> Effects:
        self._begin(now)
        membership.link_broken(self.cluster, link)
        return self._end()

    # --- what outlives it

    @property
    def registry(self) -> Registry:
        """For the next master; as it is now."""
        cluster = self.cluster
        agents = [
            KnownAgent(info=agent.info, deactivated=agent.deactivated, drain=agent.drain)
            for agent in cluster.agents.values()
        ]
        down = [
            machine
            for window in cluster.schedule
            for machine in window.machine_ids
            if cluster.machines.get(maintenance.machine_of(machine)) is MachineMode.DOWN
        ]
        return Registry(
            agents=(*agents, *cluster.recovered.values()),
            unreachable=tuple(cluster.unreachable.values()),
            gone=tuple(cluster.gone.values()),
            quotas=dict(cluster.allocator.quotas.by_role),
            weights=dict(cluster.allocator.role_shares.weights),
            schedule=cluster.schedule,
            down=tuple(down),
        )

    # --- time

    def on_timer(self, now: Now) -> Effects:
        self._begin(now)
        for due in self.cluster.timers.due(now.mono):
            self._due(due)
        return self._end()

    def _due(self, due: Due) -> None:
        cluster = self.cluster
        match due.kind:
            case Kind.PING:
                membership.ping_due(cluster, due.id, due.number)
            case Kind.HEARTBEAT:
                subscriptions.heartbeat(cluster, due.id, round(due.number))
            case Kind.OPERATOR_HEARTBEAT:
                operator_streams.heartbeat(cluster, due.id)
            case Kind.FAILOVER:
                subscriptions.alarm_rings(cluster, due.id, due.number)
            case Kind.OFFER:
                offers.take_back(cluster, [due.id] if due.id in cluster.offers else [], rescind=True)
            case Kind.RECOVERED:
                membership.recovery_is_over(cluster)
            case Kind.AWAY:
                membership.away_too_long(cluster, due.id, due.number)
            case Kind.INVERSE:
                inverse_offers.on_tick(cluster)
            case Kind.OPERATION:
                agent, uuid = due.id.split()
                operating.repeat(cluster, agent, bytes.fromhex(uuid), min(2 * due.number, operating.MAX_RETRY_S))

    def _begin(self, now: Now) -> None:
        self.cluster.now = now
        self.cluster.allocator.expire(now.mono)

    def _end(self) -> Effects:
        """Let the allocator look at what changed; hand out what is to be done."""
        draining.settle(self.cluster)
        if self.cluster.allocator.overdrawn:
            role_settings.enforce(self.cluster)
        if self.cluster.allocator.urgent:
            offers.make_offers(self.cluster)
        self.cluster.allocator.settle(self.cluster.now.mono)
        effects = tuple(self.cluster.effects)
        self.cluster.effects.clear()
        return effects


def _problem_of(call: Call, principal: str | None) -> str | None:
    """Of the call alone, whoever it is from."""
    malformed = framework_validation.problem_of_json(call)
    if malformed is not None:
        return malformed
    problem = framework_validation.problem_of_call(call, principal)
    return None if problem is None else f"Failed to validate scheduler::Call: {problem}"


def _basic(header: str) -> tuple[str, str]:
    """Principal and secret of a Basic Authorization header, empty where it is none."""
    kind, _, encoded = header.partition(" ")
    if kind.lower() != "basic":
        return "", ""
    try:
        text = base64.b64decode(encoded.strip(), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    principal, _, secret = text.partition(":")
    return principal, secret
