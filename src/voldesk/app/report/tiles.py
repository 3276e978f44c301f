"""The headline numbers of a report: a figure, what it is, and the line that keeps it honest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from voldesk.app.report.style import money, percent, plain


class Tile(NamedTuple):
    """`tone`: up, down or empty."""

    title: str
    figure: str
    note: str
    tone: str = ""


def tiles(summary: Mapping[str, Any], index: float) -> list[Tile]:
    """index: USD per coin at the end, for a second reading of a coin amount."""
    currency = summary["currency"]
    net = float(summary["pnl"]["total"])
    costs = summary["costs"]
    share = summary["unexplained_share"]["own_iv"]
    return [
        Tile("Net P&L", f"{money(net, currency)} {currency}", _net_note(summary, net, index), _tone(net)),
        Tile(
            "P&L in vol points",
            plain(summary["vol_points"], 2, True),
            "closed round trips, net, per unit of vega traded at entry",
            _tone(summary["vol_points"]),
        ),
        *_break_even(summary["break_even"]),
        Tile(
            "Cost per leg and side",
            f"{plain(_sum(costs['half_spread_volpt_per_leg'], costs['fee_volpt_per_leg']))} vol pts",
            f"half-spread {plain(costs['half_spread_volpt_per_leg'])} + fee {plain(costs['fee_volpt_per_leg'])},"
            f" {costs['legs']} option fills",
        ),
        Tile("Sharpe ratio", plain(summary["sharpe"], 2, True), _interval(summary["sharpe_interval"]), _tone(summary["sharpe"])),
        Tile(
            "Max drawdown",
            f"{money(_float(summary['max_drawdown']['amount']), currency, sign=False)} {currency}",
            f"{percent(summary['max_drawdown']['share'], 2)} of the peak, {_span(summary['max_drawdown'])}",
        ),
        Tile(
            "Round trips",
            str(summary["trades"]),
            f"{summary['trades_won']} of {summary['trades_closed']} closed won; up days {summary['days_up']} of {summary['days']}",
        ),
        Tile("Hedges", str(summary["hedges"]), f"{plain(summary['hedges'] / max(summary['days'], 1))} a day"),
        Tile("Vetoes", str(sum(summary["vetoes"].values())), _vetoes(summary)),
        Tile(
            "Unexplained",
            percent(share["median"], 2),
            f"of the day's terms, median (p90 {percent(share['p90'], 1)}); factor view"
            f" {percent(summary['unexplained_share']['factors']['median'], 1)}",
        ),
    ]  # fmt: skip


def _net_note(summary: Mapping[str, Any], net: float, index: float) -> str:
    currency = summary["currency"]
    interval = summary["pnl_interval"]
    parts = [f"{percent(summary['return'], 2, True)} of equity"]
    if currency != "USD" and index > 0.0:
        parts.append(f"{money(net * index, 'USD')} USD at the last index")
    if interval["status"] == "ok":
        low, high = money(float(interval["low"]), currency), money(float(interval["high"]), currency)
        parts.append(f"{interval['level']:.0%} interval {low} … {high}".replace("%", " %"))
    else:
        parts.append(f"no interval: {interval['status'].replace('_', ' ')}")
    return "; ".join(parts)


def _break_even(sides: Mapping[str, Mapping[str, Any]]) -> list[Tile]:
    """Only the sides that were traded."""
    found = []
    for side, verb in (("long", "needed"), ("short", "could bear")):
        account = sides[side]
        if not account["trips"]:
            continue
        met, needed = account["realised_vol"], account["break_even_vol"]
        tone = _tone(account["net_usd"])
        found.append(
            Tile(
                f"Break-even, {side} vol",
                percent(needed),
                f"realised vol {verb}; {percent(met)} came, {percent(account['implied_vol'])} was implied at entry"
                f" ({account['trips']:.0f} trips, {plain(account['vol_points'], 2, True)} vol pts)",
                tone,
            )
        )
    return found


def _interval(interval: Mapping[str, Any]) -> str:
    if interval["status"] != "ok":
        return f"no interval: {interval['status'].replace('_', ' ')}"
    return f"of daily P&L, a year of 365 days; 95 % interval {plain(interval['low'], 1, True)} … {plain(interval['high'], 1, True)}"


def _vetoes(summary: Mapping[str, Any]) -> str:
    if not summary["vetoes"]:
        return "no intent was refused"
    return ", ".join(f"{code} {count}" for code, count in list(summary["vetoes"].items())[:3])


def _span(fall: Mapping[str, Any]) -> str:
    return f"{fall['peak'][:10]} to {fall['trough'][:10]}" if fall["peak"] and fall["trough"] else "it never fell"


def _tone(value: float | None) -> str:
    return "" if not value else ("up" if value > 0 else "down")


def _float(text: str | None) -> float | None:
    return float(text) if text is not None else None


def _sum(first: float | None, second: float | None) -> float | None:
    return first + second if first is not None and second is not None else None
