"""What the name of a key tells of its value: a secret, a person's name, a number to call somebody.

``{"name": ...}`` alone names anything: a job, a host. It is a person's within one (``user``, ``customers``), and beside
what only people have (``firstName``, ``email``).
"""

from __future__ import annotations

import re
from enum import Enum
from functools import lru_cache
from typing import Final


class Kind(Enum):
    """What a key says. MAYBE: a name, if it looks like one. PERSON: what is within is somebody's."""

    PLAIN = 0
    SECRET = 1
    NAME = 2
    MAYBE = 3
    NUMBER = 4
    OTHER = 5
    PERSON = 6
    CONTACT = 7
    ANY_NAME = 8


_SECRET: Final = re.compile(
    r"pass(?:word|wd|phrase|code)|secret|token|credential|(?:api|access|private|account|auth|signing|encryption|master)key"
    r"|authorization|cookie|^pwd$|^pass$|dsn$|^sig(?:nature)?$|sessid$|^cv[vc]2?$|^pin$|^otp$|connectionstring"
)
#: ``tokenType``, ``password_changed_at``: about a secret, none itself.
_ABOUT: Final = re.compile(
    r"(?:[_-](?:at|on|name|type|count|expires?|expiry|expiration|ttl|length|policy|field|path|file|status|version)"
    r"|(?<=[a-z])(?:At|On|Name|Type|Count|Expires?|Expiry|Expiration|Ttl|Length|Policy|Field|Path|File|Status|Version))$"
)
_WHO: Final = (
    r"customer|contact|recipient|sender|patient|employee|person|account(?:holder|owner)|holder|card(?:holder)?|payer|payee|"
    r"beneficiary|buyer|seller|subscriber|guest|student|passenger|applicant|candidate|attendee|friend|"
    r"member|author|assignee|signatory|emergencycontact"
)
_NAME: Final = re.compile(
    r"(?:first|last|full|given|family|middle|maiden)name$|^(?:sur|fore|real|legal|birth)name$"
    rf"|^(?:{_WHO}|billing|shipping)(?:sur)?name$|^cardholder$|^nameoncard$"
)
_MAYBE: Final = frozenset(
    {"displayname", "username", "nickname", "ownername", "clientname", "createdby", "updatedby", "assignedto", "owner",
     "manager", "creator", "requestedby", "approvedby", "leadname"}
)  # fmt: skip
_NUMBER: Final = re.compile(r"phone|mobile|msisdn|^tel$|^telno$|^fax|^cell$|whatsapp|^handy|^sms(?:to|number)?$")
_OTHER: Final = re.compile(
    r"^(?:dob|dateofbirth|birthdate|birthday|birthplace|ssn|socialsecurity(?:number)?|passport(?:number|no)?|nationalid|"
    r"taxid|taxnumber|driver(?:s)?licen[cs]e(?:number)?|iban|bankaccount(?:number)?|accountnumber|cardnumber|pan|"
    r"(?:home|postal|billing|shipping|street|mailing|delivery)address|street(?:line\d?)?|addressline\d?|address\d)$"
)
_PERSON: Final = re.compile(rf"^(?:user|people|{_WHO})s?$|^beneficiaries$")
_CONTACT: Final = re.compile(r"e?mail(?:address)?$")
_PARTS: Final = re.compile(r"[^a-z0-9]")
_PARTICLES: Final = frozenset(
    {"van", "von", "der", "den", "de", "da", "di", "du", "del", "la", "le", "bin", "ibn", "al", "el", "y", "dos"}
)
_TITLES: Final = frozenset({"mr", "mrs", "ms", "dr", "prof", "herr", "frau", "mme", "sir"})


@lru_cache(maxsize=4096)
def kind_of(key: str) -> Kind:
    """What ``key``, however it is written (``firstName``, ``first_name``, ``First Name``), says of its value."""
    if len(key) > 100:
        return Kind.PLAIN
    name = _PARTS.sub("", key.lower())
    if _SECRET.search(name):
        return Kind.PLAIN if _ABOUT.search(key) else Kind.SECRET
    for kind, pattern in (
        (Kind.NAME, _NAME),
        (Kind.NUMBER, _NUMBER),
        (Kind.OTHER, _OTHER),
        (Kind.PERSON, _PERSON),
        (Kind.CONTACT, _CONTACT),
    ):
        if pattern.search(name):
            return kind
    if name == "name":
        return Kind.ANY_NAME
    return Kind.MAYBE if name in _MAYBE else Kind.PLAIN


def like_a_name(text: str) -> bool:
    """Whether this is written as people's names are: two to five words, the first and the last in title case."""
    words = text.replace(",", " ").split()
    if words and words[0].lower().rstrip(".") in _TITLES:
        words = words[1:]
        if len(words) == 1:
            return _titled(words[0])
    if not 2 <= len(words) <= 5 or len(text) > 80:
        return False
    inner = all(word.lower() in _PARTICLES or _titled(word) for word in words[1:-1])
    return inner and _titled(words[0]) and _titled(words[-1])


def one_name(text: str) -> bool:
    """Whether this may be a first name alone."""
    return " " not in text and len(text) <= 40 and _titled(text)


def _titled(word: str) -> bool:
    letters = word.rstrip(".").replace("-", "").replace("'", "").replace("\u2019", "")
    return (
        letters.isalpha()
        and word[0].isupper()
        and (len(letters) == 1 or letters[1:].islower() or "-" in word or "'" in word or letters[:2] in ("Mc", "Ma"))
    )
