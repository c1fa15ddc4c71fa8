"""Simulated and replayed hardware that drives a recorder through its production client: `python -m hwsim`."""

from hwsim.arm import ARM_ACTUATORS
from hwsim.flight import DEFAULT_FLIGHT, FLIGHT_ACTUATORS, SHIPPED_FLIGHTS, Flight, UnreadableFlight, load_excerpt
from hwsim.incident import DELEGATED_N, INCIDENT, REVOKED, Player, Told
from hwsim.replay import load_flight, run_replay
from hwsim.report import ArmReport, ReplayReport
from hwsim.scenario import run_arm

__all__ = [
    "ARM_ACTUATORS",
    "DEFAULT_FLIGHT",
    "DELEGATED_N",
    "FLIGHT_ACTUATORS",
    "INCIDENT",
    "REVOKED",
    "SHIPPED_FLIGHTS",
    "ArmReport",
    "Flight",
    "Player",
    "ReplayReport",
    "Told",
    "UnreadableFlight",
    "load_excerpt",
    "load_flight",
    "run_arm",
    "run_replay",
]
