"""Personal data, told by its form: e-mail addresses, telephone numbers, card and account numbers.

What must not be torn: dates, times, UUIDs, ids, versions, addresses with ports, Unix times. So a number counts only
with its check digits, with a country's prefix, or grouped the way people write theirs.
"""

from __future__ import annotations

import re
from typing import Final

MAIL: Final = "<email>"
PHONE: Final = "<phone>"
CARD: Final = "<card>"
ACCOUNT: Final = "<account>"
PERSON: Final = "<name>"
OTHER: Final = "<personal>"

#: Accounts of programs, written like addresses: what follows is a machine or a repository.
_PROGRAMS: Final = frozenset({"git", "celery", "root", "postgres"})
_MAIL: Final = re.compile(
    r"(?P<url>://[^\s/@?#\"']*@)"
    r"|(?P<local>\"[^\"\s@]{1,64}(?: [^\"\s@]{1,64})?\"|(?<![\w.+~-])\w(?:[\w.+~-]|(?<=\w)'(?=\w)){0,127})"
    r"(?:@|%40|&#64;)(?:[^\W_](?:[\w-]{0,62}[^\W_])?\.){1,8}(?:[^\W\d_]{2,24}|xn--[\w-]{2,59})(?![\w-])"
)
#: Digits with what people put between them; the shortest of all that is looked for has eight.
DIGITS: Final = re.compile(r"\d[\d ().\-/\u00a0\u2011\u2013]{5,}\d")
_CARD: Final = re.compile(r"(?<![\w.])(?<!\d[-.:/])\d(?:[ -]?\d){12,18}(?![\w]|[-.:/]\d)")
_CARD_BEGINS: Final = re.compile(
    r"4|5[1-5]|2(?:20[0-4]|22[1-9]|2[3-9]|[3-6]|7[01]|720)|3[47]|3(?:0[0-5]|[689])|6(?:011|4[4-9]|[02357])|35(?:2[89]|[3-8])|5[06-8]"
)
_LENGTHS: Final = {"4": (13, 16, 19), "5": (16,), "2": (16,), "3": (14, 15, 16), "6": (16, 17, 18, 19)}
_GAP: Final = r"[ .\-\u00a0\u2011\u2013]"
_PHONE: Final = re.compile(
    r"(?:"
    # +49 30 1234-5678, +1 (555) 123-4567, 0044 20 7946 0958
    rf"(?<![\w+.])\+[1-9]\d{{0,2}}(?:{_GAP}{{0,2}}|/)(?:\(\d{{1,5}}\)(?:{_GAP}|/)?)?\d(?:{_GAP}?\d|/\d){{5,12}}"
    r"|(?<![\w+.:/-])(?:"
    rf"00[1-9]\d{{0,2}}{_GAP}\(?\d{{1,5}}\)?(?:{_GAP}?\d){{4,12}}"
    # (555) 123-4567, 555-123-4567, 1-800-555-0199
    rf"|(?:1{_GAP})?\([2-9]\d\d\) ?\d{{3}}{_GAP}\d{{4}}"
    r"|(?:1[-. ])?[2-9]\d\d(?P<same>[-. ])\d{3}(?P=same)\d{4}"
    # 01 23 45 67 89, 030/1234567, (030) 1234567, 0171 1234567, 020 7946 0958
    r"|0[1-9](?P<pair>[ .-])\d\d(?P=pair)\d\d(?P=pair)\d\d(?P=pair)\d\d"
    r"|\(0[1-9]\d{1,4}\) ?\d{3,4}(?:[ -]?\d{2,4}){1,2}"
    r"|(?!0\d[-/. ]\d\d[-/. ]\d{2,4}\b)0[1-9]\d{1,4}[ /-]\d{3,4}(?:[ -]?\d{2,4}){1,2}"
    r"))(?![\w:]|[-./]\w)"
)
_SAID_PHONE: Final = re.compile(
    r"(?i)((?<![a-z])(?:tele)?(?:phone|fon|mobile|cell|fax|whatsapp|msisdn|handy)(?:[_ ]?(?:number|no\.?|nr\.?))?"
    r"|(?<![a-z])(?:tel|sms))(?![a-z])((?:\\?[\"'])?\)?[\s:=.(]{1,4}(?:to |is |\\?[\"'])?\(?)"
    r"(\+?\d(?:[ ().\-/]{0,2}\d){6,14})(?![\w])"
)
_IBAN: Final = re.compile(r"(?<![A-Za-z0-9])[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?![A-Za-z0-9])")
_SSN: Final = re.compile(r"(?<![\w.-])(?!000|666|9)\d{3}-(?!00)\d\d-(?!0000)\d{4}(?![\w]|[-.]\d)")


def without_personal(text: str) -> str:
    """``text`` without addresses and numbers of people."""
    if "@" in text or "%40" in text or "&#64;" in text:
        text = _MAIL.sub(_mail, text)
    if DIGITS.search(text):
        text = _SAID_PHONE.sub(rf"\1\2{PHONE}", text)
        text = _IBAN.sub(_iban, text)
        text = _CARD.sub(lambda found: CARD if is_card(found[0]) else found[0], text)
        text = _SSN.sub(OTHER, text)
        text = _PHONE.sub(_phone, text)
    return text


def suspect(text: str) -> bool:
    """Whether ``without_personal`` may find anything."""
    return "@" in text or "%40" in text or "&#64;" in text or DIGITS.search(text) is not None


def is_card(text: str) -> bool:
    """Whether these digits are those of a payment card: its first ones, its length, Luhn's check digit."""
    digits = "".join(c for c in text if c.isdecimal())
    if len(digits) not in _LENGTHS.get(digits[:1], ()) or _CARD_BEGINS.match(digits) is None:
        return False
    if len(set(digits)) == 1:
        return False
    total = 0
    for index, char in enumerate(reversed(digits)):
        value = int(char) * (1 + index % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def _mail(found: re.Match[str]) -> str:
    if found["url"] is not None or found["local"] in _PROGRAMS:
        return found[0]
    return MAIL


def _phone(found: re.Match[str]) -> str:
    digits = sum(c.isdecimal() for c in found[0])
    return PHONE if 9 <= digits <= 15 or (digits == 8 and found[0][0] == "+") else found[0]


def _iban(found: re.Match[str]) -> str:
    text = found[0].replace(" ", "")
    if not 15 <= len(text) <= 34:
        return found[0]
    number = "".join(str(int(c, 36)) for c in text[4:] + text[:4])
    return ACCOUNT if int(number) % 97 == 1 else found[0]
