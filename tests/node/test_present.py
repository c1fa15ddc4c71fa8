"""Who is there: what is kept of peers and of strangers, and that it stays within bounds whatever comes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mesh.digest import Digest, Held
from mesh.fleetlist import FleetList
from mesh.node.config import Discovery
from mesh.node.peering import ours_in, platform_of, present_of, urls_in
from mesh.node.present import ADDRESS_S, ADDRESSES_MAX, HELD_MAX, NAME_MAX, STRANGER_S, STRANGERS_MAX, Present
from mesh.window import Seen
from recorder.core.cosignature import cosigner_key
from tests.mesh.fleet import FLEET, ORIGIN, WITNESSES, listed, policy, signer

OURS, PEER, OTHER = "acme/cart-1", "acme/arm-7", "acme/arm-8"


def says(number: int, first: int = 9, run: int = 1, held: tuple[Held, ...] = ()) -> Digest:
    return Digest(ORIGIN, run, number, first, bytes(64), None, list(held))


def table(tried: tuple[str, ...] = ()) -> Present:
    return Present(urls_in(FLEET), tried, OURS)


def test_a_peer_is_where_the_list_says_then_where_it_was_found() -> None:
    """Of addresses found the latest first; those of the configuration belong to nobody."""
    present = table(("http://192.0.2.9:7171",))
    listed_url = FLEET.platforms[PEER].url
    assert present.urls_of(PEER) == [listed_url]
    present.found(PEER, ["http://192.0.2.1:7171/", "http://192.0.2.2:7171/"], 1, 1.0)
    present.found(PEER, ["http://192.0.2.1:7171/"], 1, 2.0)
    assert present.urls_of(PEER) == [listed_url, "http://192.0.2.1:7171/", "http://192.0.2.2:7171/"]
    assert present.urls_of("acme/nobody") == present.urls_of(OURS) == []
    assert set(present.all_urls()) >= {
        "http://192.0.2.9:7171",
        "http://192.0.2.2:7171/",
        str(FLEET.platforms[OTHER].url),
    }
    present.age(1.5 + ADDRESS_S)
    assert present.urls_of(PEER) == [listed_url, "http://192.0.2.1:7171/"]


def test_what_a_peer_announces_is_that_of_its_latest_digest() -> None:
    """One that was overtaken says what it holds, which only grows stale; sizes it says no more of."""
    present = table()
    first, second = Held(bytes(8), 5), Held(bytes.fromhex("0123456789abcdef"), 7)
    assert present.heard(PEER, says(5, first=20, held=(first,)), "192.0.2.1", 1.0, None) is Seen.NEW
    assert present.heard(PEER, says(4, first=10, held=(second,)), "192.0.2.1", 2.0, None) is Seen.NEW
    assert present.peers[PEER].size == 22
    assert present.held_size(PEER, ORIGIN) == 7
    assert present.held_size(PEER, "acme/x/0000000000000000") == 5
    assert present.held_size(PEER, "acme/x/0000000000000001") is None
    assert present.held_size(PEER, "example.com/log") is None
    assert present.held_size("acme/nobody", ORIGIN) is None


def test_what_was_seen_already_changes_nothing() -> None:
    """Neither a repeat nor an earlier run; asking for the place changes nothing either."""
    present = table()
    assert present.place(PEER, 2, 1, None) is Seen.NEW
    assert present.place(PEER, 2, 1, None) is Seen.NEW
    present.heard(PEER, says(1, run=2), "192.0.2.1", 1.0, None)
    for run, number, seen in ((2, 1, Seen.REPEATED), (1, 9, Seen.REPLAYED)):
        assert present.place(PEER, run, number, None) is seen
        assert present.heard(PEER, says(number, first=99, run=run), "192.0.2.7", 5.0, None) is seen
    peer = present.peers[PEER]
    assert (peer.size, peer.heard_s, list(peer.addresses)) == (11, 1.0, ["192.0.2.1"])


def test_strangers_are_apart_and_a_flood_drives_out_nobody() -> None:
    """The first ones stay until they are not seen for long; the others are counted."""
    present = table()
    for at in range(10_000):
        present.stranger(f"{at}" + "x" * 500, "192.0.2.1", "mdns", 1.0)
    assert len(present.strangers) == STRANGERS_MAX
    assert present.not_listed == 10_000 - STRANGERS_MAX
    assert max(len(one.name) for one in present.strangers.values()) == NAME_MAX
    assert set(present.peers) == {PEER, OTHER}
    present.stranger("0" + "x" * 500, "192.0.2.2", "mdns", STRANGER_S)
    present.age(STRANGER_S + 2)
    assert [(one.address, one.count) for one in present.strangers.values()] == [("192.0.2.2", 2)]


def test_who_forges_announcements_is_not_asked_where_the_platform_is_heard() -> None:
    """Addresses that verified digests come from are neither displaced by others, nor tried after or beside them."""
    present = table()
    (listed_url,) = present.urls_of(PEER)
    first, second = "http://192.0.2.1:7171/", "http://[fe80::1%3]:7171/"
    present.found(PEER, [first, second], 1, 1.0)
    present.heard(PEER, says(1), "192.0.2.1", 1.0, None)
    for at in range(100):
        present.found(PEER, [f"http://192.0.2.{at + 100}:7171/"], 1, 2.0 + at)
    assert present.urls_of(PEER) == [listed_url, first]
    assert len(present.peers[PEER].found) == ADDRESSES_MAX
    present.found(PEER, [second], 1, 200.0)
    present.heard(PEER, says(2), "fe80::1%3", 201.0, None)
    assert present.urls_of(PEER) == [listed_url, second, first], "where it was heard last, first"
    present.age(202.0 + ADDRESS_S)
    assert present.urls_of(PEER) == [listed_url], "nothing of that is believed for ever"


def test_what_was_told_longest_ago_makes_room() -> None:
    """Not what was told first and again since."""
    present = table()
    urls = [f"http://192.0.2.{at}:7171/" for at in range(ADDRESSES_MAX + 1)]
    for at, url in enumerate([*urls[:-1], urls[0], urls[-1]]):
        present.found(PEER, [url], 1, float(at))
    assert set(present.peers[PEER].found) == {urls[0], *urls[2:]}


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5000), st.binary(min_size=8, max_size=8)), max_size=50))
def test_what_is_kept_of_a_peer_is_bounded(digests: list[tuple[int, int, bytes]]) -> None:
    """Addresses and sizes held, however many digests of however many addresses come."""
    present = table()
    peer = present.peers[PEER]
    peer.held = {at.to_bytes(8): at for at in range(HELD_MAX)}
    for at, (run, number, incarnation) in enumerate(digests):
        present.heard(PEER, says(number, run=run, held=(Held(incarnation, at),)), f"192.0.2.{at}", float(at), None)
        present.found(PEER, [f"http://192.0.2.{at}:7171/"], 1, float(at))
        assert len(peer.held) <= HELD_MAX
        assert max(len(peer.addresses), len(peer.found)) <= ADDRESSES_MAX
    assert present.status(99.0)["present"][0]["platform"] == PEER


def test_a_witness_belongs_to_the_platform_that_it_is_named_after_or_shares_its_url_with() -> None:
    """Else to none: then its first proof begins where it answered last."""
    named = cosigner_key("arm-7.acme", signer("named").public_key)
    url = FLEET.platforms[OTHER].url
    fleet: FleetList = listed(
        policy()
        .replace(" http://arm-8.example:7171/", f" {url}")
        .replace("group acme", f"witness named {named} http://arm-7.elsewhere/\ngroup acme")
    )
    assert platform_of(WITNESSES["port-1"], fleet) is None
    assert platform_of(WITNESSES["arm-8"], fleet) == OTHER, "by its URL"
    assert platform_of(named, fleet) == PEER, "by its name"
    assert urls_in(fleet) == {PEER: [FLEET.platforms[PEER].url, "http://arm-7.elsewhere/"], OTHER: [url], OURS: []}


def test_a_platform_without_a_mesh_line_may_still_be_asked() -> None:
    """By its witness's URL; a witness of no platform is asked too, our own never."""
    lines = [line for line in policy().splitlines() if not line.startswith("mesh ")]
    named = cosigner_key("arm-7.acme", signer("named").public_key)
    at = next(at for at, line in enumerate(lines) if line.startswith("group "))
    fleet = listed("\n".join([*lines[:at], f"witness named {named} http://arm-7.elsewhere/", *lines[at:], ""]))
    present = present_of(fleet, Discovery(peers=["http://192.0.2.9:7171"]), OURS, WITNESSES["cart-1"])
    assert present.urls_of(PEER) == ["http://arm-7.elsewhere/"]
    assert "http://port-1.example:7171/" in present.all_urls()
    assert "http://192.0.2.9:7171" in present.all_urls()
    assert "http://cart-1.example:7171/" not in present.all_urls()
    assert ours_in(fleet, None, named) == PEER
    assert ours_in(fleet, None, WITNESSES["cart-1"]) is ours_in(fleet, None, None) is None
