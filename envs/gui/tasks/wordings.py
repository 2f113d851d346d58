"""How tasks are worded: by template, the plainest way first. Levels say how many of the ways they use."""

from __future__ import annotations

WORDINGS: dict[str, tuple[str, ...]] = {
    "mail_delete": (
        "Delete the mail {s} from {p}.",
        "{p} wrote about {s}: delete that mail.",
        "Get rid of {p}'s mail {s}.",
    ),
    "mail_flag": (
        "Flag the mail {s} from {p}.",
        "Put a flag on {p}'s mail {s}.",
        "Mark the mail {s} by {p} with a flag.",
    ),
    "mail_archive": (
        "Move the mail {s} from {p} to Archive.",
        "Archive {p}'s mail {s}.",
        "The mail {s} by {p} belongs into the Archive.",
    ),
    "mail_reply": (
        "Reply to the mail {s} from {p}: Message {m}.",
        "Answer {p}'s mail {s} with {m}.",
        "Write {m} back to {p} about {s}.",
    ),
    "mail_forward": (
        "Forward the mail {s} from {p}: To {to}.",
        "Send {to} what {p} wrote about {s}: forward it.",
        "{to} should get {p}'s mail {s} as well; forward it.",
    ),
    "mail_compose": (
        "Send a mail: To {p}, Subject {s}, Message {m}.",
        "Write {p} a mail about {s} that says {m}.",
        "Mail {m} to {p}, with subject {s}.",
    ),
    "mail_question": (
        "Answer with the city in the mail {s} from {p}.",
        "Which city does {p}'s mail {s} name? Answer.",
        "Where does {p} want to meet, says the mail {s}? Answer with the city.",
    ),
    "event_add": (
        "Add an event: Title {t}, Day {d}, Time {h}.",
        "Put {t} into the calendar: {d}, {h}.",
        "{t} is on {d} at {h}; note it in the calendar.",
    ),
    "event_delete": (
        "Delete the event {t}.",
        "{t} is cancelled; delete it from the calendar.",
        "Take {t} out of the calendar.",
    ),
    "event_move": (
        "Change the event {t}: Time {h}.",
        "{t} begins at {h} instead; change it.",
        "Move {t} to {h} on the same day.",
    ),
    "event_question": (
        "Answer with the time of {t}.",
        "When is {t}? Answer with the time.",
        "At what time does {t} begin? Answer.",
    ),
    "contact_add": (
        "Add a contact: Name {p}, Phone {n}.",
        "Save {p} as a contact, phone {n}.",
        "{p} has the number {n}; put it into the contacts.",
    ),
    "contact_phone": (
        "Change the contact {p}: Phone {n}.",
        "{p} has a new phone: {n}. Change it.",
        "Update {p}'s number to {n}.",
    ),
    "contact_delete": (
        "Delete the contact {p}.",
        "Remove {p} from the contacts.",
        "You do not need {p}'s contact any more; delete it.",
    ),
    "contact_question": (
        "Answer with the phone of {p}.",
        "What is {p}'s phone? Answer.",
        "Which number has {p}? Answer with it.",
    ),
    "contact_email": (
        "Change the contact {p}: Email {e}.",
        "{p} has a new email: {e}. Change it.",
        "Update {p}'s address to {e}.",
    ),
    "file_delete": (
        "Delete the file {n} in {f}.",
        "Move {n}, which is in {f}, to the trash.",
        "Throw {n} in {f} away.",
    ),
    "file_rename": (
        "Rename the file {n} in {f}: Name {m}.",
        "Call {n} in {f} {m} instead.",
        "{n} in {f} should be called {m}.",
    ),
    "file_move": (
        "Move the file {n} from {f} to {t}.",
        "Put {n}, now in {f}, into {t}.",
        "{n} in {f} belongs into {t}.",
    ),
    "file_restore": (
        "Restore the file {n} from Trash.",
        "Take {n} out of the trash.",
        "{n} was deleted by mistake; restore it.",
    ),
    "setting_switch": (
        "In {s} turn {n} {v}.",
        "In the settings, section {s}, turn {v} {n}.",
        "{n} ({s}) should be {v}.",
    ),
    "setting_select": (
        "In {s} set {n} {v}.",
        "In the settings, section {s}, set {n} to {v}.",
        "{n} ({s}) should be {v}.",
    ),
    "shop_buy": (
        "Order {n}: Quantity {q}, Delivery {d}.",
        "Buy {q} {n}, delivery {d}.",
        "We need {q} {n}; order with {d} delivery.",
    ),
    "shop_cheapest": (
        "Order the cheapest product with standard delivery.",
        "Buy what costs least, delivery standard.",
        "Find the lowest price in the shop and order that product, standard delivery.",
    ),
    "shop_question": (
        "Answer with the price of {n}.",
        "How many dollars is {n}? Answer.",
        "What does {n} cost? Answer with the number.",
    ),
    "note_check": (
        "In the note {t} {w} {i}.",
        "In the note {t}, {w} {i}.",
        "{v} {i} off the list {t}.",
    ),
    "note_add": (
        "Add to the note {t}: New item {i}.",
        "Put {i} on the list {t}.",
        "{t} should list {i} as well; add it.",
    ),
    "note_new": (
        "Make a note: Title {t}.",
        "Begin a note with the title {t}.",
        "We need a note {t}; make it.",
    ),
    "note_delete": (
        "Delete the note {t}.",
        "The note {t} is not needed any more; delete it.",
        "Remove the list {t}.",
    ),
    "form_register": (
        "Register: Name {p}, Email {e}, Country {c}, and agree.",
        "Fill in the registration for {p} ({e}) from {c}, and agree.",
        "{p} of {c} wants to register, email {e}, and agrees.",
    ),
    "form_survey": (
        "Fill in the survey: Service {s}, Again {a}.",
        "Take the survey; the service was {s}, and {a} to coming again.",
        "Tell the survey that the service was {s}; again: {a}.",
    ),
    "form_booking": (
        "Book a room: City {c}, Day {d}, Guest {p}{x}.",
        "{p} needs a room in {c} on {d}{x}; book it.",
        "Reserve {c}, {d}, for the guest {p}{x}.",
    ),
    "mail_to_contact": (
        "The mail {s} from {p} has a phone number. Add it to Contacts under the name it gives.",
        "Save the person and phone of {p}'s mail {s} as a contact.",
        "{p} sent somebody's number ({s}); keep it among your contacts.",
    ),
    "mail_to_event": (
        "The mail {s} from {p} announces an event. Add it to the calendar.",
        "Enter the event of {p}'s mail {s} into Calendar.",
        "{p} wrote when something takes place ({s}); note it in the calendar.",
    ),
    "mail_to_setting": (
        "Do in Settings what the mail {s} from {p} asks for.",
        "{p}'s mail {s} asks for a setting; set it so.",
        "Follow the mail {s} by {p}.",
    ),
    "mail_to_file": (
        "Rename the file as the mail {s} from {p} asks for.",
        "{p}'s mail {s} wants a file to have another name; give it.",
        "Do with the files what {p} asks for ({s}).",
    ),
    "note_to_shop": (
        "Order what the note {t} lists, with express delivery.",
        "Buy the product on the list {t}, delivery express.",
        "Get what {t} says from the shop, express.",
    ),
    "note_within_budget": (
        "Order the one product on the note {t} that costs no more than ${m}, with standard delivery.",
        "Of what {t} lists, buy what ${m} suffice for; delivery standard.",
        "You have ${m}. Order from the list {t} what you can pay, standard delivery.",
    ),
    "event_to_mail": (
        "Mail {p} the time of {t}: subject {t}, message only the time.",
        "Tell {p} by mail when {t} begins (subject {t}, message the time alone).",
        "{p} asks when {t} is; mail the time alone, with subject {t}.",
    ),
    "contact_to_mail": (
        "Mail {p} the phone of {q}: subject Phone, message only the number.",
        "Send {p} {q}'s number (subject Phone, message the number alone).",
        "{p} needs {q}'s phone; mail it alone, with subject Phone.",
    ),
    "event_to_booking": (
        "Book a room in {c} for {p} on the day of {t}.",
        "{p} comes to {c} for {t}; book a room for that day.",
        "Reserve {c} for the guest {p} on the day {t} is.",
    ),
    "contact_to_form": (
        "Register {p} with the email in Contacts, and agree. Nothing else.",
        "Fill in the registration for {p}, email as in the contacts; agree.",
        "{p} is among your contacts; register them with name and email, and agree.",
    ),
    "announce": (
        "The mail {s} from {p} announces an event. Add it to the calendar, save whom to ask in Contacts, reply noted.",
        "Enter the event of {p}'s mail {s}, keep the person it names as a contact, reply noted.",
        "{p} wrote about {s}: event, contact, and a reply (noted) are up to you.",
    ),
    "errand": (
        "Order what the note {t} lists (standard), check it there, and mail {p}: subject {t}, message ordered.",
        "Buy what is on {t} (standard), check it off, tell {p} by mail (subject {t}, message ordered).",
        "See to the list {t}: shop (standard), check, mail ordered to {p} with subject {t}.",
    ),
    "travel": (
        "Book the room of the mail {s} from {p}, on the day the calendar has for the event; reply only the day.",
        "{p}'s mail {s} needs a room on the day of an event; book it, reply the day alone.",
        "See to {p}'s travel ({s}): calendar, booking, and the day as a reply.",
    ),
    "introduce": (
        "Move the file {n} in {f} to {t}, then mail {p}'s phone to {p}: subject {n}, message only the phone.",
        "Put {n} from {f} into {t}; then send {p} their own phone (subject {n}).",
        "{n} in {f} goes to {t}, and {p} gets a mail {n} with their own phone.",
    ),
}
"""Template -> wordings, with places for what differs."""
