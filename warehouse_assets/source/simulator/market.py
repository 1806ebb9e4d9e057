"""The world outside: weather, holidays, commodity prices, diesel, competitors. Nothing the company does itself."""

import numpy as np

from warehouse_assets.source.simulator.business_calendar import day_of_year, federal_holidays, weekday
from warehouse_assets.source.simulator.geography import REGIONS
from warehouse_assets.source.simulator.rows import Array, Block, Rows
from warehouse_assets.source.simulator.vocabulary import WORDS, code
from warehouse_assets.source.simulator.world import Month, World

#: US dollars a short ton around which each commodity's price wanders
COMMODITY_LEVELS = (95.0, 60.0, 320.0, 480.0, 1_450.0, 210.0, 18.0)
COMMODITY_VOLATILITY = (0.014, 0.016, 0.015, 0.018, 0.012, 0.012, 0.006)
_SERVICES_SEEN = ("residential_collection", "commercial_collection", "recycling")
_LIST_RATES = (34.0, 240.0, 130.0)


def open_market(world: World) -> None:
    """Set the levels from which prices wander."""
    world.memory["market"] = Rows(
        commodity=np.zeros(len(COMMODITY_LEVELS)),
        competitor=np.array([0.02, -0.03, 0.06, 0.0, 0.0, 0.0, 0.0]),
        diesel=np.full(len(COMMODITY_LEVELS), 3.85),
    )


def make_weather(month: Month) -> Rows:
    """Bring the month's weather; returns arrays of shape (depots, days): snow, rain, cold, high temperature.

    A yearly wave, a slow regional wave common to all depots, and local noise; rain by a gamma law on wet days.
    """
    rng = month.rng("weather")
    depots, days = len(month.master("depots")), len(month.days)
    season = np.cos(2 * np.pi * (day_of_year(month.days) - 200) / 365.25)
    front = np.convolve(rng.normal(0, 1, days + 4), np.full(5, 0.2), "valid") * 14
    high = 67 + 24 * season + front + rng.normal(0, 1.5, (depots, days))
    low = high - 19 - rng.normal(0, 3, (depots, days)).clip(-8, 8)
    wet = rng.random(days) < 0.28 + 0.06 * season
    amount = np.where(wet, rng.gamma(0.8, 0.45, (depots, days)), 0.0)
    freezing = (high + low) / 2 < 31
    snow = np.where(freezing, amount * 9, 0.0)
    wind = rng.gamma(6, 1.6, (depots, days))
    depot, day = np.repeat(month.master("depots")["depot_id"], days), np.tile(month.days, depots)
    month.bring(
        Block(
            "weather",
            Rows(
                depot_id=depot,
                weather_date=day,
                temperature_max_f=np.round(high, 1).ravel(),
                temperature_min_f=np.round(low, 1).ravel(),
                precipitation_inches=np.round(amount, 2).ravel(),
                snow_inches=np.round(snow, 2).ravel(),
                wind_mph=np.round(wind, 1).ravel(),
            ),
            month.local.utc(day, 1_435.0),
        )
    )
    return Rows(snow=snow, rain=np.where(freezing, 0, amount), cold=np.clip(30 - low, 0, None), high=high)


def make_prices(month: Month) -> Array:
    """Bring commodity prices and competitors' rates; returns the price of diesel on each day, US dollars a gallon."""
    rng = month.rng("prices")
    memory = month.memory("market")
    days = len(month.days)
    volatility = np.array(COMMODITY_VOLATILITY)[:, None]
    path = np.empty((len(COMMODITY_LEVELS), days))
    level = memory["commodity"].copy()
    steps = rng.normal(0, 1, path.shape) * volatility
    for number in range(days):  # a random walk that is pulled back to its level over about two years
        level = level * 0.9985 + steps[:, number]
        path[:, number] = level
    diesel = memory["diesel"][0] * np.exp(np.cumsum(rng.normal(0, 0.006, days)))
    diesel = np.clip(diesel, 2.9, 5.6)
    quoted = np.flatnonzero(weekday(month.days) <= 5)
    region_part = np.array([0.03, -0.02, 0.0, -0.01])
    price = np.array(COMMODITY_LEVELS)[:, None, None] * np.exp(path[:, None, quoted] + region_part[None, :, None])
    commodity, region, day = np.meshgrid(
        np.arange(len(COMMODITY_LEVELS)), np.arange(len(REGIONS)), month.days[quoted], indexing="ij"
    )
    month.bring(
        Block(
            "commodity_prices",
            Rows(
                commodity=commodity.ravel(),
                region=np.array(REGIONS, dtype="S8")[region.ravel()],
                price_date=day.ravel(),
                price_usd_per_ton=np.round(price, 2).ravel(),
            ),
            month.local.utc(day.ravel(), 17 * 60.0),
        )
    )
    _bring_competitor_rates(month, rng, memory)
    memory["commodity"] = level
    memory["commodity_price"] = np.array(COMMODITY_LEVELS) * np.exp(level)
    memory["diesel"] = np.full(len(COMMODITY_LEVELS), diesel[-1])
    return np.asarray(diesel)


def _bring_competitor_rates(month: Month, rng: np.random.Generator, memory: Rows) -> None:
    competitors = len(WORDS["competitor"])
    markup = memory["competitor"]
    markup[:competitors] += rng.normal(0.003, 0.008, competitors)
    seen = month.days[weekday(month.days) == 3][::2]
    competitor, service, region, day = np.meshgrid(
        np.arange(competitors), np.arange(len(_SERVICES_SEEN)), np.arange(len(REGIONS)), seen, indexing="ij"
    )
    rate = np.array(_LIST_RATES)[service] * np.exp(markup[competitor] + rng.normal(0, 0.02, competitor.shape))
    codes = np.array([code("service_type", word) for word in _SERVICES_SEEN])
    month.bring(
        Block(
            "competitor_rates",
            Rows(
                competitor=competitor.ravel(),
                service_type=codes[service.ravel()],
                region=np.array(REGIONS, dtype="S8")[region.ravel()],
                observed_date=day.ravel(),
                monthly_rate_usd=np.round(rate, 2).ravel(),
            ),
            month.local.utc(day.ravel(), 15 * 60.0),
        )
    )


def make_holidays(month: Month) -> None:
    """Bring the holidays: two years ahead at the start, another year each December."""
    year, in_december = month.start.year, month.start.month == 12
    if not month.is_first and not in_december:
        return
    years = range(year if month.is_first else year + 3, year + 4 if in_december else year + 3)
    named = [entry for year in years for entry in federal_holidays(year)]
    days = np.array([day for day, _, _ in named], dtype="datetime64[D]")
    appears = np.full(len(days), month.opening if month.is_first else month.local.utc(month.days[:1], 480)[0])
    month.bring(
        Block(
            "holidays",
            Rows(
                holiday_date=days,
                name=np.array([name for _, name, _ in named], dtype="S32"),
                is_collection_shifted=np.array([shifts for _, _, shifts in named]),
            ),
            appears,
        )
    )
