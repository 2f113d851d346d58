"""Names of the generated world: two words each, from fixed lists.

Kinds of things have second words of their own, so that a name tells its kind, and share first words, so that much is
alike: "Amber Harbor" is a city, "Amber Lantern" a film. People have first and last names.
"""

from __future__ import annotations

import random

_FIRST = """Amber Autumn Azure Bright Bronze Cedar Copper Coral Crimson Crystal Desert Distant Eagle Early
Eastern Ebony Ember Falcon Frozen Gentle Golden Granite Hidden Hollow Humble Indigo Iron Ivory Jade Lonely
Lunar Marble Maple Meadow Mighty Misty Noble Northern Oaken Olive Orange Pearl Polar Proud Purple Quiet Rapid
Royal Rustic Sacred Scarlet Secret Silent Silver Solar Southern Stormy Summer Timber Velvet Violet Western
Wild Winter""".split()
_GIVEN = """Ada Adam Alma Anton Astrid Basil Bella Boris Carla Casper Cecil Clara Conrad Cora Daphne
Dorian Edith Edwin Elena Elias Emil Esther Felix Flora Fiona Frida Gavin Gilda Greta Gustav Hanna Harold Hugo
Ida Igor Ingrid Irene Ivan Jasper Joan Julia Karl Klara Lena Leo Livia Lukas Mabel Magnus Marta Milo Miriam
Nadia Nestor Nora Olga Oscar Otto Pablo Petra Ralph Rosa Rufus Selma""".split()
_FAMILY = """Abbott Adler Archer Baxter Becker Bishop Bowen Brandt Carver Castle Chandler Cooper Dalton
Draper Ellis Farmer Fisher Fletcher Foster Fuller Garner Glover Gruber Hagen Harper Hobbs Hunter Keller Kemp
Kramer Lambert Lindgren Lowell Marlow Mason Mercer Miller Moreau Nolan Norris Osborn Parker Pelham Porter
Quinn Ramsey Redmond Reeves Sawyer Schubert Sexton Sheppard Slater Spencer Sutter Tanner Thatcher Tucker
Turner Vance Wagner Walton Weaver Zeller""".split()

_OTHER_FIRST = _FIRST[32:] + _FIRST[:32]
"""In another order: a passage of a lower level does not name two things with the same first word."""

WORDS: dict[str, tuple[list[str], list[str]]] = {
    "person": (_GIVEN, _FAMILY),
    "city": (
        _FIRST,
        """Harbor Bridge Falls Ford Bay Hill Haven Crossing Springs Grove Point Ridge Landing Cliff Cove
        Dale Gate Heath Junction Market Mound Orchard Pass Plain Port Quarry Shore Square Terrace
        Vale Wells Wharf Woods Castleton Burgh Hamlet Abbey Acre Bluff Chapel Common Fields Garrison
        Glen Hurst Inlet Keep Knoll Ledge Lodge Moor Narrows Oasis Park Peak Pond Rock Sands Tower
        Vineyard Wall""".split(),
    ),
    "country": (
        _FIRST,
        """Marland Veldia Ostria Kareth Zandor Belmora Tavania Norvia Quendia Lusira Drovia Harvania
        Sylmark Corvenia Istria Jorvania Myrland Peldora Rhodia Savonia Torvald Ulmaria Wendor Yastria""".split(),
    ),
    "river": (
        _OTHER_FIRST,
        """Otter Heron Salmon Beaver Swan Trout Pike Crane Dove Elk Ferret Goose Hare Ibis Kite Lark Mink
        Newt Plover Raven Seal Stork Teal Wolf""".split(),
    ),
    "film": (
        _FIRST,
        """Lantern Letter Mirror Shadow Stranger Dancer Echo Empire Escape Fever Island Journey Kingdom
        Legend Machine Melody Midnight Mountain Ocean Palace Parade Pilot Planet Promise Rainbow Rebel
        Riddle Rocket Season Signal Sister Soldier Spider Station Symphony Temple Thief Thunder Tiger
        Train Treasure Valley Vessel Visitor Voyage Whisper Widow Witness Wonder Ballet Bandit Circus
        Comet Coyote Dagger Detective Dream Duel Fortune Galaxy Gambler Hero Horizon Hunt""".split(),
    ),
    "book": (
        _FIRST,
        """Garden Chronicle Diary Fable Ballad Canvas Chapter Clock Compass Crown Door Feather Flame Flute
        Forest Fountain Harvest Hour House Key Labyrinth Ladder Lighthouse Loom Manuscript Map Mask Memory
        Moon Needle Painter Poem Portrait Prayer Ribbon Ring Road Rose Saga Secretary Shell
        Sparrow Staircase Story Street Sword Tale Tapestry Tide Traveler Tree Verse Village Violin Wedding
        Window Wine Wolfhound Word Year Zodiac Almanac""".split(),
    ),
    "company": (
        _FIRST,
        """Works Foods Motors Mills Pictures Press Stores Tools Airlines Bakery Bank Breweries Chemicals
        Clothing Energy Engines Furniture Glassworks Holdings Industries Insurance Labs Logistics Media
        Metals Optics Paper Partners Pharma Plastics Railways Shipping Software Steel Studios Systems
        Textiles Toys Trading Watches""".split(),
    ),
    "university": (
        _OTHER_FIRST,
        """College Institute Academy University School Seminary Conservatory Polytechnic Lyceum Faculty
        Observatory Gymnasium Athenaeum Cloister Library Campus""".split(),
    ),
}
"""Kind of thing -> its first and second words."""


def make_names(kind: str, count: int, words: int, rng: random.Random) -> list[str]:
    """Different names, in random order; more words than ``words`` are taken where these do not suffice.

    Raises:
        ValueError: the lists do not suffice for so many.
    """
    first, second = WORDS[kind]
    while min(words, len(first)) * min(words, len(second)) < count:
        words += 1
        if words > max(len(first), len(second)):
            raise ValueError(f"{len(first)} x {len(second)} words do not make {count} names of the kind '{kind}'")
    names = [f"{a} {b}" for a in first[:words] for b in second[:words]]
    return rng.sample(names, count)
