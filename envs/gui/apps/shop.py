"""Shop: searching, products, a cart, paying."""

from __future__ import annotations

from functools import partial

from agentrl.envs.gui.data import add, drop, put, where
from agentrl.envs.gui.parts import Page, button, choice, field, link, row, typed, words
from agentrl.envs.gui.state import State, ask, store
from agentrl.envs.gui.widgets import Widget

PRODUCTS, CART, ORDERS = "products", "cart", "orders"
DELIVERY = ("standard", "express")
QUANTITIES = ("1", "2", "3")


def view(state: State) -> Page:
    """``shop``, ``shop/ID``, ``shop/cart``, ``shop/cart/checkout``."""
    last = state.path[-1]
    if last == "cart":
        return _cart(state)
    if last == "checkout":
        return _checkout(state)
    return _product(state, int(last)) if last.isdigit() else _list(state)


def listed(lines: list[tuple[str, int]]) -> str:
    """What an order says it holds.

    >>> listed([("red mug", 2), ("blue hat", 1)])
    '1 blue hat, 2 red mug'
    """
    return ", ".join(f"{n} {name}" for name, n in sorted(lines))


def _list(state: State) -> Page:
    sought, kind = typed(state, "Search").casefold(), typed(state, "Category", "all")
    items = [
        link(f"{p['name']} ${p['price']}", ("shop", str(id)))
        for id, p in state.data[PRODUCTS].items()
        if sought in p["name"].casefold() and kind in ("all", p["category"])
    ]
    top: list[Widget] = []
    if state.world.rich:
        kinds = sorted({p["category"] for p in state.data[PRODUCTS].values()})
        top = [field(state, "Search"), choice(state, "Category", ("all", *kinds), "all")]
    return Page("Shop", items or [words("Nothing found.")], top, [_cart_link(state)])


def _cart_link(state: State) -> Widget:
    count = sum(line["quantity"] for line in state.data[CART].values())
    return link(f"Cart ({count})", ("shop", "cart"), role="button")


def _product(state: State, id: int) -> Page:
    p, quantity = state.data[PRODUCTS][id], typed(state, "Quantity", "1")
    items = [words(f"{p['name']} ${p['price']}"), words(f"{p['stars']} stars, {p['category']}")]
    put_in = partial(_add, id=id, quantity=int(quantity))
    acts = [
        choice(state, "Quantity", QUANTITIES, "1"),
        button("Add to cart", "shop.add", put_in),
        _cart_link(state),
    ]
    return Page("Shop: product", items, bottom=acts)


def _add(state: State, id: int, quantity: int) -> State:
    there = next(where(state.data, CART, product=id), None)
    if there is None:
        data = add(state.data, CART, product=id, quantity=quantity)
    else:
        data = put(state.data, CART, there[0], quantity=there[1]["quantity"] + quantity)
    return store(state, data, "Added to cart.")


def _cart(state: State) -> Page:
    items = []
    for line, c in state.data[CART].items():
        p = state.data[PRODUCTS][c["product"]]
        remove = button("Remove", f"shop.remove.{c['product']}", partial(_remove, line=line))
        items.append(row(words(f"{c['quantity']} {p['name']}"), remove))
    checkout = link("Checkout", ("shop", "cart", "checkout"), role="button")
    if not items:
        return Page("Shop: cart", [words("The cart is empty.")])
    return Page("Shop: cart", items, bottom=[words(f"Total ${total(state)}"), checkout])


def total(state: State) -> int:
    """What the cart costs."""
    products = state.data[PRODUCTS]
    return sum(int(products[c["product"]]["price"]) * c["quantity"] for c in state.data[CART].values())


def _remove(state: State, line: int) -> State:
    return store(state, drop(state.data, CART, line), "Removed.")


def _checkout(state: State) -> Page:
    delivery = typed(state, "Delivery")
    items = [words(f"Total ${total(state)}"), choice(state, "Delivery", DELIVERY)]
    order = partial(_order, delivery=delivery)
    if state.world.rich:
        paid = f"Pay ${total(state)}?"
        order = partial(ask, title="Order", text=paid, yes="Pay", do=order)
    enabled = bool(delivery and state.data[CART])
    return Page("Shop: checkout", items, bottom=[button("Place order", "shop.order", order, enabled)])


def _order(state: State, delivery: str) -> State:
    products = state.data[PRODUCTS]
    lines = [(str(products[c["product"]]["name"]), int(c["quantity"])) for c in state.data[CART].values()]
    data = add(state.data, ORDERS, items=listed(lines), delivery=delivery)
    return store(state, {**data, CART: {}}, "Order placed.", ("shop",))
