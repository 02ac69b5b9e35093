"""Updates through everything that can happen to a scheduler and its cluster; what holds is checked by the world."""

from __future__ import annotations

from collections import Counter

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scheduler.core.update_states import Wish
from tests.scheduler.engine.test_random import WEIGHTS, play
from tests.scheduler.updates.chaos import UpdateChaos

CHOICES = sorted(
    (WEIGHTS + Counter({"do_update": 8, "do_wish_update": 4, "do_pulse_update": 3, "do_advance": 6})).elements()
)


@given(st.lists(st.tuples(st.sampled_from(CHOICES), st.integers(0, 1000)), max_size=80), st.integers(0, 5))
@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
def test_whatever_happens(script: list[tuple[str, int]], seed: int) -> None:
    play(UpdateChaos(seed), script)


FIRED = {
    "updates", "second updates", "updates of nothing", *(f"wish {wish}" for wish in Wish),
    "ended ROLLED_FORWARD", "ended ROLLED_BACK", "commits failed", "restarted", "disconnected",
}  # fmt: skip


def test_long_lives_in_which_everything_happens() -> None:
    fired: Counter[str] = Counter()
    for seed in range(8):
        world = UpdateChaos(seed)
        play(world, [(world.random.choice(CHOICES), world.random.randrange(1000)) for _ in range(400)])
        fired += world.faults.fired
    assert set(fired) >= FIRED, FIRED - set(fired)
