"""Randomness that is read ahead: nothing is given twice, not even to a child."""

from __future__ import annotations

import os

from recorder.daemon.randomness import BLOCK_BYTES, ReadAhead


def test_no_bytes_are_given_twice() -> None:
    randomness = ReadAhead()
    given = [randomness(16) for _ in range(3 * BLOCK_BYTES // 16)] + [randomness(count) for count in (24, 5000, 16)]
    assert [len(part) for part in given[-3:]] == [24, 5000, 16]
    assert len(set(given)) == len(given)


def test_a_forked_child_gets_other_bytes() -> None:
    randomness = ReadAhead()
    randomness(16)  # there is a block now
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, randomness(32))
        os._exit(0)
    mine = randomness(32)
    assert os.waitpid(child, 0)[1] == 0
    theirs = os.read(reader, 64)
    os.close(reader)
    os.close(writer)
    assert len(theirs) == 32
    assert theirs != mine
