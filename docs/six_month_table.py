"""Writes the figures of the six-month backtest into README.md and README.zh.md, between their markers.

.venv/bin/python docs/six_month_table.py runs/<time>-gamma_scalp_btc/summary.json
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"(<!-- six-month figures: begin[^\n]*-->\n).*?(<!-- six-month figures: end -->)", re.DOTALL)
LABELS = {
    "README.md": (
        "net P&L on 10 BTC", "95 % interval of it",
        "before fees, slippage and funding", "fees", "slippage and half-spread", "funding", "round trips, won", "hedges", "P&L in vol points",
        "largest drawdown", "unexplained, median day (own vols / factors)", "orders refused", "time", "decisions",
    ),
    "README.zh.md": (
        "净盈亏（本金 10 BTC）", "其 95 % 区间",
        "扣除手续费、滑点、资金费之前", "手续费", "滑点与半价差", "资金费", "完整交易数，盈利数", "对冲次数", "盈亏（波动率点）",
        "最大回撤", "未解释部分，日中位数（自身波动率 / 因子）", "被拒订单", "用时", "决策哈希",
    ),
}  # fmt: skip


def cells(run: dict[str, Any]) -> list[str]:
    """The second column, in the order of the labels."""
    unit = run["currency"]
    share = run["unexplained_share"]
    gross = float(run["pnl"]["total"]) - sum(float(run["explain"][name]) for name in ("fees", "slippage", "carry"))
    interval, fall, costs = run["pnl_interval"], run["max_drawdown"], run["costs"]
    return [
        f"{float(run['pnl']['total']):+.4f} {unit}",
        f"{float(interval['low']):+.4f} … {float(interval['high']):+.4f} {unit}",
        f"{gross:+.4f} {unit}",
        f"{float(costs['fees']):+.4f} {unit}",
        f"{float(costs['slippage']):+.4f} {unit}",
        f"{float(run['pnl']['funding']):+.4f} {unit}",
        f"{run['trades']}, {run['trades_won']}",
        f"{run['hedges']}",
        f"{run['vol_points']:+.2f}",
        f"{float(fall['amount']):.4f} {unit} ({100.0 * fall['share']:.2f} %)",
        f"{100.0 * share['own_iv']['median']:.2f} % / {100.0 * share['factors']['median']:.2f} %",
        ", ".join(f"{code} {count}" for code, count in run["vetoes"].items()) or "0",
        f"{run['wall_s']:.1f} s ({run['quotes_per_s']:,} quotes/s)",
        f"`{run['journal_sha256'][:16]}`",
    ]


def write(summary: Path) -> None:
    """Replace the table in both READMEs."""
    values = cells(json.loads(summary.read_text(encoding="utf-8")))
    for name, labels in LABELS.items():
        rows = "".join(f"| {label} | {value} |\n" for label, value in zip(labels, values, strict=True))
        text = (ROOT / name).read_text(encoding="utf-8")
        changed, count = BLOCK.subn(lambda found: f"{found[1]}| | |\n|---|---|\n{rows}{found[2]}", text)  # noqa: B023
        assert count == 1, f"{name} has {count} tables between six-month markers; expected one"
        (ROOT / name).write_text(changed, encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("six_month_table.py: expected the summary.json of a run; give its path.")
    write(Path(sys.argv[1]))
