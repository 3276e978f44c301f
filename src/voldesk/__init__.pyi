# The names of `import voldesk as vd`, by subject. `__init__.py` loads them from here, type checkers read them here.
# ruff: noqa: I001, RUF022

__version__: str

# European options: Black-76, in spot, in coin; implied volatility
from voldesk.pricing import black
from voldesk.pricing.black import price, greeks, spot_greeks, coin_greeks
from voldesk.pricing.implied_vol import implied_vol, implied_vols, IvStatus

# American options, and what grids and trees are for
from voldesk.pricing.american import (
    price as american,
    greeks as american_greeks,
    implied_vol as american_implied_vol,
    exercise_boundary,
    Accuracy,
    AmericanIvStatus,
)
from voldesk.pricing import lattice, finite_difference
from voldesk.pricing.finite_difference import LocalVolGrid, LogJumps, PiecewiseRate
from voldesk.pricing.dividends import DividendSchedule

# Stochastic volatility and jumps: price, Greeks, derivatives in the parameters, fit to a chain
from voldesk.pricing.heston import (
    price as heston,
    greeks as heston_greeks,
    gradient as heston_gradient,
    calibrate as heston_calibrate,
    HestonParams,
)
from voldesk.pricing.grids.heston_pde import price as heston_american, greeks as heston_american_greeks
from voldesk.pricing.bates import (
    price as bates,
    greeks as bates_greeks,
    gradient as bates_gradient,
    calibrate as bates_calibrate,
    BatesParams,
)
from voldesk.pricing.merton import (
    price as merton,
    gradient as merton_gradient,
    calibrate as merton_calibrate,
    MertonParams,
)
from voldesk.pricing.transform.calibration import CalibrationStatus
from voldesk.pricing.transform.cos_method import price as cos_price
from voldesk.pricing.transform.fft_method import price as fft_price

# Simulation
from voldesk.pricing import monte_carlo
from voldesk.pricing.simulation.american import american as monte_carlo_american
from voldesk.pricing.simulation.models import Gbm, Schedule
from voldesk.pricing.simulation.payoffs import (
    European,
    Digital,
    Asian,
    Average,
    Barrier,
    BarrierKind,
    Lookback,
    Monitoring,
    PathFunction,
)

# Curves
from voldesk.pricing.curves import DiscountCurve, ForwardCurve, Interpolation

# Books
from voldesk.pricing.revalue import OptionBook, Scenarios, revalue

# Chains
from voldesk.adapters.feeds.chains import read_chain
from voldesk.surface.fit import ChainQuotes
from voldesk.surface.forward import parity_forwards, listed_forwards
from voldesk.surface.de_american import AmericanQuotes, implied_carry, de_americanised

# Surfaces
from voldesk.surface.fit import fit_surface, FitOptions, Surface
from voldesk.surface.reading import VolSurface
from voldesk.surface import svi, essvi, sabr, grid
from voldesk.surface.svi import SviRaw
from voldesk.surface.projection import project_arbitrage_free
from voldesk.surface.svi_fit import fit_slices as fit_svi_slices
from voldesk.surface.sabr import SabrParams
from voldesk.surface.grid import GridSurface
from voldesk.surface.local_vol import local_vol_grid

# What to read off them, and where volatility stands
from voldesk.surface import measures
from voldesk.surface.vol_index import vol_index, strip_variance, variance_swap_vol
from voldesk.surface.cone import volatility_cone as cone, iv_percentile, iv_rank

# Units and errors
from voldesk.core import units
from voldesk.core.errors import InputError, CalibrationError, MarketDataError

# fmt: off
__all__ = [
    "black", "price", "greeks", "spot_greeks", "coin_greeks", "implied_vol", "implied_vols", "IvStatus", "american",
    "american_greeks", "american_implied_vol", "exercise_boundary", "Accuracy", "AmericanIvStatus", "lattice",
    "finite_difference", "LocalVolGrid", "LogJumps", "PiecewiseRate", "DividendSchedule", "heston", "heston_greeks",
    "heston_gradient", "heston_calibrate", "heston_american", "heston_american_greeks", "bates", "bates_greeks",
    "bates_gradient", "bates_calibrate", "HestonParams", "BatesParams", "merton", "merton_gradient",
    "merton_calibrate", "MertonParams", "CalibrationStatus", "cos_price", "fft_price", "monte_carlo",
    "monte_carlo_american", "Gbm", "Schedule", "European", "Digital", "Asian", "Average", "Barrier", "BarrierKind",
    "Lookback", "Monitoring", "PathFunction", "DiscountCurve", "ForwardCurve", "Interpolation", "OptionBook",
    "Scenarios", "revalue", "read_chain", "ChainQuotes", "parity_forwards", "listed_forwards", "AmericanQuotes",
    "implied_carry", "de_americanised", "fit_surface", "FitOptions", "Surface", "VolSurface", "svi", "SviRaw",
    "project_arbitrage_free", "fit_svi_slices", "essvi", "sabr", "SabrParams", "grid", "GridSurface",
    "local_vol_grid", "measures", "vol_index", "strip_variance", "variance_swap_vol", "cone", "iv_percentile",
    "iv_rank", "units", "InputError", "CalibrationError", "MarketDataError",
]
