"""The tables of `pricing.py`."""

from __future__ import annotations

from typing import Any


def table_lines(found: list[dict[str, Any]]) -> list[str]:
    """One line per row and library: time, its ratio to ours, worst error. `*`: price and five Greeks only."""
    lines = ["| work | library | time | of ours | target | worst error |", "|---|---|---|---|---|---|"]
    for entry in found:
        row = entry["row"]
        own = entry["median"]["ours"]
        for name, value in entry["median"].items():
            star = "*" if name in row.more else ""
            ratio = "1" if name == "ours" else f"{value / own:.1f}"
            target = f"{row.target:g} {row.unit}" if name == "ours" else ""
            title = row.title if name == "ours" else ""
            label = "**voldesk**" if name == "ours" else name.replace("_", " ") + star
            shown = f"{value:.3g} {row.unit}"
            lines.append(f"| {title} | {label} | {shown} | {ratio} | {target} | {entry['errors'][name]} |")
    lines.append("")
    lines.append("\\* price and five Greeks only. Ratios above 1: that library takes so many times as long as ours.")
    return lines


def growth_lines(
    growth: dict[str, list[tuple[int, int, float]]], extra: dict[str, float], book_two: float
) -> list[str]:
    """Time per option by number of options and threads, and the figures no peer has."""
    lines = ["", "Time per option as their number grows (one call, ns; threads in brackets are wall time):", ""]
    sizes = sorted({size for rows in growth.values() for size, _, _ in rows})
    lines.append("| options | " + " | ".join(f"{size:,}" for size in sizes) + " |")
    lines.append("|---|" + "---|" * len(sizes))
    for name, rows in growth.items():
        for threads in (1, 2):
            cells = {size: value for size, count, value in rows if count == threads}
            if cells:
                shown = (f"{cells[size]:,.3g}" if size in cells else "" for size in sizes)
                lines.append(f"| {name}{' (2 threads)' if threads == 2 else ''} | " + " | ".join(shown) + " |")
    lines += ["", f"The book over scenarios with 2 threads: {book_two:.3f} s of wall time.", ""]
    lines.append(
        f"Price and 11 Greeks into new memory at each call {1e9 * extra['greeks_fresh']:.1f} ns. "
        f"Without a peer: price alone {1e9 * extra['price']:.1f} ns, coin Greeks {1e9 * extra['coin_greeks']:.1f} ns, "
        f"Greeks in spot {1e9 * extra['spot_greeks']:.1f} ns; a whole surface of 12 x 20 quotes from premiums to proof "
        f"of no arbitrage {1e3 * extra['whole_surface']:.2f} ms."
    )
    return lines
