"""Frameworks come, fail over, change, leave; refusals in Mesos' words (seen at a real master)."""

from __future__ import annotations

import msgspec
import pytest

from mesos.core import scheduler_api as api
from mesos.core.messages import CapabilityInfo, FrameworkID, FrameworkInfo, TaskID
from mesos.local.core import protocol

from .harness import MODERN, FakeFramework, World, task


def info(**changes: object) -> FrameworkInfo:
    return msgspec.structs.replace(FrameworkInfo(user="root", name="x"), **changes)


MULTI = (CapabilityInfo(type="MULTI_ROLE"),)


def constraints(*groups: dict[str, object]) -> dict[str, object]:
    return {"role_constraints": {"a": {"groups": list(groups)}}}


def regex(pattern: str) -> dict[str, object]:
    predicate = {"text_matches": {"regex": pattern}}
    return {"attribute_constraints": [{"selector": {"attribute_name": "a"}, "predicate": predicate}]}


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (
            api.subscribe(info(roles=("a", "a"), capabilities=MULTI)),
            "'FrameworkInfo.roles' contains duplicate items: { a }",
        ),
        (
            api.subscribe(info(role="b", roles=("a",), capabilities=MULTI)),
            "'FrameworkInfo.role' must not be set when the framework is MULTI_ROLE capable",
        ),
        (
            api.subscribe(info(roles=("a",))),
            "'FrameworkInfo.roles' must not be set when the framework is not MULTI_ROLE capable",
        ),
        (
            api.subscribe(info(role="a b")),
            (
                "'FrameworkInfo.role' is not a valid role: Role component 'a b' is invalid because it contains "
                "backspace or whitespace"
            ),
        ),
        (
            api.subscribe(info(role="-a")),
            "'FrameworkInfo.role' is not a valid role: Role component '-a' is invalid because it starts with a dash",
        ),
        (
            api.subscribe(info(role="a//b")),
            "'FrameworkInfo.role' is not a valid role: Role 'a//b' cannot contain two adjacent slashes",
        ),
        (
            api.subscribe(info(role="/a")),
            "'FrameworkInfo.role' is not a valid role: Role '/a' cannot start with a slash",
        ),
        (api.subscribe(info(role="a"), ["z"]), "Suppressed role 'z' is not contained in the list of roles"),
        (api.subscribe(info(failover_timeout=1e300)), "The framework failover_timeout (1e+300) is invalid"),
        (api.subscribe(info(id=FrameworkID(value="a/b"))), "'a/b' contains invalid characters"),
        (
            api.subscribe(info(role="a"), (), constraints()),
            "'OfferConstraints::role_constraints' has an empty 'RoleConstraints::groups' for role a",
        ),
        (
            api.subscribe(info(role="a"), (), constraints({})),
            "'OfferConstraints::RoleConstraints::groups' for role acontains an empty RoleConstraints::Group",
        ),
        (
            api.subscribe(info(role="a"), (), constraints(regex("a("))),
            (
                "A role a has an invalid 'AttributeConstraint': Failed to construct regex from pattern 'a(': "
                "missing ): a("
            ),
        ),
    ],
)
def test_a_bad_description_is_an_error_event_and_the_end(call: api.Call, text: str) -> None:
    world = World()
    framework = world.subscribe(call)
    (event,) = framework.events
    assert event.error is not None and event.error.message == text
    assert framework.closed and not world.master.cluster.frameworks


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (api.Call(type=""), "Expecting 'type' to be present"),
        (api.Call(type="FOO", framework_id=FrameworkID(value="x")), "Expecting 'type' to be present"),
        (api.Call(type="KILL", kill=api.Kill(task_id=TaskID(value="x"))), "Expecting 'framework_id' to be present"),
        *[
            (api.Call(type=kind, framework_id=FrameworkID(value="x")), f"Expecting '{kind.lower()}' to be present")
            for kind in (
                "ACCEPT", "DECLINE", "KILL", "SHUTDOWN", "ACKNOWLEDGE", "RECONCILE", "MESSAGE", "REQUEST",
                "ACCEPT_INVERSE_OFFERS", "DECLINE_INVERSE_OFFERS", "ACKNOWLEDGE_OPERATION_STATUS",
                "RECONCILE_OPERATIONS", "UPDATE_FRAMEWORK",
            )
        ],
        (
            api.Call(
                type="ACKNOWLEDGE",
                framework_id=FrameworkID(value="x"),
                acknowledge=api.Acknowledge(agent_id=api.AgentID(value="a"), task_id=TaskID(value="t"), uuid=b"abc"),
            ),
            "Not a valid UUID",
        ),
        (
            msgspec.structs.replace(api.update_framework(info()), framework_id=FrameworkID(value="x")),
            "'framework_id' differs from 'update_framework.framework_info.id'",
        ),
    ],
)  # fmt: skip
def test_calls_that_are_none(call: api.Call, text: str) -> None:
    world = World()
    answer = world.master.call(call, "s", None, world.now)
    assert (answer.status, answer.text) == (400, f"Failed to validate scheduler::Call: {text}")


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (api.Call(type="SUBSCRIBE"), "Expecting 'subscribe' to be present"),
        (
            msgspec.structs.replace(api.subscribe(info()), framework_id=FrameworkID(value="a")),
            "'framework_id' differs from 'subscribe.framework_info.id'",
        ),
        (
            api.subscribe(info(principal="you")),
            "Authenticated principal 'me' does not match principal 'you' set in `FrameworkInfo`",
        ),
    ],
)
def test_subscriptions_that_are_none(call: api.Call, text: str) -> None:
    world = World()
    answer = world.master.subscribe(call, "s", "me", world.now)
    assert (answer.status, answer.text) == (400, f"Failed to validate scheduler::Call: {text}")


def group(constraint: dict[str, object]) -> dict[str, object]:
    return constraints({"attribute_constraints": [constraint]})


PATH = "offer_constraints.role_constraints[0].value.groups[0].attribute_constraints[0]"


@pytest.mark.parametrize(
    ("wanted", "text"),
    [
        (group({"predicate": {}}), f"Missing required fields: subscribe.{PATH}.selector"),
        (group({"selector": {}}), f"Missing required fields: subscribe.{PATH}.predicate"),
        ({"role_constraints": 5}, "Not expecting a JSON number for field 'role_constraints'"),
        ({"role_constraints": {"a": {"groups": [5]}}}, "Not expecting a JSON number for field"),
        (constraints({"attribute_constraints": "x"}), "Not expecting a JSON string for field 'attribute_constraints'"),
    ],
)
def test_constraints_of_any_shape(wanted: dict[str, object], text: str) -> None:
    world = World()
    answer = world.master.subscribe(api.subscribe(info(role="a"), (), wanted), "s", None, world.now)
    assert answer.status == 400 and answer.text.startswith(f"Failed to convert JSON into Call protobuf: {text}")


@pytest.mark.parametrize(
    "predicate", [{}, {"text_equals": 5}, {"text_matches": {"regex": 5}}, {"exists": None, "x": 1}]
)
@pytest.mark.parametrize("selector", [{}, {"attribute_name": 5}, {"pseudoattribute_type": "X"}])
def test_constraints_that_mean_nothing(predicate: dict[str, object], selector: dict[str, object]) -> None:
    world = World()
    world.agent(attributes="rack:a")
    wanted = group({"selector": selector, "predicate": predicate})
    framework = world.subscribe(api.subscribe(info(role="a"), (), wanted))
    assert framework.types in (["ERROR"], ["SUBSCRIBED"])


def test_who_may_call() -> None:
    world = World()
    framework = world.framework()

    def ask(stream: str | None, principal: str | None = None, name: str = framework.id) -> tuple[int, str]:
        call = msgspec.structs.replace(api.revive(), framework_id=FrameworkID(value=name))
        answer = world.master.call(call, stream, principal, world.now)
        return answer.status, answer.text

    assert ask(framework.stream) == (202, "")
    assert ask(None) == (400, "All non-subscribe calls should include the 'Mesos-Stream-Id' header")
    assert ask("abc") == (
        400,
        (
            "The stream ID 'abc' included in this request didn't match the stream ID currently associated with "
            f"framework ID {framework.id}"
        ),
    )
    assert ask(framework.stream, name="nope") == (400, "Framework cannot be found")
    framework.disconnect()
    assert ask(framework.stream) == (403, "Framework is not subscribed")


def test_credentials() -> None:
    world = World(credentials={"me": "pw"})
    assert world.master.authenticate("Basic bWU6cHc=") == "me"
    for header in (None, "", "Basic", "Basic ?", "Basic bWU6", "Bearer bWU6cHc=", "Basic bWU6cHd4"):
        refused = world.master.authenticate(header)
        assert not isinstance(refused, str) and refused is not None and refused.status == 401
    assert World().master.authenticate(None) is None


def test_another_principal_may_not_call() -> None:
    """Who names no principal has the one that he was authenticated as."""
    world = World()
    framework = world.subscribe(api.subscribe(info()), "me")
    assert world.master.cluster.frameworks[framework.id].info.principal == "me"
    call = msgspec.structs.replace(api.revive(), framework_id=FrameworkID(value=framework.id))
    answer = world.master.call(call, framework.stream, "you", world.now)
    text = "Authenticated principal 'you' does not match principal 'me' set in `FrameworkInfo`"
    assert (answer.status, answer.text) == (400, text)
    again = info(id=FrameworkID(value=framework.id))
    (event,) = world.subscribe(api.subscribe(again), "you").events
    assert event.error is not None and event.error.message == "Changing framework's principal is not allowed."
    assert world.subscribe(api.subscribe(again), "me").types == ["SUBSCRIBED"]


def test_subscribed_says_what_a_driver_needs() -> None:
    world = World(port=5051, hostname="h", heartbeat_interval_s=7.0)
    framework = world.framework()
    subscribed = framework.events[0].subscribed
    assert subscribed is not None and subscribed.heartbeat_interval_seconds == 7.0
    assert subscribed.framework_id.value == "m1-0000"
    master = subscribed.master_info
    assert master is not None and (master.id, master.port, master.pid) == ("m1", 5051, "master@127.0.0.1:5051")
    assert master.ip == 16777343 and [c.type for c in master.capabilities] == ["AGENT_UPDATE", "AGENT_DRAINING", ""]
    assert world.framework().id == "m1-0001"


def test_heartbeats_of_the_last_stream_only() -> None:
    world = World()
    framework = world.framework()
    world.advance(60)
    assert len(framework.take("HEARTBEAT")) == 5
    again = world.framework(again=framework)
    world.advance(30)
    assert len(again.take("HEARTBEAT")) == 3
    assert not framework.take("HEARTBEAT")


def running(world: World, **changes: object) -> FakeFramework:
    world.agent()
    framework = world.framework(**changes)  # type: ignore[arg-type]
    offer = framework.offer()
    framework.launch(offer, task(offer, "t1"))
    framework.updates()
    return framework


def test_failover_of_a_connected_one() -> None:
    world = World()
    framework = running(world)
    world.advance(1)
    assert framework.offers()
    second = world.framework(again=framework)
    assert second.id == framework.id
    assert framework.types == ["SUBSCRIBED", "ERROR"] and framework.closed
    assert framework.events[-1].error is not None and framework.events[-1].error.message == "Framework failed over"
    assert [event.type for event in second.events] == ["SUBSCRIBED", "HEARTBEAT", "OFFERS"]
    assert second.reconcile()[0][:2] == ("t1", "TASK_RUNNING")


def test_away_and_back_in_time() -> None:
    world = World()
    framework = running(world)
    framework.disconnect()
    assert not world.master.cluster.offers
    world.advance(59)
    again = world.framework(again=framework)
    assert again.reconcile()[0][:2] == ("t1", "TASK_RUNNING")
    world.advance(600)
    assert framework.id in world.master.cluster.frameworks


def test_failover_timeout() -> None:
    world = World()
    framework = running(world)
    agent = next(iter(world.links.values()))
    framework.disconnect()
    world.advance(61)
    assert framework.id in world.master.cluster.completed
    assert any(isinstance(m, protocol.ShutdownFramework) for m in agent.heard)
    late = world.framework(again=framework)
    assert late.types == ["ERROR"] and late.closed
    assert late.events[0].error is not None and late.events[0].error.message == "Framework has been removed"
    other = world.framework()
    assert sum(r.scalar.value for r in other.offer().resources if r.name == "cpus" and r.scalar is not None) == 4


def test_coming_and_going_piles_up_nothing() -> None:
    world = World(heartbeat_interval_s=5.0)
    framework = world.framework(failover_timeout=1e6)
    for _ in range(300):
        framework.disconnect()
        world.advance(1)
        framework = world.framework(again=framework, failover_timeout=1e6)
        world.advance(1)
    assert len(world.master.cluster.timers) < 20
    framework.disconnect()
    world.advance(999_000)
    assert framework.id in world.master.cluster.frameworks
    world.advance(1_100)
    assert framework.id in world.master.cluster.completed


def test_teardown() -> None:
    world = World()
    framework = running(world)
    framework.call(api.teardown())
    assert framework.closed
    done = world.master.cluster.completed[framework.id].completed[0]
    assert done.state == "TASK_KILLED" and done.statuses[-1].message == f"Framework {framework.id} removed"
    assert not world.master.cluster.agents["m1-S0"].used
    assert world.framework(again=framework).types == ["ERROR"]


def test_update_framework() -> None:
    world = World()
    world.agent()
    framework = world.framework("a", "b")
    (offer,) = framework.offers()
    assert offer.allocation_info is not None
    (other,) = {"a", "b"} - {offer.allocation_info.role}

    def update(expect: int, **changes: object) -> str:
        call = api.update_framework(msgspec.structs.replace(framework.info, **changes))
        return framework.call(call, expect).text

    assert update(400, user="daemon") == (
        "FrameworkInfo update is not valid: Updating 'FrameworkInfo.user' is unsupported; "
        "attempted to update from 'root' to 'daemon'"
    )
    assert update(400, checkpoint=False) == (
        "FrameworkInfo update is not valid: Updating 'FrameworkInfo.checkpoint' is unsupported; "
        "attempted to update from 'true' to 'false'"
    )
    assert update(400, principal="p") == (
        "FrameworkInfo update is not valid: Changing framework's principal is not allowed."
    )
    assert update(400, roles=("a b",)).startswith("Supplied FrameworkInfo is not valid: ")
    assert not framework.take("RESCIND")
    assert update(200, name="other", roles=(other,)) == ""
    assert framework.types == ["SUBSCRIBED", "RESCIND", "OFFERS"] or framework.types == ["SUBSCRIBED", "RESCIND"]
    world.advance(1)
    assert [o.allocation_info.role for o in framework.offers() if o.allocation_info is not None] == [other]
    assert world.master.cluster.frameworks[framework.id].info.name == "other"


def test_a_second_subscription_may_not_change_who_it_is() -> None:
    world = World()
    framework = world.framework()
    again = world.framework(again=framework, user="daemon", name="new")
    known = world.master.cluster.frameworks[again.id].info
    assert (known.user, known.name) == ("root", "new")
    assert world.framework(again=framework, principal="p").types == ["ERROR"]


def test_roles_are_a_whitelist() -> None:
    world = World(roles=("web",))
    assert world.framework("web").types == ["SUBSCRIBED"]
    assert world.framework("db").types == ["ERROR"]


def test_completed_frameworks_are_bounded() -> None:
    world = World(max_completed_frameworks=3)
    for _ in range(10):
        world.framework().call(api.teardown())
    assert len(world.master.cluster.completed) == 3 and not world.master.cluster.frameworks


@pytest.mark.parametrize("capabilities", [(), ("MULTI_ROLE",), MODERN])
def test_the_form_of_resources(capabilities: tuple[str, ...]) -> None:
    """As a real master shows them to each kind of framework."""
    world = World()
    world.agent(resources="cpus:4;mem:1024;cpus(web):1")
    offer = world.framework("web", capabilities=capabilities).offer()
    multi, refined = "MULTI_ROLE" in capabilities, "RESERVATION_REFINEMENT" in capabilities
    assert (offer.allocation_info is not None) == multi
    for item in offer.resources:
        assert (item.allocation_info is not None) == multi
    free, reserved = (r for r in offer.resources if r.name == "cpus")
    if refined:
        assert (free.role, free.reservations, reserved.role) == ("", (), "")
        assert reserved.reservations[0].role == "web"
    else:
        assert (free.role, reserved.role, reserved.reservations) == ("*", "web", ())
