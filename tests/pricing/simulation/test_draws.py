"""Draws of Monte Carlo: nets stay nets, complements mirror, quantile and bridge exact, compiled = plain = vectorised."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtri

from voldesk.core.compiled import plain
from voldesk.core.errors import InputError
from voldesk.core.rng import random_stream
from voldesk.pricing.simulation import draws as mc_draws
from voldesk.pricing.simulation.array_namespace import Backend, namespace, resolve
from voldesk.pricing.simulation.draws import (
    Sampling,
    bridge,
    bridge_rows,
    bridged,
    draw,
    normal_rows,
    normals,
    uniforms,
)


def _draws(dimensions: int, bits: int, name: str = "a", **options: object) -> np.ndarray:
    return draw(Sampling.SOBOL, dimensions, bits, random_stream(5, name), **options)


def test_every_scrambled_dimension_has_one_point_in_each_cell() -> None:
    for bits in (1, 5, 12):
        cells = np.sort(_draws(300, bits) >> np.uint32(32 - bits), axis=1)
        assert np.array_equal(cells, np.broadcast_to(np.arange(1 << bits), cells.shape))


def test_the_first_two_dimensions_are_a_zero_net_after_scrambling() -> None:
    # Sobol's first two dimensions form a (0, 8, 2)-net: one point in each box of 2^-a by 2^-(8 - a), for every a.
    points = _draws(2, 8)
    for a in range(9):
        box = (points[0] >> np.uint32(32 - a) if a else np.zeros(256, np.uint32)) * (1 << (8 - a))
        box = box + (points[1] >> np.uint32(24 + a) if a < 8 else 0)
        assert np.array_equal(np.sort(box), np.arange(256))


def test_scrambled_points_are_uniform_over_seeds() -> None:
    # Point 3 of dimension 7 in 4,000 scramblings: each sixteenth is hit 250 times, chi-squared of 15 degrees.
    first = np.array([draw(Sampling.SOBOL, 8, 2, random_stream(s, "u"))[7, 3] for s in range(4000)])
    counts = np.bincount(first >> np.uint32(28), minlength=16)
    assert ((counts - 250.0) ** 2 / 250.0).sum() < 37.7  # one in a thousand


def test_vectorised_points_are_the_compiled_ones() -> None:
    assert np.array_equal(_draws(40, 9), _draws(40, 9, backend=Backend.NUMPY))


def test_antithetic_half_mirrors_the_other_exactly() -> None:
    points = _draws(6, 8, antithetic=True)
    assert points.shape == (6, 256)
    z = normals(points, np)
    assert np.array_equal(z[:, :128], -z[:, 128:])
    u = uniforms(points, np)
    assert np.array_equal(u[:, :128], 1.0 - u[:, 128:])


def test_normals_are_the_quantile_to_1e_8_over_all_draws() -> None:
    words = np.concatenate(
        [
            np.arange(5000, dtype=np.uint32),
            np.geomspace(1.0, 2.0**31, 200_000).astype(np.uint32),
            np.uint32(2**32 - 1) - np.arange(5000, dtype=np.uint32),
        ]
    )[None]
    expected = ndtri(np.minimum(uniforms(words, np), 0.5))  # ndtri(1 - u) would lose the tail of u near one
    mirrored = ndtri(np.minimum(uniforms(~words, np), 0.5))
    expected = np.where(words < 2**31, expected, -mirrored)
    got = normals(words, np)
    assert np.max(np.abs(got - expected) / np.abs(expected)) < 1e-8
    out = np.empty(words.shape)
    normal_rows(words, 0, 1, 0, out)
    assert np.max(np.abs(out - got)) < 4e-15
    few = np.ascontiguousarray(words[:, ::2000])
    slow = np.empty(few.shape)
    plain(normal_rows)(few, 0, 1, 0, slow)
    assert np.max(np.abs(slow - normals(few, np))) < 4e-15


def test_bridge_has_the_covariance_of_brownian_motion() -> None:
    clock = np.array([0.1, 0.15, 0.4, 0.4, 1.0, 1.7, 3.0])  # a step of no variance included
    path = bridge(clock)
    factor = bridged(np.eye(7), path, np)[1:]
    assert np.max(np.abs(factor @ factor.T - np.minimum.outer(clock, clock))) < 1e-15
    assert np.max(np.abs(factor[-1] - np.sqrt(3.0) * np.eye(7)[0])) < 1e-15  # the first draw alone fixes the end


def test_bridge_is_the_same_compiled_plain_and_vectorised() -> None:
    z = normals(_draws(33, 6), np)
    path = bridge(np.cumsum(np.linspace(0.01, 0.1, 33)))
    expected = bridged(z, path, np)
    for kernel in (bridge_rows, plain(bridge_rows)):
        out = np.empty((34, 64))
        kernel(z, *path, out)
        assert np.max(np.abs(out - expected)) < 1e-14


def test_scramble_kernel_equals_its_plain_twin() -> None:
    rng = random_stream(1, "matrix")
    directions = mc_draws._directions(5, 6)
    lower = rng.integers(0, 2**32, (5, 32), np.uint32)
    fast, slow = np.empty_like(directions), np.empty_like(directions)
    mc_draws._matrix_scramble(directions, lower, fast)
    plain(mc_draws._matrix_scramble)(directions, lower, slow)
    assert np.array_equal(fast, slow)
    a, b = np.empty((5, 64), np.uint32), np.empty((5, 64), np.uint32)
    mc_draws._fill(directions, lower[:, 0].copy(), a)
    plain(mc_draws._fill)(directions, lower[:, 0].copy(), b)
    assert np.array_equal(a, b)


def test_too_many_dimensions_are_refused_with_a_remedy() -> None:
    with pytest.raises(InputError, match=r"at most 21201\. Take fewer steps"):
        draw(Sampling.SOBOL, 21_202, 3, random_stream(1, "x"))


def test_cupy_is_asked_for_by_name_and_its_absence_is_one_clear_line() -> None:
    try:
        import cupy  # noqa: F401
    except ImportError:
        with pytest.raises(InputError, match=r"cupy cannot be imported.*Install cupy-cuda12x") as caught:
            namespace(Backend.CUPY)
        assert "\n" not in str(caught.value)
        assert resolve(Backend.AUTO) is Backend.COMPILED
    assert resolve(Backend.NUMPY) is Backend.NUMPY
    assert namespace(Backend.COMPILED) is np
