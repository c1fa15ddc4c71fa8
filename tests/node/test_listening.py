"""What comes by datagram: each has one fate, nothing raises, and what strangers cost is bounded."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from mesh import digest
from mesh.bucket import Bucket
from mesh.digest import Digest
from mesh.node.budget import ADDRESSES_MAX, Budget
from mesh.node.listening import CHECKS_S, CLONE, OWN, READS_PER_ADDRESS_S, READS_S, TAKEN, UNCHECKED, UNREAD, Listening
from mesh.node.peering import urls_in
from mesh.node.present import STRANGERS_MAX, Present
from mesh.node.runs import SENT_MAX, Sent
from recorder.core.keys import SeedSigner
from tests.mesh.fleet import FLEET, ORIGIN, hashes, note_of, signer

PEER, OURS = "acme/arm-7", "acme/cart-1"
OUR_ORIGIN = f"{OURS}/0123456789abcdef"
KEY, OUR_KEY, THIEF = signer(f"mesh {PEER}"), signer(f"mesh {OURS}"), signer("thief")
LEAVES = hashes(9)
LOG = FLEET.log_of(ORIGIN)
assert LOG is not None
HEAD = digest.head_in(note_of(LEAVES), LOG.key)
SAYS = Digest(ORIGIN, 5, 1, 9, b"", HEAD, [])
HOME = "192.0.2.1"


class Taken:
    """Archives that only remember what they got."""

    def __init__(self) -> None:
        self.got: list[tuple[Digest, bytes | None]] = []

    def take(self, says: Digest, note: bytes | None) -> None:
        self.got.append((says, note))


class Receiver:
    """A receiver, with what it tells."""

    def __init__(self) -> None:
        self.present = Present(urls_in(FLEET), (), OURS)
        self.archives = Taken()
        self.said: list[str] = []
        self.time_s: int | None = None
        self.sent = Sent(7)
        self.listening = Listening(
            FLEET, self.present, OURS, self.sent.has, lambda: self.time_s, self.archives, self.said.append
        )

    def take(self, says: Digest, by: SeedSigner = KEY, address: str = HOME, now_s: float = 0.0) -> str:
        return self.listening.take(digest.make(says, by), address, now_s)


def test_a_digest_of_a_peer_is_taken_once() -> None:
    """What repeats it, comes of an earlier run, or too late is told apart; the archive gets the first alone."""
    receiver = Receiver()
    assert receiver.take(SAYS._replace(number=2000)) == TAKEN
    assert receiver.take(SAYS._replace(number=2000)) == "repeated"
    assert receiver.take(SAYS._replace(number=1999)) == TAKEN
    assert receiver.take(SAYS._replace(number=1)) == "late"
    assert receiver.take(SAYS._replace(run=4, number=9999)) == "replayed"
    assert receiver.take(SAYS._replace(run=6)) == TAKEN
    assert receiver.take(SAYS._replace(run=6)) == "repeated"
    assert [(says.run, says.number) for says, _ in receiver.archives.got] == [(5, 2000), (5, 1999), (6, 1)]
    assert receiver.listening.fates == {TAKEN: 3, "repeated": 2, "late": 1, "replayed": 1}
    assert receiver.present.peers[PEER].heard_s == 0.0


def test_the_head_goes_on_only_as_the_log_signed_it() -> None:
    """With its note where it did; without head where it did not, and that is counted beside the fate."""
    receiver = Receiver()
    receiver.take(SAYS)
    bad = HEAD._replace(size=HEAD.size + 1)
    assert receiver.take(SAYS._replace(number=2, head=bad)) == TAKEN
    assert receiver.take(SAYS._replace(number=3, head=None)) == TAKEN
    assert receiver.take(SAYS._replace(number=4)) == TAKEN
    assert [(says.head, note) for says, note in receiver.archives.got] == [
        (HEAD, note_of(LEAVES)), (None, None), (None, None), (HEAD, note_of(LEAVES)),
    ]  # fmt: skip
    assert receiver.listening.fates["head_signature"] == 1


def test_what_is_not_a_peers_is_dropped_by_name() -> None:
    """Another version, no datagram of ours, a platform of no list, and one that another key signed; no row changes."""
    receiver = Receiver()
    sound = digest.make(SAYS, KEY)
    assert receiver.listening.take(b"LNGM\x02" + sound[5:], HOME, 0.0) == "digest_version"
    assert receiver.listening.take(sound[:-1], HOME, 0.0) == "digest_malformed"
    assert receiver.listening.take(sound + bytes(1200), HOME, 0.0) == "digest_malformed"
    assert receiver.take(SAYS, THIEF) == "digest_signature"
    assert receiver.take(SAYS._replace(origin="port/crane-1/0123456789abcdef"), THIEF) == "digest_stranger"
    assert [one.name for one in receiver.present.strangers.values()] == ["port/crane-1"]
    assert receiver.present.peers[PEER].heard_s is None
    assert receiver.archives.got == []
    assert receiver.take(SAYS) == TAKEN, "a forged one has not taken its place"


def test_our_own_come_back_and_a_clone_is_told_once() -> None:
    """What we sent says nothing; what we did not send and our key signed is told to a person, and counted."""
    receiver = Receiver()
    ours = SAYS._replace(origin=OUR_ORIGIN, head=None)
    assert [receiver.sent.next() for _ in range(3)][-1] == (7, 3)
    assert receiver.take(ours._replace(run=7, number=3), OUR_KEY) == OWN
    assert receiver.take(ours._replace(run=6, number=9), OUR_KEY) == OWN
    assert receiver.take(ours._replace(run=7, number=4), THIEF) == "digest_signature"
    assert receiver.said == []
    for number in (4, 5):
        assert receiver.take(ours._replace(run=7, number=number), OUR_KEY) == CLONE
    assert len(receiver.said) == 1
    receiver.sent.begin(11)
    assert receiver.take(ours._replace(run=7, number=3), OUR_KEY) == OWN, "of the run before"
    for run, number in ((7, 4), (8, 1), (11, 1), (12, 1)):
        assert receiver.take(ours._replace(run=run, number=number), OUR_KEY) == CLONE
    for run in range(12, 12 + SENT_MAX):
        receiver.sent.begin(run)
    assert (receiver.sent.run, receiver.sent.number) == (15, 0)
    assert receiver.take(ours._replace(run=11, number=9), OUR_KEY) == OWN, "nobody remembers"


def test_who_stole_a_mesh_key_does_not_silence_its_platform() -> None:
    """By a run above all others: the platform's own digests go on, those of its next start too, by a clock alone."""
    receiver = Receiver()
    now_s = receiver.time_s = 1_790_000_000
    began = SAYS._replace(run=now_s * 1_000 - 5)
    assert receiver.take(began) == TAKEN
    assert receiver.take(SAYS._replace(run=2**64 - 1, first=10**9)) == TAKEN
    assert receiver.present.peers[PEER].size == 10**9, "so much he can say"
    assert receiver.take(began._replace(number=2)) == TAKEN
    assert receiver.present.peers[PEER].size == 9
    again = SAYS._replace(run=now_s * 1_000)
    assert receiver.take(again) == TAKEN
    receiver.time_s = None
    assert receiver.take(again._replace(run=again.run + 1)) == "replayed"
    assert receiver.take(again._replace(number=2)) == TAKEN


def test_a_flood_of_forged_digests_costs_what_is_budgeted() -> None:
    """From one address, and from many: then a peer that was heard before is still heard, within its own share."""
    receiver = Receiver()
    assert receiver.take(SAYS) == TAKEN
    forged = digest.make(SAYS._replace(number=77), THIEF)
    for at in range(5_000):
        receiver.listening.take(forged, f"198.51.100.{at % 251}", 0.5)
    fates = receiver.listening.fates
    assert fates["digest_signature"] <= CHECKS_S
    assert fates["digest_signature"] + fates[UNCHECKED] <= READS_S
    assert fates[UNREAD] == 5_000 - fates["digest_signature"] - fates[UNCHECKED] > 3_000
    assert receiver.take(SAYS._replace(number=2), now_s=0.5) == TAKEN
    for _ in range(1_000):
        receiver.listening.take(forged, HOME, 0.5)
    assert receiver.take(SAYS._replace(number=3), now_s=0.5) == UNREAD, "its own address is used up, however"
    assert receiver.take(SAYS._replace(number=3), now_s=0.6) == TAKEN


def test_a_flood_of_strangers_is_bounded() -> None:
    """In what is kept; each is read and none is verified."""
    receiver = Receiver()
    for at in range(3_000):
        says = SAYS._replace(origin=f"x/{at}/0123456789abcdef")
        receiver.take(says, THIEF, f"192.0.2.{at % 200}", at / READS_PER_ADDRESS_S)
    assert len(receiver.present.strangers) == STRANGERS_MAX
    assert receiver.listening.fates["digest_stranger"] == 3_000
    assert receiver.present.not_listed == 3_000 - STRANGERS_MAX


_SOUND = digest.make(SAYS._replace(hashes=b"".join(LEAVES)), KEY)


@given(
    st.one_of(
        st.binary(max_size=1300),
        st.binary(max_size=1195).map(lambda body: b"LNGM\x01" + body),
        st.tuples(st.integers(0, len(_SOUND) - 1), st.integers(1, 255)).map(
            lambda at: _SOUND[: at[0]] + bytes([_SOUND[at[0]] ^ at[1]]) + _SOUND[at[0] + 1 :]
        ),
    ),
    st.text(max_size=20),
)
@settings(max_examples=300)
def test_no_datagram_makes_it_raise(datagram: bytes, address: str) -> None:
    """Nor is one taken of which any byte is another."""
    receiver = Receiver()
    assert receiver.listening.take(datagram, address, 0.0) != TAKEN
    assert receiver.listening.fates.total() == 1
    assert receiver.archives.got == []


def test_a_bucket_fills_as_time_goes_and_never_above_its_burst() -> None:
    """It begins full; a clock that does not move gives nothing."""
    bucket = Bucket(2.0, 3.0)
    assert [bucket.take(10.0) for _ in range(4)] == [True, True, True, False]
    assert bucket.wait_s(10.0) == 0.5
    assert [bucket.take(10.5), bucket.take(10.5)] == [True, False]
    assert bucket.fill(9.0) == 0.0
    assert bucket.fill(1e9) == 3.0


def test_addresses_share_what_is_unknown_and_keep_what_is_theirs() -> None:
    """However many there are, so many buckets are kept."""
    budget = Budget(2.0, 5.0)
    assert [budget.take("known", 0.0, known=True) for _ in range(3)] == [True, True, False]
    assert sum(budget.take(f"{at}", 0.0, known=False) for at in range(3 * ADDRESSES_MAX)) == 5
    assert budget.take("another", 0.0, known=True)
    assert len(budget._by_address) == ADDRESSES_MAX
