"""PROTOCOL.md against the code and a real recorder: its tables are those of the code, its examples are replayed byte by byte."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import recorder
from recorder.core.message_replies import HELLO_KEYS, Compared, Failed, Head, Opened, Receipt, Refused, Witnessed
from recorder.core.message_requests import REQUESTS
from recorder.core.messages import DURABLE, Verb
from recorder.daemon import identity, witnessing
from tests.documents import rows_of, text_of
from tests.running import Running, verified

ROOM = Path(recorder.__file__).parent
TEXT = text_of("PROTOCOL.md")
REQUEST_BLOCK = re.compile(r"```lineage-example\n(.*?)\n```", re.DOTALL)
PART = re.compile(r"\{(\*|[a-z_.]+(?::\d+)?)\}|([0-9a-f]{2})")


class Step(NamedTuple):
    """One message, or a new connection."""

    mark: str  # connect, > or <
    parts: list[tuple[str, str]]  # (placeholder, "") or ("", hex)


def steps() -> Iterator[Step]:
    """All examples in order, as the syntax in section 5 says."""
    for block in REQUEST_BLOCK.findall(TEXT):
        step: Step | None = None
        for line in block.split("\n"):
            written = line.split("#")[0].rstrip()
            if written == "connect" or written[0] in "<>":
                if step is not None:
                    yield step
                step = Step("connect" if written == "connect" else written[0], [])
            assert step is not None
            if written == "connect":
                continue
            if written == "> =":
                step.parts.append(("=", ""))
                continue
            left = written[1:].replace(" ", "")
            while left:
                found = PART.match(left)
                assert found, f"{line!r} is neither hex nor a placeholder"
                step.parts.append((found[1] or "", found[2] or ""))
                left = left[found.end() :]
        assert step is not None
        yield step


def _request(step: Step, known: dict[str, bytes], before: bytes) -> bytes:
    if step.parts == [("=", "")]:
        return before
    message = b""
    for placeholder, literal in step.parts:
        if literal:
            message += bytes.fromhex(literal)
        elif placeholder.endswith(".digits"):
            message += known[placeholder.removesuffix(".digits")].hex()[:8].encode()
        else:
            message += known[placeholder]
    return message


def _check_reply(step: Step, got: bytes, known: dict[str, bytes]) -> None:
    pattern = b""
    for placeholder, literal in step.parts:
        name, _, size = placeholder.partition(":")
        if literal:
            pattern += re.escape(bytes.fromhex(literal))
        elif placeholder == "*":
            pattern += b".*"
        elif name == "_":
            pattern += b".{%s}" % size.encode()
        elif name in known:
            pattern += re.escape(known[name])
        else:
            assert size, f"{placeholder} has no size"
            pattern += b"(?P<%s>.{%s})" % (name.encode(), size.encode())
    found = re.fullmatch(pattern, got, re.DOTALL)
    assert found, f"the recorder answered {got.hex()}, not {step.parts}"
    known.update(found.groupdict())


@pytest.fixture
def founded(tmp_path: Path) -> Iterator[Running]:
    """A recorder with the configuration of the document."""
    found = re.search(r"```toml\n(.*?)\n```", TEXT, re.DOTALL)
    assert found
    state = tmp_path / "s"
    state.mkdir(mode=0o750)
    (state / "recorder.toml").write_text(found[1].replace("uids = [1000]", f"uids = [{os.getuid()}]"))
    identity.make(state)
    with Running(state) as running:
        yield running


def test_the_examples_are_what_goes_over_the_socket(founded: Running) -> None:
    """Each request is sent as it stands there, each reply is compared; each verb has one; and the lineage verifies."""
    known: dict[str, bytes] = {}
    before = b""
    verbs = set()
    connection: socket.socket | None = None
    for step in steps():
        if step.mark == "connect":
            if connection is not None:
                connection.close()
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            connection.settimeout(240)
            connection.connect(str(founded.socket))
            continue
        assert connection is not None, "the first example connects"
        if step.mark == ">":
            before = _request(step, known, before)
            verbs.add(before[1])
            connection.send(before)
        else:
            _check_reply(step, connection.recv(1 << 17), known)
    assert connection is not None
    connection.setblocking(False)
    with pytest.raises(BlockingIOError):
        connection.recv(1)  # nothing was answered that the document does not show
    connection.close()
    assert verbs >= set(Verb)
    assert {"session", "cycle", "not_after", "first", "new_hash"} <= known.keys()
    assert founded.stop() == 0
    report = verified(founded.state)
    assert (report.integrity, report.authority) == ("pass", "nothing"), report.problems


def test_verbs() -> None:
    """Number, name and fields of each verb, in their order, which may be null, and whether it is durable."""
    listed: dict[int, Any] = {}
    for number, name, fields, _, durable in rows_of(
        TEXT, "| verb | name | fields after verb and counter | OK's body | durable |"
    ):
        listed[int(number)] = (name, fields.replace(",", " ").split(), durable == "yes")
    for verb, kind in REQUESTS.items():
        hints = kind.__annotations__
        wanted = [name + ("?" if "None" in str(hints[name]) else "") for name in kind._fields[2:]]
        assert listed.pop(int(verb)) == (Verb(verb).name, wanted, verb in DURABLE)
    assert not listed


def test_bodies_and_hello_keys() -> None:
    """Elements of each body, and keys of the hello."""
    bodies = {row[0]: tuple(row[1].split(", ")) for row in rows_of(TEXT, "| body | elements |")}
    kinds = (Receipt, Opened, Refused, Failed, Head, Witnessed, Compared)
    assert bodies == {kind.__name__: kind._fields for kind in kinds}
    assert tuple(row[0] for row in rows_of(TEXT, "| key | value |")) == HELLO_KEYS


def test_errors_and_reasons() -> None:
    """Every name that the code can say stands there, and no other."""
    source = "\n".join(path.read_text() for room in ("daemon", "writer") for path in sorted((ROOM / room).glob("*.py")))
    said = set(re.findall(r'failed\(\s*"([a-z_]+)"', source)) | {
        "cbor_malformed",
        "message_malformed",
        "schema_malformed",
        "observation_malformed",
        "peer_heads_malformed",
    }
    assert {row[0] for row in rows_of(TEXT, "| error | when | do |")} == said
    names = ("gate/table.py", "writer/opening.py", "writer/cycles.py", "writer/commits.py")
    source = "\n".join((ROOM / name).read_text() for name in names)
    lines = [line for line in source.split("\n") if "reasons" in line or "refuse" in line or "context.refusals" in line]
    said = set(re.findall(r'"([a-z]+_[a-z_]+)(?=[":])', "\n".join(lines)))
    said |= set(re.findall(r'\[f"([a-z]+_[a-z_]+): ', source))
    listed = {row[0] for row in rows_of(TEXT, "| reason | when |")}
    said.add(witnessing.REASON)
    assert listed | {"verb_not_permitted", "budget_exhausted"} == said  # the two need a policy: below


def test_reasons_under_a_policy() -> None:
    """Every name that the gate gives a refusal stands in one of the two tables, and none that nothing says."""
    source = "\n".join(path.read_text() for path in (*(ROOM / "gate").glob("*.py"), ROOM / "writer/decision.py"))
    said = set(re.findall(r'f?"([a-z]+_[a-z_]+): ', source))
    listed = {row[0] for row in rows_of(TEXT, "| reason under a policy | when |")}
    assert said >= {"input_missing", "no_permit", "class_mixed"}
    assert said <= listed | {row[0] for row in rows_of(TEXT, "| reason | when |")}
    whole = "\n".join(path.read_text() for room in ("gate", "core", "writer") for path in (ROOM / room).rglob("*.py"))
    assert [name for name in listed if not re.search(rf'"{name}[":]', whole)] == []
