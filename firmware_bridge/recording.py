"""The recorder's turn of a bridge's loop: answers in, requests out, on each of the four sessions."""

from __future__ import annotations

from firmware_bridge.asking import Asking
from firmware_bridge.desk import Desk
from firmware_bridge.following import Following
from firmware_bridge.known import Front, Memory
from firmware_bridge.line.confirmations import Known, Signed
from firmware_bridge.line.happenings import Happening
from firmware_bridge.line.link import Link
from firmware_bridge.line.states import State
from firmware_bridge.places import DamagedError
from firmware_bridge.session import COMMITS, FOLLOWS, READS, RECORDS, Recorder, page_of, read_request
from recorder.core import message_replies
from recorder.core.deviceframe import PREV_BYTES
from recorder.core.devicegap import Missing
from recorder.core.entry import entry_hash
from recorder.core.messages import Status
from recorder.core.protocol import body_of


class Recording:
    """All that goes to and comes from the recorder for one link."""

    def __init__(
        self,
        recorder: Recorder,
        link: Link,
        desk: Desk,
        memory: Memory,
        asking: Asking | None,
        following: Following | None,
        seq: int,
    ) -> None:
        """Begin; entries below `seq` have been taken by `memory`."""
        self.recorder, self.desk, self.memory, self.asking = recorder, desk, memory, asking
        self._link, self._following = link, following
        self._reading = False
        self._seq = self._seq_before = seq  # below these, all of ours was answered

    @property
    def is_idle(self) -> bool:
        """Nothing is on its way."""
        return self.desk.is_idle and self.recorder.of(COMMITS).session.is_idle

    def up(self, boot: int, now_us: int, tick_us: int) -> list[Happening]:
        """The device has shown its key, and its clock."""
        self.desk.began(boot, now_us, tick_us)
        return [] if self.asking is None else self.asking.up(now_us, tick_us)

    def down(self) -> None:
        """There is no device to tell anything."""
        if self.asking is not None:
            self.asking.down()
        if self._following is not None:
            self._following.skip()

    def turn(self, now_ns: int, now_us: int) -> list[Happening]:
        """Do what can be done without waiting; returns what is to be told of it.

        Raises:
            BridgeError: the recorder does not take what it must.
            AnewError: it has begun another log.

        """
        for connection in self.recorder.connections:
            connection.advance(now_ns)
        self._take_records(now_ns)
        self._look_up(now_ns)
        found = [*self._ask(now_ns, now_us), *self._follow(now_ns)]
        session = self.recorder.of(RECORDS).session
        for request in self.desk.due(session.room):
            session.give(request)
        for connection in self.recorder.connections:
            connection.write()
        return found

    def front(self) -> Front:
        """Where a next process may begin to read.

        That is where we were the last time: what was asked of the recorder since may stand between there and here.
        """
        assert self.recorder.hello is not None, "greeted before anything is recorded"
        front = self.memory.front_at(self.recorder.hello.origin, self._seq_before)
        self._seq_before = self._seq
        return front

    def _take_records(self, now_ns: int) -> None:
        for answer in self.recorder.read(RECORDS, now_ns):
            durable = self.desk.answered(answer)
            if answer.status is Status.OK:
                self._seq = max(self._seq, body_of(answer.body, message_replies.Receipt).seq + 1)
            if isinstance(durable, Signed):
                self._link.recorded(durable)
                self.memory.went_on(Known(durable.boot, durable.last + 1, durable.frames[-1].leaf[:PREV_BYTES]))
            elif isinstance(durable, Missing):
                self.memory.went_on(Known(*durable.until, None))

    def _look_up(self, now_ns: int) -> None:
        """Ask for entries that are confirmed and of which we know no more than the device does."""
        for answer in self.recorder.read(READS, now_ns):
            self._reading = False
            seq = answer.outgoing.token
            assert isinstance(seq, int), "what is read names where"
            try:
                page = page_of(answer)
            except DamagedError:
                page = seq, []  # then nobody can say what it confirms
            if page is None:
                continue
            self.desk.learn(seq, None)
            for place, (raw, _) in enumerate(page[1]):
                self.desk.learn(seq + place, entry_hash(raw))
        wanted = self.desk.wanted()
        if wanted is not None and not self._reading:
            self.recorder.of(READS).session.give(read_request(wanted))
            self._reading = True

    def _ask(self, now_ns: int, now_us: int) -> list[Happening]:
        asking, hello = self.asking, self.recorder.hello
        answers = self.recorder.read(COMMITS, now_ns)
        if asking is None or hello is None:
            return []
        found = [happened for answer in answers for happened in asking.answered(answer, now_us)]
        for seq, digest in asking.hashes:
            self.desk.learn(seq, digest)
        asking.hashes.clear()
        return [*found, *asking.at(hello.platform, now_us)]

    def _follow(self, now_ns: int) -> list[Happening]:
        following = self._following
        answers = self.recorder.read(FOLLOWS, now_ns)
        if following is None:
            return []
        if self._link.state is not State.UP:
            following.skip()  # also where the port stayed: an answer that came just now is not waited for ever after
            return []
        receipts = following.turn(self.recorder.of(COMMITS).session.id, answers)
        for seq, digest in following.hashes:
            self.desk.learn(seq, digest)
        following.hashes.clear()
        return [happened for receipt in receipts for happened in self._link.receipt(receipt)]
