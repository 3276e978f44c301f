"""The settings of a run: YAML with environment substitution, checked to the last key.

Layers, later wins: defaults below < the file < `--set key.path=value`. Unknown keys are refused with the nearest
known one. Secrets never stand here: `${NAME}` reads the environment.
"""

from __future__ import annotations

import datetime as dt
import difflib
import os
import re
import reprlib
from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
    field_validator,
)

from voldesk.app.run_notes import see_strategies
from voldesk.core.durations import format_duration, parse_duration
from voldesk.core.errors import InputError
from voldesk.core.units import NS_PER_DAY, NS_PER_HOUR, NS_PER_MINUTE, NS_PER_MS, NS_PER_SECOND
from voldesk.risk.limits import limit
from voldesk.strategies import registry


def _duration(value: object) -> int:
    try:
        return parse_duration(value)
    except InputError as error:
        raise ValueError(str(error).rstrip(".")) from None  # what pydantic understands


Duration = Annotated[int, BeforeValidator(_duration), PlainSerializer(format_duration, when_used="json")]
"""Nanoseconds, written as text; a bare number is refused because nobody can tell its unit."""


def _instant(value: object) -> object:
    return value.isoformat() if isinstance(value, dt.date) else value


Instant = Annotated[str, BeforeValidator(_instant)]
"""Text such as 2026-01-05T00:00:00Z, which YAML without quotes would make a date of."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class MarketConfig(_Section):
    """Where rows come from, and what is assumed where a recording is silent."""

    source: Literal["recording", "synthetic"] = "recording"
    path: str = ""
    underlying: str = "BTC"
    assumed_size: float = Field(10.0, gt=0)  # contracts shown on each side where sizes were not recorded
    perp_spread: float = Field(0.0001, ge=0, lt=0.05)  # relative, of the perpetual quoted around the recorded index
    quote_ttl: Duration = 30 * NS_PER_MINUTE
    feed_delay: Duration = 20 * NS_PER_MS
    allow_damaged: bool = False  # replay what is whole of a recording with unreadable files; the report names the rest


class SyntheticMarketConfig(_Section):
    """The seeded market: see sim/synthetic_market.py for the dynamics."""

    start: Instant = "2026-01-05T00:00:00Z"
    duration: Duration = 30 * NS_PER_DAY
    step: Duration = NS_PER_SECOND
    chain_step: Duration = 10 * NS_PER_SECOND
    snapshot_steps: int = Field(6, ge=1)  # chain steps from one whole-chain snapshot to the next
    initial_spot: float = Field(90_000.0, gt=0)
    variance_premium: float = Field(1.15, gt=0)  # market variance over physical variance, on average
    history_days: int = Field(400, ge=0)


class VenueConfig(_Section):
    order_latency: Duration = Field(20 * NS_PER_MS, ge=1)
    report_latency: Duration = Field(20 * NS_PER_MS, ge=1)
    funding_rate: Decimal = Decimal("0.0001")  # per funding interval
    funding_interval: Duration = 8 * NS_PER_HOUR
    margin_model: Literal["standard", "portfolio"] = "standard"
    margin_check: Duration = NS_PER_MINUTE


class AccountConfig(_Section):
    currency: str = "BTC"
    deposit: Decimal = Decimal("10")
    numeraire: Literal["coin", "usd"] = "coin"
    hedge_collateral: bool = False

    @field_validator("deposit")
    @classmethod
    def _positive(cls, value: Decimal) -> Decimal:
        if not value.is_finite() or value <= 0:
            raise ValueError(f"deposit {value} is not a positive amount; write it as text, such as '10'")
        return value


class ForecastConfig(_Section):
    model: Literal["har", "garch", "naive"] = "har"
    horizon: Duration = 14 * NS_PER_DAY
    seed_prices: str = ""  # folder or file of daily prices before the first row
    seed_symbol: str = ""  # of those prices; <underlying>-USD when left out


class ExecutionConfig(_Section):
    timeout: Duration = 30 * NS_PER_SECOND
    retries: int = Field(3, ge=0, le=20)
    slippage_ticks: int = Field(2, ge=0, le=1000)
    retry_ticks: int = Field(2, ge=0, le=1000)  # further with each retry
    patience: Duration = Field(10 * NS_PER_SECOND, ge=1)  # until an unanswered cancel is asked for again


class LimitConfig(_Section):
    """One limit on top of the preset, or in its place: {code, value, unit, scope}."""

    code: str
    value: float = Field(gt=0)
    unit: str
    scope: str


class RiskConfig(_Section):
    preset: Literal["btc", "us_equity", "cffex", "requirement"] = "btc"
    limits: tuple[LimitConfig, ...] = ()
    benchmark: str = ""  # the index that portfolio deltas are weighted to
    betas: dict[str, float] = {}  # of each underlying to it


class EngineConfig(_Section):
    compute_latency: Duration = Field(250 * NS_PER_MS, ge=1)  # from asking for a fit or forecast to having it
    mark_interval: Duration = 0  # marks beside those at snapshots; 0 for none
    sync_journal: bool = False  # wait for the disk at every flush
    snapshot_every: Duration = Field(NS_PER_MINUTE, ge=NS_PER_MS)  # wall time between snapshots of a paper desk


class StrategyConfig(BaseModel):
    """`strategy` is a known name or `module:Class`; every other key is a parameter of that strategy."""

    model_config = ConfigDict(extra="allow", frozen=True)
    strategy: str

    @property
    def parameters(self) -> dict[str, Any]:
        return dict(self.model_extra or {})


class BookConfig(_Section):
    name: str
    strategies: tuple[StrategyConfig, ...] = Field(min_length=1)
    share: Decimal = Field(Decimal(1), gt=0, le=1)  # of the account's deposit


class RunConfig(_Section):
    """Everything a run depends on besides its data. The resolved form is written into the run folder."""

    name: str  # also of the run folder
    seed: int = Field(7, ge=0, lt=2**63)
    market: MarketConfig = MarketConfig()
    synthetic: SyntheticMarketConfig = SyntheticMarketConfig()
    venue: VenueConfig = VenueConfig()
    account: AccountConfig = AccountConfig()
    forecast: ForecastConfig = ForecastConfig()
    execution: ExecutionConfig = ExecutionConfig()
    risk: RiskConfig = RiskConfig()
    engine: EngineConfig = EngineConfig()
    books: tuple[BookConfig, ...] = Field(min_length=1)

    @field_validator("name")
    @classmethod
    def _name(cls, name: str) -> str:
        if not re.fullmatch(r"\w[\w.-]{0,63}", name):
            raise ValueError(f"{name!r} cannot name a folder; use letters, digits, '.', '_' and '-'")
        return name

    @field_validator("books")
    @classmethod
    def _books(cls, books: tuple[BookConfig, ...]) -> tuple[BookConfig, ...]:
        names = [book.name for book in books]
        if len(set(names)) != len(names):
            raise ValueError(f"book names {names} repeat; give each its own")
        if sum(book.share for book in books) > 1:
            raise ValueError(f"book shares {[str(book.share) for book in books]} add up to more than 1 of the deposit")
        return books


_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")


def _substitute(text: str, environment: Mapping[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        name, fallback = match.group(1), match.group(2)
        if name in environment:
            return environment[name]
        if fallback is not None:
            return fallback
        raise InputError(f"environment variable {name} is not set; export it or write ${{{name}:-default}}.")

    return _VARIABLE.sub(value, text)


def _nearest(key: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    return f"nearest known key is '{close[0]}'" if close else f"known keys: {', '.join(sorted(known))}"


def _keys_at(model: type[BaseModel], path: Sequence[str | int]) -> list[str]:
    """Known keys of the section that a validation error's path leads to."""
    current: Any = model
    for part in path:
        if isinstance(part, int) or not (isinstance(current, type) and issubclass(current, BaseModel)):
            continue
        field = current.model_fields.get(part)
        if field is None:
            break
        arguments = getattr(field.annotation, "__args__", ())
        current = next((a for a in arguments if isinstance(a, type) and issubclass(a, BaseModel)), field.annotation)
    return list(current.model_fields) if isinstance(current, type) and issubclass(current, BaseModel) else []


def _one_line(error: ValidationError, where: str) -> str:
    first = error.errors(include_url=False)[0]
    path = list(first["loc"])
    name = ".".join(str(part) for part in path)
    if first["type"] == "extra_forbidden":
        return f"{where}: unknown key '{name}'; {_nearest(str(path[-1]), _keys_at(RunConfig, path[:-1]))}."
    if first["type"] == "missing":
        return f"{where}: '{name}' is missing; add it."
    if first["type"] == "value_error":  # our own validators' words hold the value
        return f"{where}: {name}: {first['msg'].removeprefix('Value error, ')}."
    expected = first["msg"].partition(", unable")[0].replace("Input should", "expected to").replace("to be", "", 1)
    return f"{where}: {name}={reprlib.repr(first['input'])}; {' '.join(expected.split())}."


class _OnceLoader(yaml.SafeLoader):
    """Refuses a key that stands twice in one section, of which YAML would keep the last and say nothing."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            name = str(key.value)
            if name in seen:
                problem = f"key '{name}' stands twice in one section"
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
            seen.add(name)
        return super().construct_mapping(node, deep)


def _parse(text: str, where: str) -> Any:
    try:
        return yaml.load(text, _OnceLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f" line {mark.line + 1}" if mark else ""
        raise InputError(
            f"{where}{place}: not valid YAML ({getattr(error, 'problem', error)}); mend the file."
        ) from None


def _override(raw: dict[str, Any], assignment: str) -> None:
    key, separator, text = assignment.partition("=")
    if not separator or not key:
        raise InputError(f"--set {assignment!r}: expected key.path=value, such as --set account.deposit=5.")
    target: Any = raw
    *parents, last = key.split(".")
    for parent in parents:
        if isinstance(target, list):
            if not parent.isdigit() or int(parent) >= len(target):
                raise InputError(f"--set {key}: '{parent}' is not an entry of that list (0..{len(target) - 1}).")
            target = target[int(parent)]
        else:
            target = target.setdefault(parent, {})
        if not isinstance(target, dict | list):
            raise InputError(f"--set {key}: '{parent}' holds a value, not a section.")
    value = _parse(text, f"--set {key}")
    if isinstance(target, list):
        if not last.isdigit() or int(last) >= len(target):
            raise InputError(f"--set {key}: '{last}' is not an entry of that list (0..{len(target) - 1}).")
        target[int(last)] = value
    else:
        target[last] = value


def parse_config(
    text: str, where: str, overrides: Sequence[str] = (), environment: Mapping[str, str] | None = None
) -> RunConfig:
    """A checked configuration from YAML text. Raises InputError with one line: place, value, expectation, remedy."""
    raw = _parse(_substitute(text, os.environ if environment is None else environment), where)
    if raw is None:
        raise InputError(f"{where} is empty; expected sections (name, market, books, ...), see config/ for examples.")
    if not isinstance(raw, dict):
        raise InputError(
            f"{where}: expected a mapping of sections (name, market, books, ...), got {type(raw).__name__}."
        )
    for assignment in overrides:
        _override(raw, assignment)
    try:
        return RunConfig.model_validate(raw)
    except ValidationError as error:
        raise InputError(_one_line(error, where)) from None
    except InvalidOperation:
        raise InputError(f"{where}: a number is not readable; write amounts as text, such as '10'.") from None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; check the path (config/ holds examples).") from None
    except (UnicodeDecodeError, IsADirectoryError):
        raise InputError(f"{path}: not a text file; expected YAML such as config/gamma_scalp_btc.yaml.") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the path and its permissions.") from None


def read_yaml(path: Path) -> Any:
    """What a YAML file says, unchecked, with the environment substituted. Raises InputError."""
    return _parse(_substitute(_read(path), os.environ), path.name)


def load_config(path: Path, overrides: Sequence[str] = ()) -> RunConfig:
    """As `parse_config`, from a file, with its strategies and limits tried out.

    Strategies of one's own may lie beside the file.
    """
    config = parse_config(_read(path), path.name, overrides)
    see_strategies(path.parent)
    try:
        for book in config.books:
            for item in book.strategies:
                registry.build(item.strategy, item.parameters)
        for changed in config.risk.limits:
            limit(changed.code, changed.value, changed.unit, changed.scope)
    except InputError as error:
        raise InputError(f"{path.name}: {error}") from error
    return config


def dump_config(config: RunConfig) -> str:
    """The resolved configuration as YAML that `parse_config` reads back to the same value."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
