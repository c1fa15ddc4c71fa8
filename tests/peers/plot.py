"""The comparison as a picture: one bar a writer, on a logarithmic scale, coloured by what is durable."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.patches import Patch

if TYPE_CHECKING:
    from tests.peers.compare import Outcome

COLOURS = {"each": "#1b6ca8", "group": "#5ba4cf", "chunk": "#a9c9df", "no": "#c9c9c9"}
SAID = {
    "each": "every record durable when acknowledged",
    "group": "durable by groups",
    "chunk": "durable by chunks",
    "no": "not durable",
}
SIGNED = {
    "each": "each signed",
    "entry": "one signature an entry",
    "group": "one signature a group",
    "head": "head signed",
    "no": "unsigned",
}
LEAST = 50  # /s: where the axis begins


def plot(outcomes: list[Outcome], at: str, path: Path) -> None:
    """Draw commits above rows and write a PNG."""
    kinds = list(dict.fromkeys(one.of for one in outcomes))
    counts = [sum(one.of == of for one in outcomes) for of in kinds]
    figure, places = plt.subplots(
        len(kinds),
        1,
        figsize=(9.5, 1.4 + 0.36 * len(outcomes)),
        height_ratios=counts,
        sharex=True,
        layout="constrained",
    )
    for of, axes in zip(kinds, places, strict=True):
        chosen = sorted((one for one in outcomes if one.of == of), key=lambda one: one.rate)
        for height, one in enumerate(chosen):
            axes.barh(height, one.rate, color=COLOURS[one.promise.durable])
            axes.plot([min(one.rates), max(one.rates)], [height, height], color="black", linewidth=1)
            axes.text(
                max(one.rates) * 1.12, height, f"{one.rate:,.0f}  {SIGNED[one.promise.signed]}", va="center", fontsize=8
            )
        axes.set_yticks(range(len(chosen)), [one.name for one in chosen], fontsize=8)
        axes.set_xscale("log")
        axes.set_xlim(LEAST, max(max(one.rates) for one in outcomes) * 40)
        axes.set_title(f"{of} a second", loc="left", fontsize=10)
        axes.spines[["top", "right"]].set_visible(False)
    used = [durable for durable in COLOURS if any(one.promise.durable == durable for one in outcomes)]
    figure.legend(
        handles=[Patch(color=COLOURS[one], label=SAID[one]) for one in used], loc="outside lower center", ncols=2,
        fontsize=8, frameon=False,
    )  # fmt: skip
    figure.suptitle(f"Same claims, same disk, interleaved rounds; {at}; lines: slowest to fastest round", fontsize=9)
    figure.savefig(path, dpi=110)
    plt.close(figure)
