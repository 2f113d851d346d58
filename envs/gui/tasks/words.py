"""The words that screens and tasks are made of. Single words, so that a name is a few tokens of any tokenizer."""

from __future__ import annotations

from types import SimpleNamespace

FIRST = """
Ada Anna Boris Carla Cora David Diego Elena Emma Erik Fatima Felix Greta Hana Hugo Ines Ivan Jana Jonas Karim Lena
Leo Lina Luis Maja Marco Mila Nadia Nora Omar Oscar Paula Petra Rosa Samir Sara Tariq Theo Vera Yara
""".split()
LAST = """
Abbott Adler Becker Berg Brandt Castro Chandler Dalton Ellis Foster Garcia Gruber Harper Ito Jansen Keller Kim
Lambert Lopez Lowell Meyer Nolan Novak Okafor Olsen Patel Porter Ramsey Rossi Santos Silva Spencer Tanaka Torres
Varga Walsh Weber Wolf Young Zeman
""".split()
SUBJECTS = """
Agenda Bonus Budget Catering Concert Contract Delivery Draft Feedback Garden Hiking Holiday Insurance Invoice Keys
Lease Lunch Manual Menu Minutes Offer Parking Payroll Photos Picnic Planning Printer Proposal Recipe Refund Rent
Report Safety Schedule Survey Tickets Training Travel Visa Wedding
""".split()
BODIES = [
    "Please have a look.",
    "Thanks for your help.",
    "Let me know what you think.",
    "It is done now.",
    "I will be late today.",
    "Can we talk about it?",
    "Everything is on track.",
    "Here is what you asked for.",
]
REPLIES = """
agreed busy certainly confirmed declined done fine gladly maybe noted perfect received ready sorry thanks tomorrow
welcome yes
""".split()
EVENTS = """
Audit Ballet Briefing Brunch Checkup Choir Class Concert Course Dentist Dinner Doctor Exam Fair Football Haircut
Interview Lecture Lesson Meeting Movie Museum Opera Party Physio Rehearsal Review Seminar Swimming Tennis Theatre
Tour Workshop Yoga
""".split()
WEEK = ("Mon", "Tue", "Wed", "Thu", "Fri")
HOURS = ("9am", "10am", "11am", "12pm", "1pm", "2pm", "3pm", "4pm", "5pm", "6pm")
PHONES = [f"555-{n:04d}" for n in range(101, 200)]
FOLDERS = """
Archive Camera Documents Drafts Downloads Music Pictures Private Projects Shared School Taxes Videos Work
""".split()
FILES = """
album anthem atlas blueprint brochure budget calendar certificate chart contract diary diploma essay floorplan guide
invoice journal letter manual map notebook passport playlist poem portrait poster puzzle receipt recipe report
resume script sketch slides speech statement summary thesis ticket timetable
""".split()
FILE_TEXTS = ["The first version.", "To be checked again.", "Final.", "Please keep.", "A copy of the old one."]
SETTINGS: dict[str, dict[str, tuple[str, ...]]] = {
    "Sound": {
        "Vibration": (),
        "Touch tones": (),
        "Volume": ("0", "20", "40", "60", "80", "100"),
        "Ringtone": ("Bell", "Chime", "Drum", "Wave"),
    },
    "Display": {
        "Dark mode": (),
        "Auto rotate": (),
        "Brightness": ("0", "20", "40", "60", "80", "100"),
        "Font": ("small", "medium", "large"),
    },
    "Network": {"Wifi": (), "Bluetooth": (), "Roaming": (), "Proxy": ("none", "manual", "automatic")},
    "Privacy": {"Location": (), "Microphone": (), "Cookies": (), "Ads": ("all", "some", "none")},
    "Language": {
        "Language": ("English", "French", "German", "Polish", "Turkish"),
        "Spelling": (),
        "Keyboard": ("QWERTY", "QWERTZ", "AZERTY"),
    },
    "Battery": {"Saver": (), "Adaptive charging": (), "Limit": ("60", "80", "100")},
}
"""Section -> setting -> its options; a switch has none."""
COLOURS = """
amber black blue brown coral gold gray green indigo ivory navy olive orange pink purple red silver teal violet white
""".split()
GOODS: dict[str, list[str]] = {
    "kitchen": "bowl cup fork jug kettle knife ladle mug pan plate spoon teapot".split(),
    "clothes": "belt boots cap coat dress gloves hat jacket scarf shirt shoes socks".split(),
    "home": "blanket candle chair clock cushion curtain desk lamp mirror rug shelf vase".split(),
    "sport": "ball bike helmet kite mat net paddle racket rope skates sled tent".split(),
}
LISTS = """
Errands Garden Groceries Holiday Ideas Moving Office Packing Party Plans Repairs School Shopping Todo Trip Weekend
""".split()
ITEMS = """
apples bread butter candles cheese coffee eggs flour garlic honey juice lemons milk nuts onions pasta pepper
potatoes rice salt soap spinach sugar tea tomatoes towels yogurt
""".split()
BUTTONS = """
Accept Apply Buy Call Cancel Close Confirm Continue Copy Decline Delete Details Download Edit Export Finish Help
Import Install Join Later Like More Next OK Open Pause Play Print Refresh Remove Reply Reset Save Send Share Skip
Start Stop Subscribe Undo Update Upload View
""".split()
TABS = """
Account Billing Contact Events Gallery History Members News Orders Profile Reviews Support
""".split()
LOGINS = """
badger beaver cobra cougar dolphin eagle falcon ferret heron jaguar koala lemur lion marten moose otter panda
panther puffin rabbit raven robin salmon seal shark sparrow stork tiger viper walrus wombat zebra
""".split()
SECRETS = """
acorn birch cactus cedar clover daisy elm fern hazel holly iris ivy laurel lilac linden lotus maple moss myrtle oak
orchid palm pine poplar poppy reed rose sage thyme tulip willow yarrow
""".split()
CITIES = """
Athens Bergen Cairo Dakar Dublin Geneva Havana Kyoto Lagos Lima Lisbon London Madrid Manila Milan Mumbai Nairobi
Naples Oslo Paris Prague Quito Riga Rome Seoul Sofia Tokyo Tunis Vienna Warsaw
""".split()
CLUBS = """
Archery Astronomy Chess Choir Climbing Cooking Dancing Drama Fencing Gardening Hockey Judo Karate Knitting Painting
Photography Pottery Robotics Rowing Sailing Singing Skiing Tennis Writing
""".split()
MONTHS = ("January", "March", "May", "July", "September", "November")
FEW = 16
"""Words of each list that the low levels use, so that a tiny policy meets each of them often."""
_ALL = {name: value for name, value in globals().items() if name.isupper() and name != "FEW"}
ALL_WORDS = SimpleNamespace(**_ALL)
"""All lists by their names."""
FEW_WORDS = SimpleNamespace(**{k: v[:FEW] if isinstance(v, list) else v for k, v in _ALL.items()})
"""The lists, cut short."""
