"""Forms of tasks with tables: given in the question, or in a file that has to be looked at."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from agentrl.envs.python.forms import Facts, Form, a_number
from agentrl.envs.python.levels import Level
from agentrl.envs.python.words import COLOURS, WORDS, vocabulary

F = Mapping[str, Any]


def _prices(rng: Random, level: Level) -> Facts:
    """A table of items and prices; ``p`` is the list of prices as source."""
    count = rng.randint(*level.rows)
    prices = [a_number(rng, min(level.digits, 3)) for _ in range(count)]
    lines = [f"{item} {price}" for item, price in zip(rng.sample(vocabulary(level), count), prices, strict=True)]
    limit = rng.randrange(min(prices), max(prices))
    return {"table": "\n".join(["item price", *lines]), "p": prices, "limit": limit, "any": prices[0]}


def _goods(rng: Random, level: Level) -> Facts:
    """A table of goods with colour, price and count; ``rows`` as source."""
    count = rng.randint(*level.rows)
    rows = [(item, rng.choice(COLOURS[:3]), a_number(rng, 3), a_number(rng, 2)) for item in rng.sample(WORDS, count)]
    c, d = rng.sample([*sorted({row[1] for row in rows}), "white"], 2)
    lines = [" ".join(map(str, row)) for row in rows]
    table = "\n".join(["item colour price count", *lines])
    return {"table": table, "rows": rows, "c": c, "d": d, "limit": rng.randrange(11, min(90, max(r[3] for r in rows)))}


def _value(f: F, colour: str) -> int:
    return sum(price * count for _, c, price, count in f["rows"] if c == colour)


def _mean_of_common(f: F) -> float:
    return round(statistics.fmean(price for *_, price, count in f["rows"] if count > f["limit"]), 2)


_ROWS = "rows = {rows}\n"
TABLE = (
    Form(
        name="total",
        hardness=1,
        draw=_prices,
        answer=lambda f: sum(f["p"]),
        wordings=(
            "{table}\nWhat do all items cost together?",
            "{table}\nWhat is the sum of the prices?",
            "{table}\nSomebody buys one of each. What is to pay?",
        ),
        code="sum({p})",
        slips=("max({p})", "sum({p}) - {any}", "len({p})"),
        guesses=("{any}", "{limit}"),
    ),
    Form(
        name="total above",
        hardness=1,
        draw=_prices,
        answer=lambda f: sum(p for p in f["p"] if p > f["limit"]),
        wordings=(
            "{table}\nWhat do the items above {limit} cost together?",
            "{table}\nWhat is the sum of the prices that are larger than {limit}?",
            "{table}\nSomebody buys each item that costs more than {limit}. What is to pay?",
        ),
        code="sum(p for p in {p} if p > {limit})",
        tricky=True,
        slips=("sum({p})", "sum(p for p in {p} if p < {limit})", "sum(p > {limit} for p in {p})"),
        guesses=("{any}", "{limit}"),
    ),
    Form(
        name="mean",
        hardness=2,
        draw=_prices,
        answer=lambda f: round(statistics.fmean(f["p"]), 2),
        wordings=(
            "{table}\nWhat is the mean price, rounded to 2 decimals?",
            "{table}\nWhat does an item cost on average? Round to 2 decimals.",
            "{table}\nFind the average of the prices to 2 decimals.",
        ),
        code="p = {p}\nround(sum(p) / len(p), 2)",
        slips=("p = {p}\nsum(p) // len(p)", "p = {p}\nsorted(p)[len(p) // 2]", "p = {p}\nround(sum(p) / 4, 2)"),
        guesses=("{any}", "{limit}"),
    ),
    Form(
        name="value of a colour",
        hardness=3,
        draw=_goods,
        answer=lambda f: _value(f, f["c"]) - _value(f, f["d"]),
        wordings=(
            "{table}\nHow much more are all {c} goods worth than all {d} ones (price times count)?",
            "{table}\nTake the value (price times count) of the {c} goods, minus that of the {d} ones.",
            "{table}\nBy how much does the stock of {c} goods exceed that of {d} ones in value (price times count)?",
        ),
        code=_ROWS
        + 'sum(p * n for _, c, p, n in rows if c == "{c}") - sum(p * n for _, c, p, n in rows if c == "{d}")',
        tricky=True,
        slips=(
            _ROWS + 'sum(p * n for _, c, p, n in rows if c == "{c}")',
            _ROWS + 'sum(p for _, c, p, n in rows if c == "{c}") - sum(p for _, c, p, n in rows if c == "{d}")',
        ),
        guesses=("{limit}",),
    ),
    Form(
        name="mean of some",
        hardness=4,
        draw=_goods,
        answer=_mean_of_common,
        wordings=(
            "{table}\nWhat is the mean price of the goods with a count above {limit}, rounded to 2 decimals?",
            "{table}\nOf what there is more than {limit} pieces of: what does it cost on average, to 2 decimals?",
            "{table}\nAverage the prices of all rows whose count is more than {limit}; round to 2 decimals.",
        ),
        code=_ROWS + "p = [p for _, _, p, n in rows if n > {limit}]\nround(sum(p) / len(p), 2)",
        tricky=True,
        slips=(
            _ROWS + "p = [p for _, _, p, n in rows]\nround(sum(p) / len(p), 2)",
            _ROWS + "p = [p for _, _, p, n in rows if n < {limit}]\nround(sum(p) / max(1, len(p)), 2)",
        ),
        guesses=("{limit}",),
    ),
)


def _stock(rows: tuple[int, int]) -> Callable[[Random, Level], Facts]:
    """A file of goods, under a name, with headings and a separator of its own."""

    def draw(rng: Random, level: Level) -> Facts:
        price, count = rng.choice(("price", "cost", "unit_price")), rng.choice(("count", "pieces", "in_stock"))
        between, name = rng.choice(",;|"), f"{rng.choice(WORDS)}.csv"
        goods = [
            (f"{rng.choice(WORDS)} {rng.choice(WORDS)}", rng.choice(COLOURS), a_number(rng, 3), a_number(rng, 2))
            for _ in range(rng.randint(*rows))
        ]
        head = between.join(("item", "colour", price, count))
        content = "\n".join([head, *(between.join(map(str, row)) for row in goods), ""])
        facts = {"name": name, "price": price, "count": count, "s": between}
        c = rng.choice(sorted({row[1] for row in goods}))
        return facts | {
            "c": c,
            "limit": rng.randrange(200, 600),
            "rows": goods,
            "files": ((name, content.encode()),),
        }

    return draw


def _dear(f: F) -> int:
    return sum(price * count for _, c, price, count in f["rows"] if c == f["c"] and price > f["limit"])


_READ = 'import csv\nrows = list(csv.DictReader(open("{name}"), delimiter="{s}"))\n'
_EACH = 'int(r["{price}"]) * int(r["{count}"]) for r in rows'
FILE = (
    Form(
        name="value in a file",
        hardness=3,
        draw=_stock((30, 80)),
        answer=lambda f: _value(f, f["c"]),
        wordings=(
            "The file {name} lists goods. What are all {c} ones worth together (price times number of pieces)?",
            "Find in {name}, a list of goods, the total value (price times number of pieces) of those that are {c}.",
            "Multiply price and number of pieces of each {c} row in {name} and add up.",
        ),
        look='print(open("{name}").read()[:90])',
        code=_READ + "sum(" + _EACH + ' if r["colour"] == "{c}")',
        slips=(
            _READ + "sum(" + _EACH + ")",
            _READ + 'sum(int(r["{price}"]) for r in rows if r["colour"] == "{c}")',
        ),
        guesses=("{limit}",),
    ),
    Form(
        name="dear goods in a file",
        hardness=4,
        draw=_stock((100, 300)),
        answer=_dear,
        wordings=(
            "The file {name} lists goods. What are the {c} ones with a price above {limit} worth together (price times "
            "number of pieces)?",
            "Take the {c} rows of {name} that cost more than {limit} a piece; what is their total value?",
            "In {name}, what is the value (price times number of pieces) of {c} goods dearer than {limit}?",
        ),
        look='print(open("{name}").read()[:90])',
        code=_READ + "sum(" + _EACH + ' if r["colour"] == "{c}" and int(r["{price}"]) > {limit})',
        tricky=True,
        slips=(
            _READ + "sum(" + _EACH + ' if r["colour"] == "{c}")',
            _READ + "sum(" + _EACH + ' if int(r["{price}"]) > {limit})',
        ),
        guesses=("{limit}",),
    ),
)
