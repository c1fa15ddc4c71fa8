"""Claims of where as Foxglove's well-known PoseInFrame."""

from __future__ import annotations

from typing import Any

from recorder.export.clock import timestamp


def pose_in(where: dict[str, Any], utc_ns: int) -> dict[str, Any] | None:
    """A pose out of `frame`, `position_m` (3 numbers) and `orientation_xyzw` (4 numbers).

    None where neither was claimed, or no frame.  What was not claimed is left out: a viewer's default is not a claim.
    """
    frame = where.get("frame")
    position = _numbers(where.get("position_m"), 3)
    orientation = _numbers(where.get("orientation_xyzw"), 4)
    if not isinstance(frame, str) or (position is None and orientation is None):
        return None
    pose = {}
    if position is not None:
        pose["position"] = dict(zip("xyz", position, strict=True))
    if orientation is not None:
        pose["orientation"] = dict(zip("xyzw", orientation, strict=True))
    return {"timestamp": timestamp(utc_ns), "frame_id": frame, "pose": pose}


def _numbers(value: Any, count: int) -> list[float] | None:  # noqa: ANN401 -- any claim
    if not isinstance(value, list) or len(value) != count:
        return None
    return value if all(type(number) in (int, float) for number in value) else None
