"""Small files: new ones never take the place of others, key files are what their title says."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from recorder.store import keyfile
from recorder.store.errors import StoreError
from recorder.store.layout import create_file

SEED = bytes(range(32))


def test_a_new_file_takes_no_others_place(tmp_path: Path) -> None:
    """What is there stays as it is."""
    path = tmp_path / "x"
    create_file(path, b"first", 0o640)
    with pytest.raises(FileExistsError):
        create_file(path, b"second", 0o600)
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"first", 0o640)


def test_a_new_file_is_whole_or_not_there(tmp_path: Path) -> None:
    """A write that fails half-way leaves nothing behind that would look like the whole or stand in the way."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            create_file(tmp_path / "x", bytes(10_000), 0o640)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []
    create_file(tmp_path / "x", bytes(10_000), 0o640)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (keyfile.text_of("lineage root key 1", SEED, "-"), "holds no issuer key but a root key: name the file"),
        (b"", "holds no issuer key; restore it"),
        (b"lineage issuer key 1\nAA", "holds no issuer key"),
        (b"lineage issuer key 1\n*\n-\n", "not base64"),
        (b"lineage issuer key 1\nAAAA\n-\n", "has 3 bytes, not 32"),
        (b"\xff" * 5000, "holds no issuer key"),
    ],
)
def test_what_is_no_key_file(tmp_path: Path, content: bytes, said: str) -> None:
    """A key for another use, a part of one and anything else is named and not used."""
    path = tmp_path / "x.key"
    create_file(path, content, 0o600)
    with pytest.raises(StoreError, match=said):
        keyfile.read(path, "lineage issuer key 1")


def test_a_key_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    """Seed and board come back; a link to a key file is not followed."""
    path = tmp_path / "x.key"
    create_file(path, keyfile.text_of("lineage issuer key 1", SEED, "board"), 0o600)
    assert keyfile.read(path, "lineage issuer key 1") == (SEED, "board")
    (tmp_path / "link").symlink_to(path)
    with pytest.raises(StoreError, match="cannot open"):
        keyfile.read(tmp_path / "link", "lineage issuer key 1")
