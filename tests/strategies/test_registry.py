import sys
from pathlib import Path

import pytest

from voldesk.core.errors import InputError
from voldesk.core.units import NS_PER_HOUR
from voldesk.strategies import registry
from voldesk.strategies.delta_hedger import DeltaHedger
from voldesk.strategies.gamma_scalper import GammaScalper
from voldesk.strategies.pq_trader import PqTrader
from voldesk.strategies.protocol import Strategy

ROOT = Path(__file__).resolve().parents[2]


def test_every_strategy_of_the_desk_is_registered_by_its_file_name() -> None:
    assert registry.load("pq_trader") is PqTrader
    assert registry.load("delta_hedger") is DeltaHedger
    assert registry.load("gamma_scalper") is GammaScalper
    found = set()
    for path in sorted((ROOT / "src/voldesk/strategies").glob("*.py")):
        text = path.read_text(encoding="utf-8")
        if "(Strategy):" in text:
            found.add(path.stem)
    assert found == set(registry.STRATEGIES)


def test_parameters_arrive_with_durations_as_people_write_them() -> None:
    made = registry.build("pq_trader", {"underlying": "BTC", "threshold": 0.04, "min_holding": "12h", "lots": 3})
    assert isinstance(made, PqTrader)
    assert made.params.min_holding_ns == 12 * NS_PER_HOUR
    assert (made.params.threshold, made.params.lots) == (0.04, 3)
    scalper = registry.build("gamma_scalper", {"underlying": "BTC", "band_rule": "fixed", "interval": "500ms"})
    assert isinstance(scalper, GammaScalper)
    assert scalper.params.interval_ns == 500_000_000


@pytest.mark.parametrize(
    ("name", "params", "says"),
    [
        ("pq_trader", {"underlying": "BTC", "treshold": 0.05}, "unknown parameter 'treshold'; did you mean threshold?"),
        ("pq_trader", {"underlying": "BTC", "xyzzy": 1}, "unknown parameter 'xyzzy'; known: underlying, tenor_days"),
        ("pq_trader", {}, "missing required field underlying"),
        ("pq_trader", {"underlying": "BTC", "lots": "many"}, r"lots=\'many\'; expected int, got str"),
        ("pq_trader", {"underlying": "BTC", "threshold": 5.0}, "looks like vol points"),
        ("pq_trader", {"underlying": "BTC", "min_holding": "soon"}, "min_holding='soon' is not a duration"),
        ("pq_trader", {"underlying": "BTC", "min_holding": "1h", "min_holding_ns": 5}, "given twice"),
        ("gamma_scalper", {"underlying": "BTC", "band_rule": "leland"}, "invalid enum value 'leland'"),
        ("delta_hedgre", {}, "did you mean delta_hedger?"),
        ("momentum", {}, "your own: my_module:MyStrategy"),
        ("nowhere_to_be_found:Mine", {}, "no module nowhere_to_be_found; put nowhere_to_be_found.py"),
        ("math:Mine", {}, "math has no Mine"),
        ("decimal:Decimal", {}, "is not a Strategy"),
    ],
)
def test_a_mistake_is_answered_in_one_line_with_its_remedy(name: str, params, says: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InputError, match=says.replace("?", r"\?") if "$" not in says else says) as caught:
        registry.build(name, params)
    assert "\n" not in str(caught.value)


def _write(folder: Path, name: str, text: str) -> None:
    (folder / f"{name}.py").write_text(text, encoding="utf-8")


@pytest.fixture
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


BASE = "from voldesk.strategies.protocol import Strategy\nclass Mine(Strategy):\n    pass\n"


def test_a_users_class_is_loaded_from_outside_the_package(outside: Path) -> None:
    _write(outside, "vd_plain", BASE)
    assert isinstance(registry.build("vd_plain:Mine", {}), Strategy)
    with pytest.raises(InputError, match="takes no parameters; remove lots"):
        registry.build("vd_plain:Mine", {"lots": 1})
    with pytest.raises(InputError, match=r"did you mean Mine\?"):
        registry.build("vd_plain:Minne", {})


def test_a_broken_user_module_says_what_is_wrong_with_it(outside: Path) -> None:
    _write(outside, "vd_syntax", "def broken(:\n")
    with pytest.raises(InputError, match=r"vd_syntax cannot be imported .SyntaxError: invalid syntax"):
        registry.load("vd_syntax:Mine")
    _write(outside, "vd_needs", "import surely_not_installed\n" + BASE)
    with pytest.raises(InputError, match="vd_needs needs surely_not_installed, which is not installed"):
        registry.load("vd_needs:Mine")
    _write(outside, "vd_params", BASE + "    class Params:\n        lots = 1\n")
    with pytest.raises(InputError, match=r"Params is no msgspec\.Struct"):
        registry.build("vd_params:Mine", {})


def test_the_example_strategy_sells_a_rich_straddle_and_buys_it_back(  # type: ignore[no-untyped-def]
    bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "examples"))
    made = registry.build("my_strategy:MyStrategy", {"underlying": "BTC", "lots": 5, "quiet": "1h"})
    assert made.subscriptions(bench.table).surfaces
    assert made.on_surface(bench.ctx, bench.surface(0.50)) == ()
    (sold,) = made.on_surface(bench.ctx, bench.surface(0.60))
    assert [(bench.table[leg.instrument].symbol, leg.lots) for leg in sold.legs] == [
        ("BTC-27MAR26-80000-C", -5),
        ("BTC-27MAR26-80000-P", -5),
    ]
    bench.fill((sold,))
    bench.at(bench.ctx.now_ns + 2 * NS_PER_HOUR)
    bench.quote_all(0.45)
    again = registry.build("my_strategy:MyStrategy", {"underlying": "BTC", "lots": 5, "quiet": "1h"})
    again.restore(made.state())
    (bought,) = again.on_surface(bench.ctx, bench.surface(0.45))
    assert bought.reduce_only
    assert [leg.lots for leg in bought.legs] == [5, 5]
    sys.modules.pop("my_strategy", None)
