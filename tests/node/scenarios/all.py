"""Every scenario, in the order of the table."""

from __future__ import annotations

from tests.node.scenarios import attacks, clocks, histories, losses, networks
from tests.node.scenarios.world import IMPATIENT_S, Scenario

PLATFORMS = (2, 8, 32)
SCENARIOS = [
    Scenario(networks.rough, timeout_s=IMPATIENT_S),
    Scenario(networks.parted, timeout_s=IMPATIENT_S),
    Scenario(networks.flapping, timeout_s=IMPATIENT_S),
    Scenario(clocks.day_off, clocks.own_clock),
    Scenario(clocks.untrusted, clocks.own_clock, timeout_s=IMPATIENT_S),
    Scenario(histories.two_histories, histories.compare_often, dishonest=1, timeout_s=IMPATIENT_S),
    Scenario(attacks.forged),
    Scenario(attacks.oversized),
    Scenario(attacks.besieged),
    Scenario(attacks.noisy),
    Scenario(
        losses.wiped
    ),  # the last two: whose lineage begins anew is told of in what its platform holds from then on
    Scenario(losses.restored),
]
