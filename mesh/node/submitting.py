"""One checkpoint to one witness: requests until it cosigned, refused, or its time is up."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

from mesh.exchange import OK, VERSION_ERROR, Answer
from mesh.node.elsewhere import proof_of
from mesh.node.heldsizes import PATH as HELD
from mesh.node.heldsizes import parse_held
from mesh.node.places import MeshError
from mesh.node.post import OtherVersion, Unreachable, below
from mesh.submission import (
    Again,
    Attempt,
    Behind,
    Done,
    Failed,
    Later,
    Show,
    Step,
    after,
    delay_s,
)
from recorder.client import NotRecorded, Refused, Unavailable
from recorder.core.checkpoint import Checkpoint
from recorder.core.controls import Previous
from recorder.core.errors import FormatError
from recorder.core.note import VerifierKey

OTHER_VERSION_S = 3_600.0  # for which one that speaks another version is left alone: it may be brought up to date
TRIES_MAX = 3  # for one checkpoint, where a witness cannot be reached or says that it cannot now
OWN_LOG = "own_log"  # a proof could not be made here: a damaged tile, or the recorder has just gone
OWN_TROUBLES = (MeshError, Unavailable, NotRecorded, Refused, OSError)
TEXT, CBOR = "text/plain; charset=utf-8", "application/cbor"


class Proofs(Protocol):
    """What the own log proves; each call may wait."""

    def add_checkpoint(self, attempt: Attempt) -> bytes:
        """Body of the request; what it may raise is in OWN_TROUBLES."""
        ...

    def add_incarnation(self, held: dict[str, int], consistency: tuple[bytes, ...] | None = None) -> bytes:
        """Body of the request that shows this incarnation to a witness that holds so much of others.

        Raises:
            FormatError: incarnation_unproved: nothing kept here leads from there to the boot entry, and no proof of
                that was given.

        """
        ...

    def wanted(self, held: dict[str, int]) -> list[tuple[int, Previous]]:
        """Between which heads a consistency proof would do: a size that is held, and a larger head that is named."""
        ...


class Sender(Protocol):
    """Requests to a witness; raises Unreachable."""

    async def send(self, url: str, body: bytes, content_type: str) -> Answer:
        """POST."""
        ...

    async def get(self, url: str) -> Answer:
        """GET."""
        ...


@dataclass(slots=True)
class Witness:
    """A witness of the fleet list and what is known of it since this process began."""

    name: str
    key: VerifierKey
    urls: Sequence[str]  # where it may answer
    platform: str | None = None  # that it runs on, as far as the list tells
    sizes: dict[str, int] = field(default_factory=dict)  # by origin, as it last announced
    signed: dict[str, int] = field(default_factory=dict)  # by origin, of the last head recorded as cosigned
    failures: int = 0  # in a row
    place: int = 0  # among the addresses: the one where it cosigned last, or that is tried next
    refuses: bool = False  # it answered when it was last asked, and will not cosign
    not_before_s: float = 0.0  # time.monotonic; after failures, and a round that is wanted at once need not wait for it
    put_off_s: float = 0.0  # time.monotonic, before which it asked not to be sent anything; that is no failure
    last: str = "not asked yet"
    forgot: str | None = None  # it announced less than before
    cosigned: int = 0
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)  # one head at a time
    version: str | None = None  # of the mesh protocol, as it last stated; None of a witness that does not speak it

    @property
    def url(self) -> str | None:
        """Where to ask: at the first address, and wherever it did not cosign, at the next."""
        return self.urls[self.place % len(self.urls)] if self.urls else None

    def announced(self, head: Checkpoint, size: int | None) -> None:
        """Note what a digest of its platform said that it holds, so that the first proof begins there.

        The larger counts: a digest may be older than what it answered, and an answer may have been lost.
        """
        if size is not None and size <= head.size:
            self.sizes[head.origin] = max(size, self.sizes.get(head.origin, 0))


@dataclass(slots=True, eq=False)
class Submission:
    """A checkpoint that is to be cosigned, by however many witnesses at the same time."""

    head: Checkpoint
    proofs: Proofs
    send: Sender
    aside: Callable[..., Awaitable[Any]]  # calls what waits, with its arguments, on the thread of the own log
    jitter: Callable[[], float]  # 0..1
    peers: Callable[[], Sequence[str]] = list  # URLs of who may keep the tree of an incarnation that is lost here
    _bodies: dict[int, asyncio.Future[bytes]] = field(default_factory=dict)  # by the size that a proof leads from

    async def body(self, attempt: Attempt) -> bytes:
        """Body of `add-checkpoint`; witnesses that stand at one size are sent the same one."""
        made = self._bodies.get(attempt.old)
        if made is None:
            made = asyncio.ensure_future(self.aside(self.proofs.add_checkpoint, attempt))
            self._bodies[attempt.old] = made
        return await asyncio.shield(made)  # time that is up for one witness is not for the others


async def cosignature_by(witness: Witness, submission: Submission, until_s: float) -> Done | None:
    """Ask one witness; its state says afterwards how it went.

    Args:
        witness: whom to ask.
        submission: what to have cosigned.
        until_s: time.monotonic at which to stop.

    """
    step: Step = Later("no time was left")
    for attempt in range(TRIES_MAX):
        if witness.put_off_s >= until_s:
            if attempt == 0:
                step = Later(f"it asked to be left alone for {witness.put_off_s - time.monotonic():.0f} s more", 0)
            break
        await asyncio.sleep(max(0.0, witness.put_off_s - time.monotonic()))
        try:
            async with asyncio.timeout(max(0.0, until_s - time.monotonic())):
                step = await _asked(witness, submission)
        except OtherVersion as error:
            witness.version = error.version
            step = Failed(0, VERSION_ERROR, str(error))
        except Unreachable as error:
            step = Later(str(error))
        except TimeoutError:
            step = Later("no answer in time")
        if isinstance(step, Later) or _is_refusal(step):
            witness.place += 1  # who answers there need not be the witness: what discovery found is anyone's to say
        if not isinstance(step, Later):
            break
        if step.wait_s is not None:
            witness.put_off_s = time.monotonic() + step.wait_s
            continue
        witness.failures += 1
        pause_s = delay_s(witness.failures, submission.jitter())
        witness.not_before_s = time.monotonic() + pause_s
        if attempt + 1 == TRIES_MAX or time.monotonic() + pause_s >= until_s:
            break
        await asyncio.sleep(pause_s)
    witness.last = _told(step, submission.head)
    witness.refuses = _is_refusal(step)
    if not isinstance(step, Later) or step.wait_s is not None:
        witness.failures = 0
    if isinstance(step, Failed) and step.error == VERSION_ERROR:
        witness.not_before_s = time.monotonic() + OTHER_VERSION_S
    if isinstance(step, Done):
        witness.cosigned += 1
        return step
    return None


def _is_refusal(step: Step) -> bool:
    return isinstance(step, Failed) and step.error != OWN_LOG


async def _asked(witness: Witness, submission: Submission) -> Step:
    """Send until there is a step that is an end."""
    head, url = submission.head, witness.url
    if url is None:
        return Later("no address of it is known")
    attempt = Attempt(witness.sizes.get(head.origin, 0))
    if attempt.old > head.size:
        attempt = Attempt(0)  # it answers with what it holds: perhaps less than it once did
    step: Step = Again(attempt)
    while True:
        match step:
            case Again(attempt, forgot):
                if forgot is not None:
                    witness.forgot = f"it held {forgot} of {head.origin}, then {attempt.old}"
                witness.sizes[head.origin] = attempt.old
                try:
                    body = await submission.body(attempt)
                except OWN_TROUBLES as error:
                    return Failed(0, OWN_LOG, str(error))  # of ours: it holds up no other witness
                path, form = "add-checkpoint", TEXT
            case Show(attempt):
                held = await _held(url, submission)
                try:
                    body = await _shown(submission, held)
                except FormatError as error:
                    return Failed(0, error.error, error.detail)
                except OWN_TROUBLES as error:
                    return Failed(0, OWN_LOG, str(error))
                path, form = "add-incarnation", CBOR
            case Behind(size):
                witness.sizes[head.origin] = size
                return step
            case Done():
                witness.sizes[head.origin] = head.size
                return step
            case _:
                return step
        answer = await submission.send.send(below(url, path), body, form)
        witness.version = answer.version
        step = after(attempt, answer, head, witness.key, int(time.time()))


async def _shown(submission: Submission, held: dict[str, int]) -> bytes:
    """Body of `add-incarnation`, by what is kept here, else by what peers keep; raises FormatError."""
    proofs, aside = submission.proofs, submission.aside
    try:
        return cast(bytes, await aside(proofs.add_incarnation, held))
    except FormatError:
        wanted = await aside(proofs.wanted, held)
        found = await proof_of(wanted, submission.peers(), submission.send)
        if found is None:
            raise
        return cast(bytes, await aside(proofs.add_incarnation, held, found))


async def _held(url: str, submission: Submission) -> dict[str, int]:
    answer = await submission.send.get(below(url, HELD))
    if answer.status != OK:
        return {}  # then only an incarnation that names the very head it holds can be shown
    try:
        return parse_held(answer.body)
    except FormatError as error:
        raise Unreachable(f"{url}: {error}") from None


def _told(step: Step, head: Checkpoint) -> str:
    match step:
        case Done(_, _, skew_s):
            ahead = f", its clock {skew_s:+d} s from ours" if abs(skew_s) > 1 else ""
            return f"cosigned {head.size} entries{ahead}"
        case Behind(size):
            return f"holds {size} entries, we have {head.size}: this store is an old copy, or another was put back"
        case Later(reason):
            return f"not now: {reason}"
        case Failed(status, error, detail):
            return f"refused: {status or 'here'} {error or 'without a name'}: {detail}"
        case _:
            return "was not asked to the end"
