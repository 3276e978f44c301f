import numpy as np
import pytest

from voldesk.core.compiled import plain
from voldesk.core.errors import InputError
from voldesk.core.rng import random_stream
from voldesk.stats.bootstrap import Blocks, Statistic, block_bootstrap, resampled_moments


def test_the_kernel_equals_its_plain_twin_and_numpy() -> None:
    rng = random_stream(1, "bootstrap")
    values = rng.normal(3.0, 2.0, 40)
    starts = rng.integers(0, 40, (20, 40))
    renew = rng.random((20, 40)) < 0.2
    fast, slow = np.empty((20, 2)), np.empty((20, 2))
    resampled_moments(values, starts, renew, fast)
    plain(resampled_moments)(values, starts, renew, slow)
    assert np.max(np.abs(fast - slow)) < 1e-14
    for r in range(20):
        path, position = [], 0
        for i in range(40):
            position = starts[r, i] if renew[r, i] or i == 0 else (position + 1) % 40
            path.append(values[position])
        assert fast[r, 0] == pytest.approx(np.mean(path), abs=1e-13)
        assert fast[r, 1] == pytest.approx(np.var(path, ddof=1), abs=1e-12)


@pytest.mark.parametrize("blocks", list(Blocks))
def test_blocks_of_one_give_the_textbook_standard_error(blocks: Blocks) -> None:
    values = random_stream(2, "bootstrap").normal(0.0, 1.0, 400)
    found = block_bootstrap(
        values, Statistic.MEAN, random_stream(7, "draws"), blocks=blocks, block_length=1, replications=8000
    )
    half = 1.96 * values.std() / 20.0
    assert found.status == "ok"
    assert found.low == pytest.approx(found.estimate - half, abs=0.06 * half)
    assert found.high == pytest.approx(found.estimate + half, abs=0.06 * half)


@pytest.mark.parametrize("blocks", list(Blocks))
def test_blocks_see_dependence_that_single_draws_miss(blocks: Blocks) -> None:
    noise = random_stream(3, "bootstrap").normal(size=2009)
    series = np.convolve(noise, np.ones(10), "valid")
    single = block_bootstrap(series, Statistic.MEAN, random_stream(1, "d"), blocks=blocks, block_length=1)
    block = block_bootstrap(series, Statistic.MEAN, random_stream(1, "d"), blocks=blocks, block_length=50)
    # True ratio of standard errors: sqrt(100 / 10) = 3.16.
    assert 2.2 < (block.high - block.low) / (single.high - single.low) < 3.8


def test_the_interval_of_independent_data_covers_as_often_as_it_says() -> None:
    rng = random_stream(4, "bootstrap")
    covered = 0
    for _ in range(200):
        found = block_bootstrap(rng.normal(1.0, 1.0, 150), Statistic.MEAN, rng, block_length=3, replications=400)
        covered += found.low <= 1.0 <= found.high
    assert 0.87 <= covered / 200 <= 0.99


def test_sum_and_sharpe_are_the_statistics_they_are_called() -> None:
    values = random_stream(5, "bootstrap").normal(0.1, 1.0, 100)
    total = block_bootstrap(values, Statistic.SUM, random_stream(1, "d"))
    mean = block_bootstrap(values, Statistic.MEAN, random_stream(1, "d"))
    assert total.estimate == pytest.approx(values.sum(), rel=1e-12)
    assert total.high == pytest.approx(100.0 * mean.high, rel=1e-12)
    ratio = block_bootstrap(values, Statistic.SHARPE, random_stream(1, "d"), periods_per_year=252.0)
    assert ratio.estimate == pytest.approx(values.mean() / values.std(ddof=1) * np.sqrt(252.0), rel=1e-12)
    assert ratio.low < ratio.estimate < ratio.high


def test_the_same_generator_gives_the_same_interval() -> None:
    values = random_stream(6, "bootstrap").normal(size=60)
    assert block_bootstrap(values, Statistic.SUM, random_stream(9, "d")) == block_bootstrap(
        values, Statistic.SUM, random_stream(9, "d")
    )


def test_what_has_no_interval_says_why() -> None:
    rng = random_stream(1, "d")
    assert block_bootstrap(np.ones(3), Statistic.MEAN, rng).status == "too_short"
    assert block_bootstrap(np.array([1.0, np.nan] * 5), Statistic.MEAN, rng).status == "not_finite"
    assert block_bootstrap(np.zeros(50), Statistic.SHARPE, rng).status == "no_variation"
    with pytest.raises(InputError, match="block_length=200"):
        block_bootstrap(np.ones(50), Statistic.MEAN, rng, block_length=200)
    with pytest.raises(InputError, match="level=95"):
        block_bootstrap(np.ones(50), Statistic.MEAN, rng, level=95.0)
