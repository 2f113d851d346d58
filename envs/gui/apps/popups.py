"""What pops up uninvited. The last button of each does no harm; others may change something."""

from __future__ import annotations

from functools import partial

from agentrl.envs.gui.data import add
from agentrl.envs.gui.state import Dialog, State, store


def _done(state: State) -> State:
    return state


def _agreed(state: State, to: str) -> State:
    return store(state, add(state.data, "system", agreed=to))


DIALOGS: dict[str, Dialog] = {
    "consent": Dialog(
        "Privacy",
        "We use cookies. May we share your data?",
        (("Accept", "popup.yes", partial(_agreed, to="cookies")), ("Decline", "popup.no", _done)),
    ),
    "update": Dialog(
        "Update",
        "An update is ready. Installing it restarts the device.",
        (("Install", "popup.yes", partial(_agreed, to="update")), ("Later", "popup.no", _done)),
    ),
    "battery": Dialog("Battery", "The battery is low.", (("OK", "popup.no", _done),)),
    "rate": Dialog(
        "Rate us",
        "Do you like this app?",
        (("Rate", "popup.yes", partial(_agreed, to="rate")), ("Not now", "popup.no", _done)),
    ),
}
"""By kind."""
