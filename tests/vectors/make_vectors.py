"""Writes the vectors, or compares them with what is checked in: `python -m tests.vectors.make_vectors [--check]`.

A vector is a JSON file; byte strings are hex.  `valid/NAME.json`: origin, identity key, entries with their claims
and hashes, checkpoints, root, and the exit status that they give.  `broken/ERROR.json`: the same, and in `expected`
the step, place and name of the first problem.  `roots`: the keys that credentials chain to, where there are any.  `bundle/volume.json`: what a volume says of itself.  `credential/NAME.json`
and `credential/broken/ERROR.json`: chains of credentials with what a verifier has beside them, and what they are worth.
`policy/policy.json`: a policy bundle with decisions; `policy/malformed.json`: bundles that are refused.
`mesh/NAME.json`: a fleet list, datagrams, forks, what a new incarnation shows; `mesh/broken.json`: what is refused.
`observation/NAME.json` and `observation/broken/ERROR.json`: signed observations, the key to check them with, what they say.
`bridge/session.json`: what goes over a device's line; `bridge/broken.json`: what is no frame, or no message.
`confirmation/NAME.json` and `confirmation/broken/ERROR.json`: signed batches, their frames, the key to check them with.
"""

from __future__ import annotations

import json
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

from recorder.core.entry import entry_hash
from recorder.core.findings import FINDINGS
from recorder.core.merkle import root_of
from recorder.core.volume import FORMAT, Volume
from tests.lineage_builder import LineageBuilder
from tests.vectors import confirmations, credentials, lines, mesh, observations
from tests.vectors.broken import BROKEN, Broken
from tests.vectors.policies import malformed_vector, policy_vector
from tests.vectors.valid import VALID

HERE = Path(__file__).parent
LOSSY = {"declared_loss"}


def described(
    lineage: LineageBuilder, name: str, description: str | None, trusted: bytes, notes: list[bytes]
) -> dict[str, Any]:
    """What both sorts of vector hold."""
    hashes = [entry_hash(record.raw) for record in lineage.records]
    roots = {"roots": [str(root) for root in lineage.roots]} if lineage.roots else {}
    return {
        "name": name,
        "description": " ".join((description or name.replace("_", " ")).split()),
        **roots,
        "origin": lineage.origin,
        "trusted_identity": trusted.hex(),
        "entries": [
            {
                "entry": record.raw.hex(),
                "hash": leaf.hex(),
                "claims": None if record.claims is None else record.claims.hex(),
            }
            for record, leaf in zip(lineage.records, hashes, strict=True)
        ],
        "root": root_of(hashes).hex(),
        "checkpoints": [note.hex() for note in notes],
    }


def valid_vector(name: str, description: str | None, lineage: LineageBuilder) -> dict[str, Any]:
    """A lineage in which nothing failed."""
    notes = [lineage.checkpoint(size) for size in (lineage.seq // 2, lineage.seq)]
    vector = described(lineage, name, description, lineage.identity.public_key, notes)
    return vector | {"expected": {"exit_status": 3 if name in LOSSY else 0}}


def broken_vector(error: str, description: str | None, broken: Broken) -> dict[str, Any]:
    """A lineage whose first problem is this error."""
    trusted = broken.trusted or broken.lineage.identity.public_key
    finding = FINDINGS[error]
    expected = {
        "exit_status": 1 if finding.severity == "failed" else 3,
        "step": finding.step,
        "seq": broken.seq,
        "error": error,
    }
    return described(broken.lineage, error, description, trusted, broken.checkpoints) | {"expected": expected}


def volume_vector() -> dict[str, Any]:
    """A member `volume/N`, its hash as the manifest lists it, and the values in it."""
    place = Volume(FORMAT, LineageBuilder().origin, 1_760_000_100_000_000_000, 2)
    data = place.encode()
    return {
        "name": "volume",
        "description": "What the second of several volumes says of itself.",
        "member": place.member,
        "bytes": data.hex(),
        "hash": sha256(data).hexdigest(),
        "values": place._asdict(),
    }


def make() -> dict[str, str]:
    """Every vector by its path below this directory."""
    vectors: dict[str, dict[str, Any]] = {}
    for build in VALID:
        vectors[f"valid/{build.__name__}.json"] = valid_vector(build.__name__, build.__doc__, build())
    for error, break_it in sorted(BROKEN.items()):
        vectors[f"broken/{error}.json"] = broken_vector(error, break_it.__doc__, break_it())
    vectors["bundle/volume.json"] = volume_vector()
    vectors |= credentials.vectors()
    vectors["policy/policy.json"] = policy_vector()
    vectors["policy/malformed.json"] = malformed_vector()
    vectors |= observations.vectors()
    vectors |= mesh.vectors()
    vectors |= confirmations.vectors()
    vectors |= lines.vectors()
    return {path: json.dumps(vector, indent=1) + "\n" for path, vector in vectors.items()}


def on_disk() -> dict[str, str]:
    """The vectors that are checked in."""
    return {path.relative_to(HERE).as_posix(): path.read_text() for path in HERE.rglob("*.json")}


def main(arguments: list[str]) -> int:
    """Write the vectors, or with --check say which differ."""
    made, held = make(), on_disk()
    differing = sorted(path for path in made.keys() | held.keys() if made.get(path) != held.get(path))
    if arguments == ["--check"]:
        for path in differing:
            print(f"{path} is not what this script makes", file=sys.stderr)
        return 1 if differing else 0
    for path in differing:
        target = HERE / path
        if path in made:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(made[path])
        else:
            target.unlink()
    print(f"{len(made)} vectors, {len(differing)} written or removed")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
