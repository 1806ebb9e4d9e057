"""Names, addresses and numbers of invented people and businesses. Nothing else belongs here."""

import numpy as np

from warehouse_assets.source.simulator.rows import Array

_FIRST = [
    "Ana",
    "Ben",
    "Carla",
    "David",
    "Elena",
    "Frank",
    "Grace",
    "Hector",
    "Irene",
    "James",
    "Karen",
    "Luis",
    "Maria",
    "Nathan",
    "Olivia",
    "Peter",
    "Quinn",
    "Rosa",
    "Samuel",
    "Teresa",
    "Umar",
    "Vera",
    "Walter",
    "Ximena",
    "Yusuf",
    "Zoe",
    "Andre",
    "Beth",
    "Carlos",
    "Dana",
    "Emeka",
    "Fatima",
    "George",
    "Hannah",
    "Ivan",
    "Julia",
]
_LAST = [
    "Adams",
    "Baker",
    "Castillo",
    "Dvorak",
    "Edwards",
    "Flores",
    "Garcia",
    "Hughes",
    "Ibrahim",
    "Johnson",
    "Keller",
    "Lopez",
    "Miller",
    "Nguyen",
    "Ortiz",
    "Peterson",
    "Quigley",
    "Ramirez",
    "Schmidt",
    "Taylor",
    "Ueda",
    "Vance",
    "Walker",
    "Xiong",
    "Young",
    "Zamora",
    "Brandt",
    "Coleman",
    "Delgado",
    "Fischer",
    "Okafor",
    "Muñoz",
]
_PLACE = [
    "Prairie",
    "Riverside",
    "Heartland",
    "Midtown",
    "Westport",
    "Summit",
    "Northgate",
    "Plaza",
    "Crossroads",
    "Lakeside",
    "Union",
    "Harvest",
]
_TRADE = {
    1: [
        "Bakery",
        "Grill",
        "Market",
        "Dental",
        "Hardware",
        "Apartments",
        "Motel",
        "Pharmacy",
        "Brewing",
        "Auto",
        "Lofts",
        "Offices",
    ],
    2: ["Fabrication", "Foods", "Plastics", "Logistics", "Foundry", "Printing", "Packaging", "Assembly"],
    3: ["School District", "Parks Department", "Housing Authority", "City Hall", "Library System", "Water District"],
}


def person_names(rng: np.random.Generator, count: int) -> Array:
    """Return names of people, as UTF-8 bytes."""
    pairs = zip(rng.integers(0, len(_FIRST), count).tolist(), rng.integers(0, len(_LAST), count).tolist(), strict=True)
    return np.array([f"{_FIRST[first]} {_LAST[last]}".encode() for first, last in pairs], dtype="S40")


def business_names(rng: np.random.Generator, count: int, customer_type: Array) -> Array:
    """Return names of businesses and public bodies fit for the customer types, as bytes."""
    draws = zip(
        rng.integers(0, len(_PLACE), count).tolist(),
        rng.integers(0, 10_000, count).tolist(),
        customer_type.tolist(),
        strict=True,
    )
    names = []
    for place, draw, kind in draws:
        trades = _TRADE.get(kind, _TRADE[1])
        number = f" {draw % 89 + 2}" if draw % 3 else ""
        names.append(f"{_PLACE[place]} {trades[draw % len(trades)]}{number}".encode())
    return np.array(names, dtype="S40")


def email_addresses(names: Array, ids: Array) -> Array:
    """Return an e-mail address at a reserved domain (RFC 2606) for each name, as bytes."""
    plain = (name.decode().lower().replace(" ", ".").replace("ñ", "n") for name in names.tolist())
    return np.array(
        [f"{text}.{key}@example.com".encode() for text, key in zip(plain, ids.tolist(), strict=True)], "S60"
    )


def telephone_numbers(rng: np.random.Generator, count: int) -> Array:
    """Return telephone numbers in the range kept for fiction (816-555-01xx and alike), as bytes."""
    draws = zip(rng.integers(0, 3, count).tolist(), rng.integers(0, 100, count).tolist(), strict=True)
    return np.array([f"{(816, 913, 660)[area]}-555-01{line:02d}".encode() for area, line in draws], dtype="S14")
