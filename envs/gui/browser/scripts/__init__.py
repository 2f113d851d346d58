"""Scripts that solve tasks of MiniWoB++: from the task in words and the page, the next action.

They remember nothing: what was done already is read off the page. The setting ``task=core`` stands for the tasks of
`EXPERTS` without those of `ONE_CLICK`.
"""

from __future__ import annotations

from agentrl.envs.gui.browser.scripts import clicking, filling
from agentrl.envs.gui.browser.scripts.moves import Script

EXPERTS: dict[str, Script] = {
    "buy-ticket": clicking.buy_ticket,
    "choose-list": clicking.choose_list,
    "click-button": clicking.click_quoted,
    "click-button-sequence": clicking.click_sequence,
    "click-checkboxes": clicking.checkboxes,
    "click-checkboxes-large": clicking.checkboxes,
    "click-checkboxes-transfer": clicking.checkboxes,
    "click-collapsible": clicking.collapsible,
    "click-collapsible-2": clicking.search_tabs,
    "click-dialog": clicking.click_dialog,
    "click-dialog-2": clicking.click_dialog,
    "click-link": clicking.click_quoted,
    "click-option": clicking.option,
    "click-scroll-list": clicking.scroll_list,
    "click-tab": clicking.tab,
    "click-tab-2": clicking.search_tabs,
    "click-test": clicking.click_test,
    "click-test-2": clicking.click_one,
    "click-widget": clicking.widget,
    "email-inbox-delete": clicking.inbox,
    "email-inbox-important": clicking.inbox,
    "enter-date": filling.enter_date,
    "enter-password": filling.enter_password,
    "enter-text": filling.enter_text,
    "enter-text-2": filling.enter_text,
    "enter-text-dynamic": filling.enter_text,
    "enter-time": filling.enter_time,
    "find-word": filling.find_word,
    "focus-text": clicking.focus,
    "focus-text-2": clicking.focus,
    "form-sequence-3": filling.form_sequence_3,
    "generate-number": filling.generate_number,
    "login-user": filling.login,
    "odd-or-even": clicking.odd_or_even,
    "phone-book": clicking.phone_book,
    "read-table": filling.read_table,
    "read-table-2": filling.read_table_2,
    "search-engine": clicking.search_engine,
    "simple-algebra": filling.algebra,
    "simple-arithmetic": filling.arithmetic,
    "social-media": clicking.social_media,
    "unicode-test": clicking.click_quoted,
    "use-autocomplete": filling.autocomplete,
    "use-spinner": filling.spinner,
}
"""Tasks -> scripts."""
ONE_CLICK = frozenset({"click-test", "click-test-2", "click-dialog", "focus-text", "focus-text-2", "unicode-test"})
"""Tasks that the same single click solves, always or nearly half of the time. They are not in ``core``."""
