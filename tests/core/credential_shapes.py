"""Hypothesis strategies of scopes, as values of Python and as they are spelled, and of what is signed with them."""

from __future__ import annotations

from operator import itemgetter
from typing import Any, get_args

from hypothesis import strategies as st

from recorder.core.scope import Act, Area, Counts, Role, Scope, Times, to_value
from tests.core.shapes import bytes16, hashes, naive_cbor, names, reasons, texts, uints

ROLES = list(get_args(Role))
ANY = st.just("any")
DAY_NS = 86_400 * 10**9

# Few values, so that scopes and acts meet.
_words = st.sampled_from(["a", "b", "cc"])
units = st.sampled_from(["N", "m/s", "none"])
numbers = st.integers(-3, 3) | st.sampled_from([-0.5, 0.0, 0.5, 2.0**60, -1e308])
spans = st.tuples(numbers, numbers).map(lambda pair: (min(pair), max(pair)))


@st.composite
def _areas(draw: st.DrawFn) -> Area:
    x, y, z = draw(spans), draw(spans), draw(spans)
    return Area(draw(_words), (x[0], y[0], z[0]), (x[1], y[1], z[1]))


@st.composite
def _times(draw: st.DrawFn) -> Times:
    first = draw(st.integers(0, 86_399))
    return Times(first, draw(st.integers(first + 1, 86_400)), draw(st.integers(1, 127)))


def _set_of(items: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return ANY | st.frozensets(items, max_size=3)


scopes = st.builds(
    Scope,
    action_classes=_set_of(_words),
    actuators=_set_of(_words),
    limits=ANY | st.dictionaries(units, spans, max_size=3),
    areas=_set_of(_areas()),
    times=_set_of(_times()),
    counts=st.none() | st.builds(Counts, uints, uints),
    delegations=st.integers(0, 15),
    roles=st.frozensets(st.sampled_from(ROLES), max_size=3),
)
acts = st.builds(
    Act,
    _words, st.lists(_words, max_size=2), st.none() | numbers, st.none() | units, st.none() | _words,
    st.none() | st.lists(numbers, min_size=3, max_size=3), st.none() | st.integers(0, 20 * DAY_NS),
)  # fmt: skip


@st.composite
def cwts(draw: st.DrawFn) -> dict[int, Any]:
    """A credential's payload, spelled by hand."""
    role = draw(st.sampled_from(ROLES))
    scope = to_value(draw(scopes))
    begins = draw(st.integers(0, 2**64 - 2))
    value = {
        1: draw(names), 2: draw(names), 4: draw(st.integers(begins + 1, 2**64 - 1)), 5: begins, 6: draw(uints),
        7: draw(bytes16), 8: {1: {1: 1, -1: 6, -2: draw(hashes)}}, -70001: role,
        -70002: scope if role == "authority" else {**scope, "roles": []},
    }  # fmt: skip
    return {**value, -70003: draw(hashes)} if draw(st.booleans()) else value


_issuers: st.SearchStrategy[list[Any]] = st.tuples(hashes, names, scopes.map(to_value)).map(list)
_revoked: st.SearchStrategy[list[Any]] = st.tuples(hashes, uints, reasons).map(list)


def _by_key(items: st.SearchStrategy[list[Any]]) -> st.SearchStrategy[list[Any]]:
    """In the order of their first elements, each once."""
    return st.lists(items, max_size=3, unique_by=lambda item: item[0]).map(
        lambda listed: sorted(listed, key=itemgetter(0))
    )


matrices = st.fixed_dictionaries({"version": uints, "issued_utc_s": uints, "issuers": _by_key(_issuers)})
requests = st.fixed_dictionaries({"key": hashes, "name": names, "role": st.sampled_from(ROLES)})
_numbers = st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
_readings = st.booleans() | _numbers | texts | st.lists(_numbers, max_size=3)
observations = st.fixed_dictionaries(
    {
        "name": names, "value": _readings, "unit": st.none() | st.text("abc", min_size=1, max_size=64),
        "frame": st.none() | names, "at_utc_ns": uints, "at_mono_ns": st.none() | uints, "sequence": uints,
        "subject": st.none() | names, "credential": st.none() | hashes,
    }
)  # fmt: skip
grants = st.fixed_dictionaries(
    {
        "origin": names, "os_boot": bytes16, "nonce": bytes16, "credential": hashes, "action_class": names,
        "actuators": st.lists(names, min_size=1, max_size=4, unique=True).map(lambda items: sorted(items, key=naive_cbor)),
        "max_commits": st.integers(1, 2**64 - 1), "not_after_mono_ns": uints, "delegation": hashes,
        "contemplated_hash": hashes, "inputs_hash": hashes, "decision": st.just("admitted"),
    }
)  # fmt: skip
revocations = st.tuples(uints, _by_key(_revoked)).map(list)
