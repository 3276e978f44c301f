"""Settings of the simulated exchange; every one of them is an assumption that a report should print."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from voldesk.core.errors import InputError
from voldesk.core.units import NS_PER_HOUR, NS_PER_MINUTE, NS_PER_SECOND
from voldesk.sim.latency import LatencyConfig
from voldesk.sim.lifecycle import LifecycleConfig


@dataclass(frozen=True, slots=True)
class ExchangeConfig:
    """deposits: opening cash by currency. quote_ttl_ns: a quote older than this cannot be hit. assumed_size:
    contracts shown where the data carry no size, None: nothing can be taken there. margin: a name of
    `portfolio.margin.MODELS`. margin_check_ns: how often the account is checked while it holds anything, 0: never.
    liquidation_share: part of a position closed per step. price_band: see `Admission`, None: no band."""

    deposits: Mapping[str, Decimal]
    latency: LatencyConfig = field(default_factory=LatencyConfig)
    lifecycle: LifecycleConfig = field(default_factory=LifecycleConfig)
    quote_ttl_ns: int = 12 * NS_PER_HOUR
    assumed_size: Decimal | None = None
    margin: str = "deribit_standard"
    margin_check_ns: int = NS_PER_MINUTE
    liquidation_step_ns: int = NS_PER_SECOND
    liquidation_share: float = 0.25
    price_band: float | None = 0.10
    max_order_lots: int = 10_000_000
    enforce_reduce_only: bool = True

    def __post_init__(self) -> None:
        if not 0.0 < self.liquidation_share <= 1.0:
            raise InputError(f"liquidation_share={self.liquidation_share}; expected a share above 0 and up to 1.")
        if self.quote_ttl_ns <= 0 or self.liquidation_step_ns <= 0 or self.margin_check_ns < 0:
            raise InputError(
                f"quote_ttl_ns={self.quote_ttl_ns}, liquidation_step_ns={self.liquidation_step_ns}, margin_check_ns="
                f"{self.margin_check_ns}; expected positive times (0 turns the margin check off)."
            )
        if self.assumed_size is not None and self.assumed_size <= 0:
            raise InputError(f"assumed_size={self.assumed_size}; expected contracts above zero, or none.")
