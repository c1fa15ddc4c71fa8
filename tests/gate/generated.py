"""Random policies and situations for two engines: conditions of the right types that reach every operator, and edges.

Left out is what the second engine is known to do otherwise than CEL says (`test_engines.KNOWN`), but for NaN, which
arithmetic brings about by itself.
"""

from __future__ import annotations

from random import Random
from typing import Any

from recorder.core.policy import Clause, Effect, Input, InputType, Policy
from recorder.core.policy_replay import Given, Situation
from recorder.core.policy_terms import FACTS
from tests.policies import small

TYPES: dict[str, InputType] = {"i_b": "bool", "i_i": "int", "i_d": "double", "i_s": "string", "i_l": "list<double>"}
OPTIONAL: dict[str, InputType] = {"o_d": "double", "o_i": "int"}
INTS = [0, 1, -1, 2, 3, 7, 2**31, 2**53 + 1, 2**63 - 1, -(2**63)]
DOUBLES = [0.0, -0.0, 1.0, -1.0, 0.5, 1e308, -1e308, 5e-324, 0.1, 3.0]
EFFECTS: list[Effect] = ["permit", "permit", "forbid", "deviate"]
TEXTS = ["", "a", "arm", "arm.joint1", "é€", "𝄞", "A", "a b", "'", "0"]
EDGES: dict[str, list[Any]] = {"bool": [True, False], "int": INTS, "double": DOUBLES, "string": TEXTS}
FACT_NAMES = {
    name: fact.type for name, fact in FACTS.items() if fact.absent and name.startswith(("what.", "where.", "grant."))
}


def policy(random: Random) -> Policy:
    """One to six clauses over inputs of every type."""
    inputs = {name: Input(kind, "", True, None, False) for name, kind in TYPES.items()}
    inputs |= {name: Input(kind, "", False, None, False) for name, kind in OPTIONAL.items()}
    clauses = []
    for number in range(random.randint(1, 6)):
        effect: Effect = random.choice(EFFECTS)
        to = "slower" if effect == "deviate" else None
        clauses.append(Clause(f"c{number}", effect, "any", boolean(random, 3), "reason", to))
    whole = small()
    return Policy(
        whole.format, whole.name, whole.version, whole.nbf, whole.exp, None, "cel", inputs, whole.classes, clauses,
        whole.at_risk, {},
    )  # fmt: skip


def situation(random: Random) -> Situation:
    """Values at the edges of their types; optional ones are absent now and then."""
    inputs = {name: Given(value(random, kind), "", 0, signed=False) for name, kind in TYPES.items()}
    for name, kind in OPTIONAL.items():
        if random.random() < 0.6:
            inputs[name] = Given(value(random, kind), "", 0, signed=False)
    facts = {name: value(random, kind) for name, kind in FACT_NAMES.items() if random.random() < 0.7}
    return Situation("motion", inputs, facts)


def value(random: Random, kind: str) -> Any:
    if kind.startswith("list"):
        return [value(random, kind[5:-1]) for _ in range(random.randint(0, 4))]
    return random.choice(EDGES[kind])


def variable(random: Random, kind: str) -> str:
    named = [f"input.{name}" for name, of in (TYPES | OPTIONAL).items() if of == kind]
    named += [name for name, of in FACT_NAMES.items() if of == kind]
    return random.choice(named)


def boolean(random: Random, depth: int) -> str:
    """A condition; parentheses everywhere, so that precedence is not what is compared."""
    if depth == 0:
        guard = [f"given.input.{name}" for name in OPTIONAL] + [f"given.{name}" for name in FACT_NAMES]
        return random.choice(["true", "false", variable(random, "bool"), random.choice(guard)])
    kind = random.choice(["int", "double", "string"])
    forms = [
        lambda: f"({boolean(random, depth - 1)} {random.choice(['&&', '||', '==', '!='])} {boolean(random, depth - 1)})",
        lambda: f"!({boolean(random, depth - 1)})",
        lambda: f"({boolean(random, depth - 1)} ? {boolean(random, depth - 1)} : {boolean(random, depth - 1)})",
        lambda: f"({term(random, kind, depth - 1)} {random.choice(['<', '<=', '>', '>=', '==', '!='])} {term(random, kind, depth - 1)})",
        lambda: f"({term(random, kind, depth - 1)} in [{term(random, kind, depth - 1)}, {literal(random, kind)}])",
        lambda: f"({literal(random, 'double')} in {variable(random, 'list<double>')})",
        lambda: f"{variable(random, 'list<double>')}.{random.choice(['exists', 'all', 'exists_one'])}(x, (x {random.choice(['<', '>', '==', '!='])} {term(random, 'double', depth - 1)}))",
        lambda: f"{term(random, 'string', depth - 1)}.{random.choice(['startsWith', 'endsWith', 'contains'])}({term(random, 'string', depth - 1)})",
        lambda: f"(given.input.o_d && (input.o_d > {term(random, 'double', depth - 1)}))",
    ]  # fmt: skip
    return random.choice(forms)()


def term(random: Random, kind: str, depth: int) -> str:
    if depth == 0 or random.random() < 0.3:
        return variable(random, kind) if random.random() < 0.6 else literal(random, kind)
    inner = depth - 1
    if kind == "string":
        return f"({term(random, kind, inner)} + {term(random, kind, inner)})"
    if kind == "int":
        forms = [
            lambda: f"({term(random, kind, inner)} {random.choice('+-*/%')} {term(random, kind, inner)})",
            lambda: f"size({variable(random, 'list<double>')})",
            lambda: f"int({term(random, 'double', inner)})",
        ]
    else:
        forms = [
            lambda: f"({term(random, kind, inner)} {random.choice('+-*/')} {term(random, kind, inner)})",
            lambda: f"(-({term(random, kind, inner)}))",
            lambda: f"{variable(random, 'list<double>')}[{random.choice([0, 1, 2])}]",
            lambda: f"double({term(random, 'int', inner)})",
        ]
    return random.choice(forms)()


def literal(random: Random, kind: str) -> str:
    chosen = value(random, kind)
    if kind == "string":
        return "'" + str(chosen).replace("'", "\\'") + "'"
    if kind == "int":
        return f"({chosen})"
    return f"({chosen!r})"
