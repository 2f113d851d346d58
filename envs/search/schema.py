"""What there is in the generated world, what can be said of it, and in which words.

A relation leads from a thing to another one (a film's director) or to a number (its year). It is worded twice: as a
clause of the passage about the thing, and as a phrase of a question; phrases nest ("the birthplace of the director of
Amber Lantern"). First wordings are those of the lower levels.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Relation:
    """One thing that passages say."""

    name: str
    subject: str
    """Kind of thing that it is said of."""
    object: str
    """Kind of thing that it leads to, or ``year`` or ``number``."""
    noun: str
    """What it is called."""
    phrases: tuple[str, ...]
    """In questions; ``{x}`` is the subject."""
    clauses: tuple[str, ...]
    """In passages; ``{v}`` is the object."""
    event: str = ""
    """What happened in that year; ``{x}`` is the subject."""
    comparatives: tuple[str, str] = ("", "")
    """Adjectives for the smaller and the larger of two numbers."""

    @property
    def is_number(self) -> bool:
        """Whether it leads to a number."""
        return self.object in NUMBERS


NUMBERS = ("year", "number")
AGE = ("older", "newer")

HEADS: dict[str, tuple[str, ...]] = {
    "film": ("is a film", "is a motion picture", "is the title of a film"),
    "book": ("is a book", "is a novel", "is the title of a book"),
    "person": ("is a person", "is somebody", "is a public figure"),
    "company": ("is a company", "is a firm", "is an enterprise"),
    "university": ("is a university", "is a place of learning", "is a school of higher education"),
    "city": ("is a city", "is a town", "is a municipality"),
    "country": ("is a country", "is a nation", "is a state"),
    "river": ("is a river", "is a stream", "is a waterway"),
}
"""Kind of thing -> how its passage begins, after the name."""
WEIGHTS = {"person": 8, "city": 6, "film": 6, "book": 4, "company": 4, "university": 3, "river": 3, "country": 3}
"""Kind of thing -> how many there are, in proportion."""

_TABLE = (
    Relation(
        "director",
        "film",
        "person",
        "director",
        ("the director of {x}", "the person who directed {x}", "whoever directed {x}"),
        ("directed by {v}", "made by the director {v}", "shot under the direction of {v}"),
    ),
    Relation(
        "studio",
        "film",
        "company",
        "studio",
        ("the studio of {x}", "the company that produced {x}", "the studio behind {x}"),
        ("produced by {v}", "paid for by {v}", "brought to cinemas by {v}"),
    ),
    Relation(
        "released",
        "film",
        "year",
        "release year",
        ("the release year of {x}", "the year when {x} came out", "the year in which {x} was first shown"),
        ("released in {v}", "first shown in {v}", "in cinemas since {v}"),
        "{x} came out",
        AGE,
    ),
    Relation(
        "author",
        "book",
        "person",
        "author",
        ("the author of {x}", "the person who wrote {x}", "whoever wrote {x}"),
        ("written by {v}", "from the pen of {v}", "by the author {v}"),
    ),
    Relation(
        "publisher",
        "book",
        "company",
        "publisher",
        ("the publisher of {x}", "the company that published {x}", "the firm that sells {x}"),
        ("published by {v}", "sold by {v}", "on the list of {v}"),
    ),
    Relation(
        "printed",
        "book",
        "year",
        "printing year",
        ("the printing year of {x}", "the year when {x} was printed", "the year in which {x} could first be read"),
        ("printed in {v}", "first printed in {v}", "in bookshops since {v}"),
        "{x} was printed",
        AGE,
    ),
    Relation(
        "birthplace",
        "person",
        "city",
        "birthplace",
        ("the birthplace of {x}", "the city where {x} was born", "the town in which {x} came into the world"),
        ("born in {v}", "a native of {v}", "who came into the world in {v}"),
    ),
    Relation(
        "university",
        "person",
        "university",
        "university",
        ("the university of {x}", "the university where {x} studied", "the school that educated {x}"),
        ("educated at {v}", "who studied at {v}", "a graduate of {v}"),
    ),
    Relation(
        "born",
        "person",
        "year",
        "birth year",
        ("the birth year of {x}", "the year when {x} was born", "the year in which {x} came into the world"),
        ("whose birth year is {v}", "alive since {v}", "who was a child of the year {v}"),
        "{x} was born",
        ("older", "younger"),
    ),
    Relation(
        "founder",
        "company",
        "person",
        "founder",
        ("the founder of {x}", "the person who founded {x}", "whoever started {x}"),
        ("founded by {v}", "started by {v}", "the creation of {v}"),
    ),
    Relation(
        "seat",
        "company",
        "city",
        "seat",
        ("the seat of {x}", "the city where {x} has its seat", "the town that houses the offices of {x}"),
        ("based in {v}", "with its seat in {v}", "with offices in {v}"),
    ),
    Relation(
        "started",
        "company",
        "year",
        "founding year",
        ("the founding year of {x}", "the year when {x} was founded", "the year in which {x} began business"),
        ("founded in {v}", "in business since {v}", "that opened its doors in {v}"),
        "{x} was founded",
        AGE,
    ),
    Relation(
        "place",
        "university",
        "city",
        "city",
        ("the city of {x}", "the city where {x} stands", "the town that is home to {x}"),
        ("located in {v}", "with its buildings in {v}", "in the middle of {v}"),
    ),
    Relation(
        "opened",
        "university",
        "year",
        "opening year",
        ("the opening year of {x}", "the year when {x} opened", "the year in which {x} took its first students"),
        ("opened in {v}", "teaching since {v}", "whose first students came in {v}"),
        "{x} opened",
        AGE,
    ),
    Relation(
        "country",
        "city",
        "country",
        "country",
        ("the country of {x}", "the country where {x} lies", "the nation that {x} belongs to"),
        ("located in {v}", "of the country {v}", "within the borders of {v}"),
    ),
    Relation(
        "river",
        "city",
        "river",
        "river",
        ("the river of {x}", "the river that flows through {x}", "the water on whose banks {x} lies"),
        ("on the river {v}", "with bridges over the {v}", "along the {v}"),
    ),
    Relation(
        "population",
        "city",
        "number",
        "population",
        ("the population of {x}", "the number of people in {x}", "the number of inhabitants of {x}"),
        ("with a population of {v}", "home to {v} people", "that has {v} inhabitants"),
        comparatives=("smaller", "larger"),
    ),
    Relation(
        "capital",
        "country",
        "city",
        "capital",
        ("the capital of {x}", "the city that is the capital of {x}", "the town where the government of {x} sits"),
        ("with the capital {v}", "ruled from {v}", "whose government sits in {v}"),
    ),
    Relation(
        "established",
        "country",
        "year",
        "founding year",
        ("the founding year of {x}", "the year when {x} was founded", "the year in which {x} became a nation"),
        ("founded in {v}", "independent since {v}", "on the maps since {v}"),
        "{x} was founded",
        AGE,
    ),
    Relation(
        "length",
        "river",
        "number",
        "length in miles",
        ("the length in miles of {x}", "the number of miles that {x} is long", "the miles that {x} flows"),
        ("of {v} miles", "{v} miles long", "with a course of {v} miles"),
        comparatives=("shorter", "longer"),
    ),
)
RELATIONS: dict[str, Relation] = {relation.name: relation for relation in _TABLE}
"""By name, in the order of passages."""

WORKS = {"director": ("film", "direct"), "author": ("book", "write")}
"""Relation -> what is listed with a person, and the verb of "How many ... did X ...?"."""
