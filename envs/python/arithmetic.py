"""Forms of tasks: arithmetic."""

from __future__ import annotations

from agentrl.envs.python.forms import Form, a_number, numbers, three_numbers, two_numbers

ARITHMETIC = (
    Form(
        name="product and sum",
        hardness=0,
        draw=three_numbers,
        answer=lambda f: f["a"] * f["b"] + f["c"],
        wordings=("What is {a} times {b} plus {c}?",),
        code="{a} * {b} + {c}",
        slips=("{b} * {c} + {a}", "{a} + {b} + {c}", "{a} * {b} - {c}"),
    ),
    Form(
        name="product and difference",
        hardness=1,
        draw=three_numbers,
        answer=lambda f: f["a"] * f["b"] - f["c"],
        wordings=(
            "What is {a} times {b} minus {c}?",
            "Multiply {a} by {b}, then take away {c}.",
            "By how much is the product of {a} and {b} larger than {c}?",
        ),
        code="{a} * {b} - {c}",
        tricky=True,
        slips=("{a} * {b} + {c}", "{b} * {c} - {a}", "{a} - {b} - {c}"),
    ),
    Form(
        name="squares",
        hardness=1,
        draw=two_numbers,
        answer=lambda f: f["a"] ** 2 + f["b"] ** 2,
        wordings=(
            "What is {a} squared plus {b} squared?",
            "Add the squares of {a} and {b}.",
            "What is the sum of the squares of {a} and {b}?",
        ),
        code="{a} ** 2 + {b} ** 2",
        slips=("{a} * 2 + {b} * 2", "{a} ** 2 + {b}", "{a} ** 2 - {b} ** 2"),
    ),
    Form(
        name="quotient",
        hardness=2,
        draw=three_numbers,
        answer=lambda f: f["a"] * f["b"] // f["c"],
        wordings=(
            "What is the whole part of {a} times {b} divided by {c}?",
            "How often does {c} fit into the product of {a} and {b}?",
            "Multiply {a} by {b}, divide by {c} and drop the fraction.",
        ),
        code="{a} * {b} // {c}",
        slips=("{a} * {b} % {c}", "{a} * {b} / {c}", "{a} * {c} // {b}"),
    ),
    Form(
        name="two products",
        hardness=3,
        draw=numbers("a", "b", "c", "d"),
        answer=lambda f: f["a"] * f["b"] + f["c"] * f["d"],
        wordings=(
            "What is {a} times {b} plus {c} times {d}?",
            "Add the product of {a} and {b} to that of {c} and {d}.",
            "{a} boxes weigh {b} grams each and {c} bags {d} grams each. How many grams do they weigh together?",
        ),
        code="{a} * {b} + {c} * {d}",
        slips=("{a} * {c} + {b} * {d}", "({a} + {b}) * ({c} + {d})", "{a} * {b} * {c} * {d}"),
    ),
    Form(
        name="digit sum of a power",
        hardness=4,
        draw=lambda rng, level: {"a": a_number(rng, 3), "b": rng.randrange(30, 90)},
        answer=lambda f: sum(map(int, str(f["a"] ** f["b"]))),
        wordings=(
            "What is the sum of the digits of {a} to the power {b}?",
            "Raise {a} to the power {b} and add up the digits of the result.",
            "What do the decimal digits of {a}^{b} add up to?",
        ),
        code="sum(int(d) for d in str({a} ** {b}))",
        slips=("len(str({a} ** {b}))", "sum(int(d) for d in str({a} * {b}))", "sum(int(d) for d in str({b} ** {a}))"),
    ),
)
