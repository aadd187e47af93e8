"""What a computer reads of a scanner that types as if the keyboard were American, by the layout that is set there."""

import unicodedata

from apps.vouchers import codes

# The keys of a link that write something else than on an American keyboard. An accent in a pair waits for a letter.
_FRENCH = dict(zip("aqzwmAQZWM234567890.", "qawz,QAWZ?é\"'(-è_çà:", strict=True))
_GERMAN = dict(zip("yzYZ", "zyZY", strict=True))
LAYOUTS = {
    "American": {},
    "British": {"#": "£"},
    "German": _GERMAN | {"-": "ß", "=": "\u00b4\u0301", "/": "-", "#": "§", ":": "Ö", "?": "_"},
    "Swiss": _GERMAN | {"-": "'", "=": "^\u0302", "/": "-", "#": "*", ":": "é", "?": "_"},
    "Hungarian": _GERMAN | {"-": "ü", "=": "ó", "/": "-", "#": "+", ":": "É", "0": "ö"},
    "French": _FRENCH | {"-": ")", "/": "!", "#": "3", ":": "M"},
    "Belgian": _FRENCH | {"6": "§", "8": "!", "-": ")", "=": "-", "/": "=", "#": "3", ":": "M"},
    "Spanish": {"-": "'", "=": "¡", "/": "-", "#": "·", ":": "Ñ"},
    "Italian": {"-": "'", "=": "ì", "/": "-", "#": "£", ":": "ç"},
    "Portuguese": {"-": "'", "=": "«", "/": "-", ":": "Ç"},
    "Swedish": {"-": "+", "=": "\u00b4\u0301", "/": "-", ":": "Ö"},
    "Turkish": {"i": "\u0131", "-": "*", "=": "-", "/": ".", "#": "^\u0302", ":": "Ş", ".": "ç"},
}


def typed(text: str, layout: str) -> str:
    """The text as a computer with this layout reads it from the scanner."""
    keys, written, waiting = LAYOUTS[layout], "", ""
    for character in text:
        key = keys.get(character, character)
        if waiting:
            composed = unicodedata.normalize("NFC", key[0] + waiting[1])
            written += composed if len(composed) == 1 else waiting[0] + key[0]
            waiting = ""
        elif len(key) == 2:
            waiting = key
        else:
            written += key
    return written


def link(code: str) -> str:
    """What a QR code holds."""
    return f"https://vouchers.example.com/redeem{codes.FRAGMENT}{codes.format_code(code)}"
