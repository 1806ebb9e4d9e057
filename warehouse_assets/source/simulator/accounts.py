"""Customers when they arrive: accounts, places, agreements, prices, containers. Their later life: ``life.py``."""

import numpy as np

from warehouse_assets.source.simulator.geography import place_locations
from warehouse_assets.source.simulator.names import business_names, email_addresses, person_names, telephone_numbers
from warehouse_assets.source.simulator.randomness import chances
from warehouse_assets.source.simulator.routes import choose_patterns
from warehouse_assets.source.simulator.rows import NO_DAY, Array, Block, Rows
from warehouse_assets.source.simulator.vocabulary import code
from warehouse_assets.source.simulator.world import Month

RESIDENTIAL, COMMERCIAL, INDUSTRIAL, MUNICIPAL = range(4)
TYPE_SHARES = (0.40, 0.42, 0.10, 0.08)
RESIDENTIAL_COLLECTION, COMMERCIAL_COLLECTION, RECYCLING, ORGANICS, ROLL_OFF = range(5)

#: probability that a place of a customer type takes a service (rows: customer type, columns: service type)
_TAKES = np.array(
    [
        [1.00, 0.00, 0.78, 0.22, 0.00],
        [0.00, 1.00, 0.66, 0.16, 0.00],
        [0.00, 1.00, 0.55, 0.05, 0.45],
        [0.00, 1.00, 0.75, 0.25, 0.00],
    ]
)
_LIFTS = np.array([0.5, 1, 2, 3, 4, 5, 6])
_LIFTS_SHARES = {
    RESIDENTIAL_COLLECTION: (0, 1, 0, 0, 0, 0, 0),
    COMMERCIAL_COLLECTION: (0, 0.08, 0.19, 0.27, 0.10, 0.22, 0.14),
    RECYCLING: (0, 0.22, 0.30, 0.24, 0.08, 0.16, 0),
    ORGANICS: (0, 0.45, 0.35, 0.20, 0, 0, 0),
    ROLL_OFF: (0.35, 0.45, 0.20, 0, 0, 0, 0),
}
_CAPACITIES = np.array([2.0, 4.0, 6.0, 8.0])


def latent_traits(rng: np.random.Generator, customer_type: Array) -> Rows:
    """Return what nobody records of new customers, and what decides how they behave.

    ``_discipline`` (0-1, 1 pays on time), ``_sessions`` (portal sessions a month, 0 for those who never log in),
    ``_access`` (how hard they are to serve), ``_complains`` (how readily), ``_mood`` (bias of survey answers),
    ``_contaminates``, and the states ``_volume``, ``_engagement`` (levels around 1), ``_decline``, ``_trouble``,
    ``_stress`` (months left of a decline, of bad service, of money trouble).
    """
    count = len(customer_type)
    users = np.array([0.62, 0.85, 0.90, 0.92])[customer_type]
    base = np.array([1.3, 3.0, 4.0, 5.0])[customer_type]
    return Rows(
        _discipline=rng.beta(4.5, 1.5, count),
        _sessions=np.where(chances(rng, users, count), base * rng.lognormal(0, 0.55, count), 0.0),
        _access=rng.lognormal(-0.15, 0.6, count),
        _complains=rng.lognormal(-0.2, 0.7, count),
        _mood=rng.normal(0, 1, count),
        _contaminates=rng.beta(1.2, 14, count),
        _volume=np.ones(count),
        _engagement=np.ones(count),
        _decline=np.zeros(count, dtype=np.int64),
        _trouble=np.zeros(count, dtype=np.int64),
        _stress=np.zeros(count, dtype=np.int64),
    )


def open_accounts(
    month: Month, purpose: str, created_at: Array, first_service: Array, channel: Array, customer_type: Array
) -> Array:
    """Open accounts with places, agreements and containers; returns their positions among the customers.

    Args:
        month: the month in which they appear.
        purpose: name of the random stream.
        created_at: when each account is opened (UTC).
        first_service: first day of service of each.
        channel: how each was won (codes of acquisition_channel).
        customer_type: kind of each (codes).
    """
    rng = month.rng(purpose)
    customers, home = _enter_customers(month, rng, created_at, channel, customer_type)
    owners = np.repeat(np.arange(len(created_at)), _places(rng, customer_type))
    locations = _enter_places(month, rng, customers, home, owners)
    _sign_first_agreements(month, rng, locations, customer_type[owners], first_service[owners])
    _record_consents(month, rng, customers["customer_id"], created_at)
    return customers["customer_id"] - 1


def _enter_customers(
    month: Month, rng: np.random.Generator, created_at: Array, channel: Array, customer_type: Array
) -> tuple[Rows, Rows]:
    """Add new customers; returns them, and the place at which each lives or works."""
    count = len(created_at)
    people = customer_type == RESIDENTIAL
    names = np.where(people, person_names(rng, count), business_names(rng, count, customer_type))
    weight = 1.0 / (1.0 + 0.25 * np.arange(len(month.master("depots"))))
    depot = rng.choice(len(weight), count, p=weight / weight.sum())
    home = place_locations(rng, month.memory("clusters"), depot)
    ids = month.world.ids("customers", count)
    terms = np.array([[15, 15, 21], [30, 30, 15], [30, 45, 60], [30, 45, 45]])[customer_type, rng.integers(0, 3, count)]
    customers = Rows(
        customer_id=ids,
        account_number=(4_000_000 + ids * 7).astype("S12"),
        name=names,
        customer_type=customer_type,
        email=email_addresses(names, ids),
        phone=telephone_numbers(rng, count),
        city=home["city"],
        postal_code=home["postal_code"],
        depot_id=depot + 1,
        acquisition_channel=channel,
        payment_terms_days=terms,
        is_autopay=chances(rng, np.array([0.48, 0.28, 0.18, 0.05])[customer_type], count),
        created_at=created_at,
        _left=np.full(count, NO_DAY),
        _last_survey=np.full(count, np.nan),
        _surveyed_month=np.full(count, -99),
        _returns=np.zeros(count, dtype=np.int64),
    )
    customers.update(latent_traits(rng, customer_type))
    month.add("customers", customers, created_at)
    return customers, home


def _enter_places(month: Month, rng: np.random.Generator, customers: Rows, home: Rows, owners: Array) -> Rows:
    """Add a place for each entry of ``owners`` (positions among ``customers``), the first of each at home."""
    depot = customers["depot_id"][owners] - 1
    spots = place_locations(rng, month.memory("clusters"), depot)
    first_of_owner = np.r_[True, owners[1:] != owners[:-1]] if len(owners) else np.zeros(0, dtype=bool)
    for name, values in home.items():
        spots[name][first_of_owner] = values
    locations = Rows(
        service_location_id=month.world.ids("service_locations", len(owners)),
        customer_id=customers["customer_id"][owners],
        depot_id=depot + 1,
        region=month.master("depots")["region"][depot],
        **spots,
        _access=rng.lognormal(0, 0.35, len(owners)),
    )
    month.add("service_locations", locations, customers["created_at"][owners])
    return locations


def _sign_first_agreements(
    month: Month, rng: np.random.Generator, locations: Rows, customer_type: Array, first_service: Array
) -> None:
    """Sign agreements for the services that new places take; kind of customer and first day are the place's."""
    count = len(locations)
    takes = chances(rng, _TAKES[customer_type].ravel(), count * 5).reshape(count, 5)
    place, service = np.nonzero(takes)
    lifts, containers, capacity, kind = _service_shape(rng, service, customer_type[place])
    sign_agreements(
        month,
        rng,
        Rows(
            customer_id=locations["customer_id"][place],
            service_location_id=locations["service_location_id"][place],
            service_type=service,
            container_count=containers,
            lifts_per_week=lifts,
            start_date=first_service[place],
            _capacity=capacity,
            _kind=kind,
        ),
    )


def _places(rng: np.random.Generator, customer_type: Array) -> Array:
    """How many places each customer has."""
    mean = np.array([0.0, 1.1, 0.5, 4.0])[customer_type]
    return 1 + np.minimum(rng.poisson(mean), 12)


def _service_shape(rng: np.random.Generator, service: Array, customer_type: Array) -> tuple[Array, Array, Array, Array]:
    """Lifts a week, containers, capacity (cubic yards) and kind of container for each new agreement."""
    count = len(service)
    lifts = np.ones(count)
    for service_type, shares in _LIFTS_SHARES.items():
        chosen = service == service_type
        lifts[chosen] = rng.choice(_LIFTS, int(chosen.sum()), p=shares)
    at_home = customer_type == RESIDENTIAL
    lifts[at_home] = np.where((service[at_home] == RECYCLING) & chances(rng, 0.5, int(at_home.sum())), 0.5, 1.0)
    mean = np.array([0.15, 2.2, 1.2, 0.5, 0.0])[service] * np.array([0.3, 1.0, 1.3, 1.2])[customer_type]
    containers = 1 + np.minimum(rng.poisson(mean), 8)
    capacity = rng.choice(_CAPACITIES, count, p=(0.22, 0.38, 0.22, 0.18))
    kind = np.full(count, code("containers.container_type", "dumpster"))
    compacts = (customer_type >= INDUSTRIAL) & (service == COMMERCIAL_COLLECTION) & chances(rng, 0.18, count)
    kind[compacts] = code("containers.container_type", "compactor")
    kind[at_home] = code("containers.container_type", "cart")
    capacity[at_home] = 0.48
    rolls = service == ROLL_OFF
    kind[rolls] = code("containers.container_type", "roll_off")
    capacity[rolls] = rng.choice([20.0, 30.0, 40.0], int(rolls.sum()))
    return lifts, containers, capacity, kind


def list_rate(service: Array, containers: Array, lifts: Array, capacity: Array) -> Array:
    """Monthly list price of an agreement, US dollars, by service, containers, lifts a week and capacity."""
    monthly_lifts = containers * lifts * 52 / 12
    rental = np.array([0.0, 18.0, 13.0, 13.0, 105.0])[service] * containers
    fixed = np.array([6.5, 2.9, 2.5, 3.6, 165.0])[service]
    yard = np.array([0.0, 2.05, 1.05, 2.4, 7.4])[service]
    at_home = capacity < 1
    fixed = np.where(at_home & (service == RECYCLING), 2.6, np.where(at_home & (service == ORGANICS), 3.2, fixed))
    yard, rental = np.where(at_home, 0.0, yard), np.where(at_home, 0.0, rental)
    return np.asarray(rental + monthly_lifts * (fixed + yard * capacity))


def sign_agreements(month: Month, rng: np.random.Generator, wanted: Rows) -> None:
    """Sign agreements from the columns of ``wanted`` and put the containers in place."""
    count = len(wanted)
    if count == 0:
        return
    service, containers, lifts = wanted["service_type"], wanted["container_count"], wanted["lifts_per_week"]
    customer_type = month.master("customers")["customer_type"][wanted["customer_id"] - 1]
    discount = np.round(np.clip(rng.beta(1.2, 9, count) + 0.01 * (customer_type == MUNICIPAL), 0, 0.4), 4)
    age_years = np.maximum((month.days[0] - wanted["start_date"]).astype(np.int64), 0) / 365.25
    factor = rng.lognormal(0, 0.10, count) * (1 - discount) * 1.04 ** -np.floor(age_years)
    rate = np.round(list_rate(service, containers, lifts, wanted["_capacity"]) * factor, 2)
    term = np.where(customer_type == RESIDENTIAL, 12, rng.choice([12, 24, 36], count, p=(0.45, 0.2, 0.35)))
    terms_past = np.floor(age_years * 12 / term).astype(np.int64)
    term_end = add_months(wanted["start_date"], term * (terms_past + 1)) - np.timedelta64(1, "D")
    stream = np.array([0, 0, 1, 2, 0])[service]
    ids = month.world.ids("service_agreements", count)
    appears = month.local.utc(wanted["start_date"], 7 * 60.0)
    month.add(
        "service_agreements",
        Rows(
            service_agreement_id=ids,
            customer_id=wanted["customer_id"],
            service_location_id=wanted["service_location_id"],
            service_type=service,
            waste_stream=stream,
            container_count=containers,
            lifts_per_week=lifts,
            monthly_rate_usd=rate,
            discount_ratio=discount,
            start_date=wanted["start_date"],
            end_date=np.full(count, NO_DAY),
            term_months=term,
            term_end_date=term_end,
            is_auto_renew=chances(rng, 0.86, count),
            end_reason=np.full(count, -1),
            _rate=rate.copy(),
            _capacity=wanted["_capacity"],
            _kind=wanted["_kind"],
            _pattern=np.zeros(count, dtype=np.int64),
            _parity=np.full(count, -1),
            _route=np.full(count, -1),
            _tour=np.full(count, np.nan),
            _price_row=np.full(count, -1),
            _rise_ratio=np.zeros(count),
            _rise_day=np.full(count, NO_DAY),
        ),
        appears,
    )
    _price_from_the_past(month, rng, ids, rate, wanted["start_date"])
    choose_patterns(month, rng, ids - 1)
    install_containers(month, np.repeat(ids - 1, containers), np.repeat(wanted["start_date"], containers))


def add_months(days: Array, months: Array) -> Array:
    """Return ``days`` moved by whole ``months``, the 29th and later becoming the 28th."""
    first = days.astype("datetime64[M]")
    within = np.minimum((days - first.astype("datetime64[D]")).astype(np.int64), 27)
    moved = (first + months.astype("timedelta64[M]")).astype("datetime64[D]")
    return np.asarray(moved + within.astype("timedelta64[D]"))


def _price_from_the_past(month: Month, rng: np.random.Generator, ids: Array, rate: Array, start: Array) -> None:
    """Write the price history of agreements up to the month: the first price, then a rise every anniversary."""
    years = np.maximum(
        (month.days[0].astype("datetime64[M]") - start.astype("datetime64[M]")).astype(np.int64) // 12, 0
    )
    current, since = rate.copy(), start.copy()
    agreements = month.master("service_agreements")
    appears = month.local.utc(start, 7 * 60.0)
    rows: list[Rows] = []
    reason = np.zeros(len(ids), dtype=np.int64)
    for year in range(int(years.max(initial=0)) + 1):
        going_on = years > year
        until = np.where(
            going_on, add_months(start, np.full(len(ids), (year + 1) * 12)).astype("datetime64[M]"), NO_DAY
        )
        until = until.astype("datetime64[M]").astype("datetime64[D]")
        live = years >= year
        rows.append(
            Rows(
                service_agreement_price_id=np.zeros(int(live.sum()), dtype=np.int64),
                service_agreement_id=ids[live],
                effective_from=since[live],
                effective_to=until[live],
                monthly_rate_usd=current[live],
                change_reason=reason[live],
                _at=np.where(going_on, month.local.utc(np.where(going_on, until, start), 360.0), appears)[live],
            )
        )
        rise = np.clip(rng.normal(0.04, 0.015, len(ids)), 0, 0.09)
        current = np.where(going_on, np.round(current * (1 + rise), 2), current)
        since = np.where(going_on, until, since)
        reason = np.full(len(ids), code("change_reason", "annual_increase"))
    history = Rows()
    for part in rows:
        history.append(part)
    order = np.lexsort((history["effective_from"], history["service_agreement_id"]))
    history = history.take(order)
    history["service_agreement_price_id"] = month.world.ids("service_agreement_prices", len(history))
    at = history.pop("_at")
    month.add("service_agreement_prices", history, at)
    last = np.r_[history["service_agreement_id"][1:] != history["service_agreement_id"][:-1], True]
    position = history["service_agreement_id"][last] - 1
    agreements["_price_row"][position] = history["service_agreement_price_id"][last] - 1
    agreements["_rate"][position] = history["monthly_rate_usd"][last]


def install_containers(month: Month, agreement: Array, day: Array) -> None:
    """Put one container for each entry of ``agreement`` (positions) in place on ``day``."""
    agreements = month.master("service_agreements")
    count = len(agreement)
    month.add(
        "containers",
        Rows(
            container_id=month.world.ids("containers", count),
            service_location_id=agreements["service_location_id"][agreement],
            service_agreement_id=agreement + 1,
            container_type=agreements["_kind"][agreement],
            waste_stream=agreements["waste_stream"][agreement],
            capacity_yd3=agreements["_capacity"][agreement],
            installed_date=day,
            removed_date=np.full(count, NO_DAY),
            _usual_fill=np.clip(
                month.rng(f"fill {month.world.counters['containers']}").lognormal(-0.46, 0.22, count), 0.2, 1.1
            ),
        ),
        month.local.utc(day, 8 * 60.0),
    )


def _record_consents(month: Month, rng: np.random.Generator, ids: Array, at: Array) -> None:
    count = len(ids)
    granted = np.column_stack([chances(rng, 0.55, count), chances(rng, 0.7, count), np.ones(count, dtype=bool)])
    recorded = np.repeat(at, 3)
    month.bring(
        Block(
            "consents",
            Rows(
                consent_id=month.world.ids("consents", 3 * count),
                customer_id=np.repeat(ids, 3),
                purpose=np.tile(np.arange(3), count),
                is_granted=granted.ravel(),
                recorded_at=recorded,
            ),
            recorded,
        )
    )
