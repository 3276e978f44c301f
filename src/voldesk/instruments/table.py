"""Every instrument of a run under a dense integer id, with the columns that array code needs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from voldesk.core.arrays import BoolArray, FloatArray, IntArray
from voldesk.core.errors import InputError
from voldesk.instruments.spec import Instrument


class InstrumentTable:
    """Grows only; an id once given never changes. Columns are float64/int64 arrays indexed by id.

    strike, expiry_ns (0: none), is_call, kind, multiplier, contract_size (multiplier x lot, per lot),
    tick (base step), underlying (index into `underlyings`).
    """

    def __init__(self, instruments: Iterable[Instrument] = ()) -> None:
        self._instruments: list[Instrument] = []
        self._by_symbol: dict[str, int] = {}
        self.underlyings: list[str] = []
        self._stale = True
        for instrument in instruments:
            self.add(instrument)

    def add(self, instrument: Instrument) -> int:
        """Id of the instrument, new or known. Raises InputError if the symbol is known with other terms."""
        known = self._by_symbol.get(instrument.symbol)
        if known is not None:
            if self._instruments[known] != instrument:
                raise InputError(f"instrument={instrument.symbol} is known with other terms; expected one definition.")
            return known
        self._by_symbol[instrument.symbol] = len(self._instruments)
        self._instruments.append(instrument)
        if instrument.underlying not in self.underlyings:
            self.underlyings.append(instrument.underlying)
        self._stale = True
        return len(self._instruments) - 1

    def __len__(self) -> int:
        return len(self._instruments)

    def __iter__(self) -> Iterator[Instrument]:
        return iter(self._instruments)

    def __getitem__(self, instrument: int) -> Instrument:
        return self._instruments[instrument]

    def __contains__(self, symbol: str) -> bool:
        return symbol in self._by_symbol

    def id_of(self, symbol: str) -> int:
        """Raises InputError naming the symbol when it is not listed."""
        try:
            return self._by_symbol[symbol]
        except KeyError:
            raise InputError(
                f"instrument={symbol} is not listed ({len(self)} are); check its spelling or the data."
            ) from None

    def instruments(self) -> Sequence[Instrument]:
        return tuple(self._instruments)

    def _refresh(self) -> None:
        if not self._stale:
            return
        items = self._instruments
        self._strike = np.array([float(i.strike) for i in items])
        self._expiry_ns = np.array([i.expiry_ns for i in items], np.int64)
        self._is_call = np.array([i.is_call for i in items], np.bool_)
        self._kind = np.array([int(i.kind) for i in items], np.int64)
        self._settlement = np.array([int(i.settlement) for i in items], np.int64)
        self._multiplier = np.array([float(i.multiplier) for i in items])
        self._contract_size = np.array([float(i.multiplier * i.lot) for i in items])
        self._tick = np.array([float(i.ticks.base) for i in items])
        self._underlying = np.array([self.underlyings.index(i.underlying) for i in items], np.int64)
        self._stale = False

    @property
    def strike(self) -> FloatArray:
        self._refresh()
        return self._strike

    @property
    def expiry_ns(self) -> IntArray:
        self._refresh()
        return self._expiry_ns

    @property
    def is_call(self) -> BoolArray:
        self._refresh()
        return self._is_call

    @property
    def kind(self) -> IntArray:
        self._refresh()
        return self._kind

    @property
    def settlement(self) -> IntArray:
        self._refresh()
        return self._settlement

    @property
    def multiplier(self) -> FloatArray:
        self._refresh()
        return self._multiplier

    @property
    def contract_size(self) -> FloatArray:
        """Underlying units (or USD, inverse futures) in one lot."""
        self._refresh()
        return self._contract_size

    @property
    def tick(self) -> FloatArray:
        self._refresh()
        return self._tick

    @property
    def underlying(self) -> IntArray:
        self._refresh()
        return self._underlying
