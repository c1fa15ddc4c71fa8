"""Fleet lists: signed by a root, a version that only grows, one key for each use."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh.fleetlist import FleetList, make_fleet_list, newer, open_fleet_list
from recorder.core.cosignature import cosigner_key
from recorder.core.errors import FormatError, Misuse
from recorder.core.note import ED25519, Note, VerifierKey, sign_text
from tests.mesh.fleet import FLEET, FOREIGN, NAMES, ORIGIN, ROOT, ROOT_KEY, WITNESSES, listed, policy, signer


def key(name: str, label: str) -> VerifierKey:
    return VerifierKey.derive(name, ED25519, signer(label).public_key)


def signed(text: str) -> bytes:
    return Note(text, (sign_text(text, ROOT_KEY.name, ROOT),)).encode()


def test_what_a_list_says() -> None:
    """Logs, witnesses, groups, quorum, mesh keys with their places, and foreign logs are read."""
    assert (FLEET.fleet, FLEET.version) == ("acme", 3)
    assert FLEET.trust.witnesses == WITNESSES
    assert FLEET.trust.urls["port-1"] == "http://port-1.example:7171/"
    assert FLEET.trust.quorum == "all"
    assert FLEET.platforms[NAMES[0]] == (key(NAMES[0], "mesh acme/arm-7"), "http://acme/arm-7.example:7171/")
    assert FLEET.platforms[NAMES[2]].url is None


def test_whose_key_an_origin_has() -> None:
    """Any incarnation of a platform has its identity key, a foreign log is its origin alone, all else has nobody."""
    assert FLEET.log_of(ORIGIN) == (key(ORIGIN, "identity acme/arm-7"), "acme/arm-7")
    assert FLEET.log_of(FOREIGN) == (key(FOREIGN, "foreign"), FOREIGN)
    for stranger in ("acme/arm-7", "acme/arm-9/0123456789abcdef", "acme/arm-7/0123456789ABCDEF", "acme/arm-7/1",
                     FOREIGN + "/0123456789abcdef", "example.com", ""):  # fmt: skip
        assert FLEET.log_of(stranger) is None
    assert FLEET.mesh_key_of(ORIGIN) == FLEET.platforms[NAMES[0]]
    assert FLEET.mesh_key_of("acme/arm-9/0123456789abcdef") is None


def test_only_a_root_can_sign_it() -> None:
    """A list under another key, or with a byte changed, is refused."""
    by = signer("thief")
    with pytest.raises(FormatError, match="fleet_list_signature"):
        open_fleet_list(make_fleet_list("acme", 3, policy(), ROOT_KEY.name, by), [ROOT_KEY])
    with pytest.raises(FormatError, match="fleet_list_signature"):
        open_fleet_list(FLEET.note.replace(b"\n3\n", b"\n4\n"), [ROOT_KEY])
    with pytest.raises(FormatError, match="fleet_list_signature"):
        open_fleet_list(FLEET.note, [])


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("lineage/fleet/2\nacme\n3\n\nquorum none\n", "begin with"),
        ("lineage/fleet/1\nacme\n3\nquorum none\n", "begin with"),
        ("lineage/fleet/1\nacme\n", "begin with"),
        ("lineage/fleet/1\nac/me\n3\n\nquorum none\n", "no name of a fleet"),
        ("lineage/fleet/1\n\n3\n\nquorum none\n", "no name of a fleet"),
        ("lineage/fleet/1\nacme\n03\n\nquorum none\n", "no decimal"),
        ("lineage/fleet/1\nacme\n3\n\n", "no quorum line"),
        ("lineage/fleet/1\nacme\n3\n\n# here\nwhat\nquorum none\n", "line 6: 'what'"),
        (f"lineage/fleet/1\nacme\n3\n\nquorum none\nroot {ROOT_KEY}\n", "names root acme-authority"),
    ],
)
def test_lists_refused_for_their_form(text: str, detail: str) -> None:
    """Another beginning, another policy syntax, or a root of its own is refused, by the line of the note."""
    with pytest.raises(FormatError, match=f"fleet_list_malformed.*{detail}"):
        open_fleet_list(signed(text), [ROOT_KEY])


@pytest.mark.parametrize(
    ("more", "detail"),
    [
        ("mesh\n", "not written as mesh"),
        (f"mesh {key(NAMES[0], 'x')} http://a/ b\n", "not written as mesh"),
        (f"foreign {key('a.example', 'x')} http://a/\n", "not written as foreign"),
        (f"mesh {key(NAMES[0], 'x')}\n", "two mesh keys"),
        (f"mesh {key('acme/arm-9', 'x')}\n", "no log line"),
        (f"mesh {key('arm-9', 'x')}\n", "not named FLEET/PLATFORM"),
        (f"mesh {cosigner_key('acme/arm-9', signer('x').public_key)}\n", "of type 0x04"),
        (f"mesh {key(NAMES[0], 'x')}x\n", "base64"),
        (f"foreign {key('a.example', 'mesh acme/arm-7')}\n", "stands twice"),
        (f"foreign {key('a.example', 'identity acme/arm-8')}\n", "second use"),
        (f"foreign {key('a.example', 'witness port-1')}\n", "second use"),
        (f"foreign {key(FOREIGN, 'x')}\n", "stands twice"),
        (f"foreign {key(ORIGIN, 'x')}\n", "name of a platform"),
        (f"foreign {key(NAMES[1], 'x')}\n", "name of a platform"),
    ],
)
def test_our_lines_refused(more: str, detail: str) -> None:
    """A mesh key of nobody's, a key with two uses, two keys with one use: refused."""
    with pytest.raises(FormatError, match=f"fleet_list_malformed.*{detail}"):
        listed(policy() + more)


def test_versions_only_grow() -> None:
    """A newer list replaces; the same changes nothing; older, other, or another fleet's is refused."""
    assert newer(None, FLEET)
    assert newer(FLEET, listed(version=4))
    assert not newer(FLEET, listed())
    other_fleet = open_fleet_list(make_fleet_list("other", 9, policy(), ROOT_KEY.name, ROOT), [ROOT_KEY])
    for refused, detail in (
        (listed(version=2), "version 2, but 3 is in force"),
        (listed(policy() + "# more\n"), "another list of version 3"),
        (other_fleet, "of fleet other"),
    ):
        with pytest.raises(FormatError, match=f"fleet_list_version: .*{detail}"):
            newer(FLEET, refused)


def test_another_signature_is_no_other_list() -> None:
    """What one root signed and another one signs too is the same list."""
    second = key("second", "second root")
    both = (
        FLEET.note
        + str(
            sign_text(FLEET.note[: FLEET.note.rindex(b"\n\n") + 1].decode(), "second", signer("second root"))
        ).encode()
        + b"\n"
    )
    assert not newer(FLEET, open_fleet_list(both, [ROOT_KEY, second]))


@settings(max_examples=40)
@given(st.text(max_size=60), st.integers(0, len(policy())))
def test_any_text(new: str, at: int) -> None:
    """Whatever stands in a signed list, it is read or refused under its own names."""
    text = policy()
    try:
        made: FleetList = listed(text[:at] + new + text[at:])
    except FormatError as error:
        assert error.error == "fleet_list_malformed"
    except Misuse:
        pass  # no note can hold it
    else:
        assert made.version == 3


@given(st.binary(max_size=120))
def test_any_bytes(data: bytes) -> None:
    """Bytes that are no list are refused under its own names."""
    with pytest.raises(FormatError, match=r"^fleet_list_"):
        open_fleet_list(data, [ROOT_KEY])


def test_size_is_bounded() -> None:
    """A list is not read beyond what a fleet needs."""
    with pytest.raises(FormatError, match="at most"):
        open_fleet_list(bytes(262_145), [ROOT_KEY])
