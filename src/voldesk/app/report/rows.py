"""The tables of a report: round trips, costs, vetoes, quarantine, assumptions. Text, ready to be shown."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from voldesk.app.report.explained import ExplainTables
from voldesk.app.report.style import day, in_order, minute, money, percent, plain, short_minute, term_name, units
from voldesk.app.round_trips import RoundTrip
from voldesk.app.run_tables import RunTables
from voldesk.core.units import VOL_POINTS_PER_UNIT
from voldesk.instruments.fees import SCHEDULES, FeeBasis


class Table(NamedTuple):
    """`left`: how many columns from the left are text; the rest are figures."""

    head: list[str]
    rows: list[list[str]]
    left: int = 1
    empty: str = "None."


def trip_table(trips: Sequence[RoundTrip], several_books: bool) -> Table:
    """Every round trip. P − Q at entry and exit in vol points; vols in percent."""
    head = [
        "#", "side", "structure", "opened", "closed", "why", "days", "net", "vol pts", "P−Q in", "P−Q out", "IV in",
        "IV out", "realised", "break-even", "options", "hedges", "fees", "funding", "n",
    ]  # fmt: skip
    rows = []
    for trip in trips:
        parts = (trip.option_units, trip.hedge_units, trip.fee_units, trip.funding_units)
        book = f" · {trip.book}" if several_books else ""
        rows.append(
            [
                str(trip.number),
                "long" if trip.is_long else "short",
                trip.structure + book,
                short_minute(trip.opened_ns),
                short_minute(trip.closed_ns) if trip.closed_ns else "stands",
                trip.exit_reason.removeprefix("close_").replace("_", " ") or "–",
                plain(trip.days, 1),
                units(trip.net_units, trip.currency),
                plain(trip.vol_points, 1, True),
                plain(trip.entry.get("spread", math.nan) * VOL_POINTS_PER_UNIT, 1, True),
                plain(trip.exit.get("spread", math.nan) * VOL_POINTS_PER_UNIT, 1, True),
                percent(trip.entry_iv),
                percent(trip.exit_iv),
                percent(trip.gamma.realised_vol),
                _break_even(trip),
                *(units(value, trip.currency) for value in parts),
                str(trip.hedges),
            ]
        )
    return Table(head, rows, left=6, empty="No option was traded.")


def _break_even(trip: RoundTrip) -> str:
    vol = trip.break_even_vol
    if vol == 0.0:
        return "any" if trip.gamma.gained > 0.0 else "none"
    return percent(vol)


def cost_table(summary: Mapping[str, Any], explain: ExplainTables) -> Table:
    """What trading cost, in the numeraire and as a share of what it moved."""
    currency = explain.currency
    costs = summary["costs"]
    size = sum(abs(value) for value in explain.totals.values())
    rows = []
    for name, note in (
        ("fees", f"{plain(costs['fee_volpt_per_leg'])} vol points per option leg"),
        ("slippage", f"fill against mark; {plain(costs['half_spread_volpt_per_leg'])} vol points per option leg"),
        ("carry", f"funding and interest; {costs['funding_rate']} per interval assumed"),
    ):
        value = explain.totals[name]
        rows.append([name, note, money(value, currency), percent(abs(value) / size if size else None)])
    per_bp = costs["funding_per_bp"]
    if per_bp is not None:
        note = "what one more basis point of funding rate per interval would have done"
        rows.append(["funding sensitivity", note, money(float(per_bp), currency), ""])
    off = costs["off_surface_volpt_per_leg"]
    if off is not None:
        note = "fill against the fitted surface; beyond the half-spread, entries sit where the fit is off"
        rows.append(["off the surface", note, f"{plain(off)} vol pts", ""])
    return Table(["cost", "", currency, "share of all terms"], rows, left=2)


def explain_table(explain: ExplainTables) -> Table:
    """Both views side by side; vega of the one is level + skew + curvature + roll of the other."""
    currency = explain.currency
    names = list(in_order(explain.totals | explain.factor_totals))
    rows = [
        [term_name(name), *(money(view.get(name), currency) for view in (explain.totals, explain.factor_totals))]
        for name in names
    ]
    net = [money(sum(view.values()), currency) for view in (explain.totals, explain.factor_totals)]
    return Table(["term", f"own vols, {currency}", f"factors, {currency}"], [*rows, ["net", *net]])


def veto_table(tables: RunTables) -> Table:
    """By code and scope, with the numbers of the worst case: the projected figure farthest beyond its limit."""
    groups: dict[tuple[str, str, str], list[Any]] = {}
    for veto in tables.vetoes:
        groups.setdefault((veto.code, veto.scope, veto.unit), []).append(veto)
    rows = []
    for (code, scope, unit), vetoes in sorted(groups.items(), key=lambda item: -len(item[1])):
        worst = max(vetoes, key=lambda veto: abs(veto.projected - veto.limit))
        numbers = [f"{value:.4g}" for value in (worst.limit, worst.current, worst.projected)]
        what = f"{worst.purpose}: {worst.legs}"
        rows.append([code, scope, unit, what, minute(vetoes[-1].ts_ns), str(len(vetoes)), *numbers])
    head = ["code", "scope", "unit", "worst case", "last", "times", "limit", "current", "projected"]
    return Table(head, rows, left=5, empty="The gate refused nothing.")


def notice_table(tables: RunTables) -> Table:
    rows = [[minute(n.ts_ns), n.severity, n.code, n.text] for n in tables.notices[-50:]]
    return Table(["time", "severity", "code", "text"], rows, left=4, empty="No notices.")


def quarantine_table(summary: Mapping[str, Any]) -> Table:
    rows = [[reason, "kept out", f"{count:,}"] for reason, count in summary.get("quarantined", {}).items()]
    rows += [[reason, "mended, raw value kept", f"{count:,}"] for reason, count in summary.get("repaired", {}).items()]
    return Table(["reason", "what was done", "rows"], rows, left=2, empty="No row was quarantined or mended.")


def execution_table(summary: Mapping[str, Any]) -> Table:
    head = [
        "book",
        "prices in",
        "legs",
        "orders",
        "fills",
        "fill rate",
        "timeouts",
        "retries",
        "given up",
        "slippage, ticks",
    ]
    rows = [
        [
            row["book"], row["currency"], str(row["legs"]), str(row["orders"]), str(row["fills"]),
            percent(row["fill_rate"]), str(row["timeouts"]), str(row["retries"]), str(row["exhausted"]),
            plain(row["mean_slippage_ticks"], 1, True),
        ]
        for row in summary["execution"]
    ]  # fmt: skip
    return Table(head, rows, left=2)


def book_table(summary: Mapping[str, Any]) -> Table:
    terms = ["realised", "unrealised", "fees", "funding", "interest", "settlement"]
    rows = []
    for book in summary["books"]:
        amounts = [book["pnl"][term] for term in ("total", *terms)]
        shown = [money(float(amount), book["currency"]) for amount in amounts]
        fall = money(float(book["max_drawdown"]["amount"]), book["currency"], sign=False)
        rows.append([book["name"], book["currency"], *shown, fall, plain(book["sharpe"], 2, True), str(book["trades"])])
    return Table(["book", "in", "net", *terms, "max drawdown", "Sharpe", "trips"], rows, left=2)


def assumption_table(tables: RunTables) -> Table:
    """What the run took for granted, from its own configuration."""
    config = tables.config
    market, venue, engine = (config.get(name, {}) for name in ("market", "venue", "engine"))
    account, execution = config.get("account", {}), config.get("execution", {})
    rows = [
        ["latency", f"feed {market.get('feed_delay')}, order {venue.get('order_latency')}, report {venue.get('report_latency')}"],
        ["compute latency", f"{engine.get('compute_latency')} from asking for a fit or forecast to having it"],
        ["fills", "marketable orders take the size shown; resting ones fill when the price trades through; latency both ways"],
        ["size shown", f"{market.get('assumed_size')} contracts a side where sizes were not recorded"],
        ["quotes", f"stand for {market.get('quote_ttl')}, then they are stale and refused"],
        ["hedge instrument", f"where none was recorded: quoted around the index, {_bp(market.get('perp_spread'))} wide"],
        ["funding", f"{venue.get('funding_rate')} per {venue.get('funding_interval')}, longs pay"],
        ["marks", "the venue's recorded mark prices, never our own fit"],
        ["orders", f"{execution.get('timeout')} each, {execution.get('retries')} retries, {execution.get('slippage_ticks')} slippage ticks"],
        ["margin", f"{venue.get('margin_model')} model"],
        ["numeraire", f"{account.get('numeraire')}; collateral {'hedged' if account.get('hedge_collateral') else 'not hedged'}, its translation stands apart"],
        *(["fees", line] for line in fee_lines(tables)),
    ]  # fmt: skip
    return Table(["assumption", ""], [[name, text] for name, text in rows], left=2)


def fee_lines(tables: RunTables) -> list[str]:
    """The schedules of what was traded, with their caps and source."""
    lines = []
    for name in dict.fromkeys(tables.table[fill.instrument].fee_schedule for fill in tables.fills):
        schedule = SCHEDULES.get(name)
        if schedule is None:
            continue
        period = schedule.at(tables.last_ns)
        basis = {
            FeeBasis.UNDERLYING: "of the underlying",
            FeeBasis.NOTIONAL: "of the value",
            FeeBasis.CONTRACT: "a contract",
        }
        cap = f", at most {percent(float(period.premium_cap))} of the premium" if period.premium_cap is not None else ""
        rates = f"maker {_rate(period.maker, period.basis)}, taker {_rate(period.taker, period.basis)}"
        delivery = f"; delivery {_rate(period.delivery, period.basis)}" if period.delivery else ""
        lines.append(f"{name}: {rates} {basis[period.basis]}{cap}{delivery} ({schedule.source})")
    return lines


def _rate(value: Any, basis: FeeBasis) -> str:
    return plain(float(value), 2) if basis is FeeBasis.CONTRACT else percent(float(value), 3)


def _bp(value: Any) -> str:
    return f"{float(value) * 10_000:g} bp" if value is not None else "–"


def source_table(tables: RunTables) -> Table:
    rows = []
    for source in tables.header.get("sources", []):
        shown = [f"{key} {value}" for key, value in source.items() if key not in ("sha256", "name", "file")]
        rows.append(
            [str(source.get("name", source.get("file", ""))), str(source.get("sha256", ""))[:16], ", ".join(shown)]
        )
    return Table(["file", "sha256", ""], rows, left=3, empty="No recorded file: the market is simulated.")


def period(tables: RunTables) -> str:
    marks = tables.marks.all
    return f"{day(marks[0].ts_ns)} to {day(marks[-1].ts_ns)}" if marks else "no mark yet"
