"""`voldesk price`: value options from the command line, or imply their volatility, with Greeks in people's units."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from voldesk.core.arrays import BoolArray, FloatArray
from voldesk.core.errors import InputError
from voldesk.core.units import DAYS_PER_YEAR, rho_per_bp, theta_per_day, vega_per_volpt

MODELS: Final = ("black", "heston", "bates", "merton")
_PARAMETERS: Final = {
    "heston": ("v0", "kappa", "theta", "xi", "rho"),
    "bates": ("v0", "kappa", "theta", "xi", "rho", "jump_intensity", "jump_mean", "jump_std"),
    "merton": ("sigma", "jump_intensity", "jump_mean", "jump_std"),
}
_UNITS: Final = {
    "delta": "of the underlying",
    "net_delta": "less the coin premium",
    "gamma": "of delta per 1.00",
    "vega_per_volpt": "per vol point",
    "theta_per_day": "per calendar day",
    "rho_per_bp": "per basis point",
    "vanna_per_volpt": "of delta per vol point",
    "volga_per_volpt2": "of vega per vol point",
    "charm_per_day": "of delta per day",
    "early_exercise_premium": "over the European price",
}
_TITLES: Final = {
    "net_delta": "net delta",
    "black_vol": "Black vol",
    "vega_per_volpt": "vega",
    "theta_per_day": "theta",
    "rho_per_bp": "rho",
    "vanna_per_volpt": "vanna",
    "volga_per_volpt2": "volga",
    "charm_per_day": "charm",
    "early_exercise_premium": "early exercise",
}
_ACROSS: Final = 4  # strikes beside each other: what 80 columns hold


@dataclass(frozen=True, slots=True)
class Question:
    """What was asked, checked. `vol` NaN where it is to be implied from `premium`, or a model has its own."""

    spot: float
    forward: float
    strikes: FloatArray
    tau: float
    vol: float
    premium: float
    rate: float
    dividend_yield: float
    is_call: bool
    american: bool
    coin: bool
    model: str
    params: dict[str, float]

    @property
    def calls(self) -> BoolArray:
        return np.full(self.strikes.shape, self.is_call)

    @property
    def discount(self) -> float:
        return 1.0 if self.coin else math.exp(-self.rate * self.tau)

    @property
    def forward_price(self) -> float:
        if not math.isnan(self.forward):
            return self.forward
        return self.spot * math.exp((self.rate - self.dividend_yield) * self.tau)


def ask(
    spot: float | None,
    forward: float | None,
    strikes: list[float],
    days: float,
    vol: float | None,
    premium: float | None,
    rate: float,
    dividend_yield: float,
    kind: str,
    style: str,
    coin: bool,
    model: str,
    params: list[str],
) -> Question:
    """The question behind the options of the command line. Raises InputError in one line."""
    if (spot is None) == (forward is None):
        raise InputError("give either --spot or --forward: one of them, not both.")
    if kind.lower() not in ("call", "put", "c", "p"):
        raise InputError(f"--type {kind}; expected call or put.")
    if style not in ("european", "american"):
        raise InputError(f"--style {style}; expected european or american.")
    if model not in MODELS:
        raise InputError(f"--model {model}; expected one of {', '.join(MODELS)}.")
    if not days >= 0.0:
        raise InputError(f"--days {days}; expected zero or more calendar days to expiry.")
    for name, value in (("--vol", vol), ("--rate", rate), ("--dividend-yield", dividend_yield)):
        if value is not None and abs(value) > 5.0:
            raise InputError(f"{name} {value} looks like per cent; expected a decimal such as {value / 100:.4g}.")
    if model == "black" and (vol is None) == (premium is None):
        raise InputError("give either --vol, or --premium to imply the volatility: one of them.")
    if style == "american" and (coin or model != "black"):
        raise InputError("early exercise is for --model black on a currency premium; drop --coin or --model.")
    if coin and (model != "black" or rate):
        raise InputError("--coin options are priced by Black on the forward at rate 0; drop --model and --rate.")
    return Question(
        spot=math.nan if spot is None else spot,
        forward=math.nan if forward is None else forward,
        strikes=np.array(strikes, np.float64),
        tau=days / DAYS_PER_YEAR,
        vol=math.nan if vol is None else vol,
        premium=math.nan if premium is None else premium,
        rate=rate,
        dividend_yield=dividend_yield,
        is_call=kind.lower().startswith("c"),
        american=style == "american",
        coin=coin,
        model=model,
        params=_parameters(model, params),
    )


def _parameters(model: str, given: list[str]) -> dict[str, float]:
    wanted = _PARAMETERS.get(model, ())
    found: dict[str, float] = {}
    for item in given:
        name, _, text = item.partition("=")
        if name not in wanted:
            raise InputError(f"--param {item}; {model} takes {', '.join(wanted) or 'none'}.")
        try:
            found[name] = float(text)
        except ValueError:
            raise InputError(f"--param {item}; expected a number, such as {name}=0.04.") from None
    missing = [name for name in wanted if name not in found]
    if missing:
        raise InputError(f"--model {model} needs --param {' --param '.join(f'{name}=…' for name in missing)}.")
    return found


def answer(question: Question) -> list[dict[str, Any]]:
    """One row per strike: strike, price, vol (where Black), and the Greeks in people's units."""
    if question.model != "black":
        return _model_rows(question)
    vol, status = _vol(question)
    if question.american:
        return _american_rows(question, vol, status)
    return _black_rows(question, vol, status)


def _vol(question: Question) -> tuple[FloatArray, list[str]]:
    from voldesk.pricing import american
    from voldesk.pricing.implied_vol import IvStatus, implied_vol

    size = question.strikes.shape
    if math.isnan(question.premium):
        return np.full(size, question.vol), ["OK"] * question.strikes.size
    if question.american:
        found, codes = american.implied_vol(
            question.premium, _spot(question), question.strikes, question.tau, question.rate,
            question.dividend_yield, question.is_call,
        )  # fmt: skip
        return np.broadcast_to(found, size), [
            american.AmericanIvStatus(int(c)).name for c in np.broadcast_to(codes, size)
        ]
    forward = question.forward_price
    premium = question.premium * forward if question.coin else question.premium
    sigma, code = implied_vol(premium, forward, question.strikes, question.tau, question.discount, question.calls)
    return sigma, [IvStatus(int(c)).name for c in code]


def _spot(question: Question) -> float:
    """For early exercise: a forward given alone is one whose carry is the rate less the yield."""
    if not math.isnan(question.spot):
        return question.spot
    return question.forward * math.exp((question.dividend_yield - question.rate) * question.tau)


def _black_rows(question: Question, vol: FloatArray, status: list[str]) -> list[dict[str, Any]]:
    from voldesk.pricing import black

    net = np.full(vol.shape, np.nan)
    if math.isnan(question.spot):
        g = black.greeks(question.forward_price, question.strikes, question.tau, vol, question.discount, question.calls)
    else:
        g = black.spot_greeks(
            question.spot, question.strikes, question.tau, vol, question.rate, question.dividend_yield, question.calls
        )
    price, vega, theta, rho, volga = g.price, g.vega, g.theta, g.rho, g.volga
    if question.coin:  # what is paid is coin; delta, gamma and their kin stay those of the underlying
        coin = black.coin_greeks(question.forward_price, question.strikes, question.tau, vol, question.calls)
        net, price, vega, theta = coin.net_delta, coin.price, coin.vega, coin.theta
        rho, volga = coin.rho, coin.volga
    rows = []
    for i, strike in enumerate(question.strikes):
        row = {"strike": float(strike), "vol": float(vol[i]), "price": float(price[i]), "delta": float(g.delta[i])}
        if question.coin:
            row["net_delta"] = float(net[i])
        row |= _edge(g.gamma[i], vega[i], theta[i], rho[i])
        row |= {
            "vanna_per_volpt": vega_per_volpt(float(g.vanna[i])),
            "volga_per_volpt2": vega_per_volpt(vega_per_volpt(float(volga[i]))),
            "charm_per_day": theta_per_day(float(g.charm[i])),
        }
        rows.append(row | {"status": status[i]})
    return rows


def _edge(gamma: Any, vega: Any, theta: Any, rho: Any) -> dict[str, float]:
    return {
        "gamma": float(gamma),
        "vega_per_volpt": vega_per_volpt(float(vega)),
        "theta_per_day": theta_per_day(float(theta)),
        "rho_per_bp": rho_per_bp(float(rho)),
    }


def _american_rows(question: Question, vol: FloatArray, status: list[str]) -> list[dict[str, Any]]:
    from voldesk.pricing import american, black

    spot = _spot(question)
    inputs = (spot, question.strikes, question.tau)
    carry = (question.rate, question.dividend_yield)
    found = american.greeks(*inputs, *carry, vol, question.is_call)
    european = black.spot_greeks(*inputs, vol, *carry, question.calls)
    return [
        {"strike": float(strike), "vol": float(vol[i]), "price": float(found.price[i]), "delta": float(found.delta[i])}
        | _edge(found.gamma[i], found.vega[i], found.theta[i], found.rho[i])
        | {"early_exercise_premium": float(found.price[i] - european.price[i]), "status": status[i]}
        for i, strike in enumerate(question.strikes)
    ]


def _model_rows(question: Question) -> list[dict[str, Any]]:
    """Price, and the Black volatility that gives it: a model has no vega of its own to show beside Black's."""
    from voldesk.pricing import bates, heston, merton
    from voldesk.pricing.implied_vol import IvStatus, implied_vol

    rest = (question.forward_price, question.strikes, question.tau, question.discount, question.calls)
    if question.model == "heston":
        price = heston.price(heston.HestonParams(**question.params), *rest)
    elif question.model == "bates":
        price = bates.price(bates.BatesParams(**question.params), *rest)
    else:
        price = merton.price(merton.MertonParams(**question.params), *rest)
    sigma, code = implied_vol(price, *rest)
    return [
        {"strike": float(k), "price": float(p), "black_vol": float(s), "status": IvStatus(int(c)).name}
        for k, p, s, c in zip(question.strikes, price, sigma, code, strict=True)
    ]


def run_price(question: Question, as_json: bool) -> None:
    """Print the answer as a table, or as JSON with NaN as null."""
    rows = answer(question)
    if as_json:
        plain = [
            {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in row.items()} for row in rows
        ]
        print(json.dumps({"forward": question.forward_price, "tau": question.tau, "options": plain}))
        return
    _show(question, rows)


def _show(question: Question, rows: list[dict[str, Any]]) -> None:
    """Strikes across, figures down: a dozen figures fit any terminal that way."""
    from rich.console import Console
    from rich.table import Table

    style = "american" if question.american else "coin-settled" if question.coin else "european"
    kind = "call" if question.is_call else "put"
    premium = ", premium in coin" if question.coin else ""
    console = Console()
    console.print(
        f"{style} {kind}, {question.model}, forward {question.forward_price:,.6g}, tau {question.tau:.4f} years{premium}",
        style="bold",
        highlight=False,
    )
    names = [name for name in rows[0] if name not in ("strike", "status")]
    if any(row["status"] != "OK" for row in rows):
        names.append("status")
    for first in range(0, len(rows), _ACROSS):
        shown = rows[first : first + _ACROSS]
        table = Table(box=None, header_style="bold", pad_edge=False)
        table.add_column("strike", no_wrap=True, min_width=14)
        for row in shown:
            table.add_column(f"{row['strike']:,.6g}", justify="right", no_wrap=True)
        table.add_column("", style="dim", no_wrap=True)
        for name in names:
            table.add_row(_TITLES.get(name, name), *(_text(name, row[name]) for row in shown), _UNITS.get(name, ""))
        console.print(table, highlight=False)


def _text(name: str, value: Any) -> str:
    if isinstance(value, str):
        return value.lower().replace("_", " ")
    if math.isnan(value):
        return "n/a"
    if name in ("vol", "black_vol"):
        return f"{100.0 * value:.2f} %"
    return f"{value:,.7g}" if name == "price" else f"{value:,.5g}"
