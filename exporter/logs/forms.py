"""Secrets that nobody told us about, told by their form: keys, tokens, passwords in addresses and assignments.

Belongs here: text in, text out, for one kind of thing each. Who is masked where is ``masking``.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from typing import Final

from exporter.config.secrets import REDACTED

Rewrite = Callable[[str], str]

#: Words whose value is a secret wherever it stands: ``WORD=value``, ``"word": "value"``, ``--word value``.
WORDS: Final = (
    r"(?:(?<![A-Za-z])pass(?:[_-]?(?:phrase|code))?|password|passwd|passphrase|(?<![A-Za-z])pwd"
    r"|secret(?:[_-]?(?:access[_-]?)?key(?:[_-]?base)?|[_-]?id)?|rediscli_auth|(?<!nexpected )token|credentials?"
    r"|(?:api|access|private|account|auth|encryption|signing|master|license)[_-]?key"
    r"|shared[_-]?access[_-]?(?:key|signature)|x-amz-signature|(?:php|j)sessid|jsessionid|connect\.sid|(?<=[?&])sig)"
    r"(?![A-Za-z])"
)
#: What follows such a word in a sentence about it.
_SENTENCE: Final = (
    r"(?!(?:must|is|was|has|field|required|invalid|none|null|nil|missing|cannot|can't|not|no|too|should|expected|"
    r"incorrect|wrong|empty|true|false|expired|unknown|duplicate|never|only|mismatch|authentication|denied|got|does|failed|a|an|the|in|for)\b)"
)
_QUOTED: Final = r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|\\\"(?:[^\"\\]|\\[^\"])*\\\"|[\"'][^\"'\n]*\Z"
_BARE: Final = r"[^\s,;&\"']+"
_ASSIGNED: Final = re.compile(
    rf"(?i)({WORDS}(?:\\?[\"'])?(?:\s{{0,3}}=>?|\s{{0,3}}:=|\s{{0,3}}:(?!:))\s{{0,3}})(?!{REDACTED}@){_SENTENCE}({_QUOTED}|{_BARE})"
)
#: ``{"name": "DB_PASSWORD", "value": "x"}``, ``<add key="ApiKey" value="x"/>``
_NAMED: Final = re.compile(
    rf"(?i)(\b(?:name|key)(?:\\?[\"'])?\s{{0,3}}[:=]\s{{0,3}}(?P<quote>\\?[\"']|)[\w.:-]{{0,60}}?{WORDS}(?P=quote)[,\s]{{1,20}}"
    rf"(?:\\?[\"'])?value(?:\\?[\"'])?\s{{0,3}}[:=]\s{{0,3}})({_QUOTED}|{_BARE})"
)
#: ``ALTER ROLE app PASSWORD 'x'``, MySQL's ``IDENTIFIED BY 'x'``
_STATEMENT: Final = re.compile(rf"(?i)(\b(?:password|identified\s{{1,3}}by)\s{{1,3}})({_QUOTED})")
_OPTION: Final = re.compile(rf"(?i)(--[a-z-]{{0,30}}?{WORDS}\s+)({_QUOTED}|[^\s-]\S*)")
_LOGIN_OPTION: Final = re.compile(
    r"(?<!\S)((?:-u\s*|--user[ =])(?:(?P<quote>[\"'])(?=[^\n]{0,300}(?P=quote)))?[^\s:\"']+:)"
    r"(?(quote).+?(?=(?P=quote))|\S+)"
)
#: Programs that take a password as an option of one letter.
_PROGRAM_OPTION: Final = re.compile(
    rf"(\b(?:redis-cli|valkey-cli)\b[^\n|;&]{{0,200}}?\s-a\s+|\b(?:mysql|mysqldump|mysqladmin|mariadb)\b[^\n|;&]{{0,200}}?\s-p"
    rf"|\bsshpass\s+-p\s*)({_QUOTED}|[^\s\"']+)"
)
_ELEMENT: Final = re.compile(rf"(?i)(<[\w:.-]{{0,40}}?{WORDS}>)[^<]+(?=</)")
_USERINFO: Final = re.compile(r"(://[^\s/@:]*:)(?!\d{1,5}/)(?:(?!://)[^\s@])*(?:@[^\s@/,]*(?=@))*@")
#: A key alone, and no user's name: in hexadecimal, or long and of letters of both cases and digits.
_LONE_USERINFO: Final = re.compile(
    r"(://)(?:[0-9a-f]{32,}|(?=[a-zA-Z]{0,60}\d)(?=[a-z\d]{0,60}[A-Z])(?=[A-Z\d]{0,60}[a-z])[A-Za-z0-9]{20,})(?=@)"
)
#: Go's ``user:password@tcp(host:3306)/db``.
_NETWORK: Final = re.compile(r"(?<![\w/:])([\w.-]{1,64}:)[^\s@/]{1,200}(?=@(?:tcp|tcp6|unix)\()")
_ORACLE: Final = re.compile(r"\b(\w{1,30})/[^\s/@]{1,60}(?=@//?[\w.])")
_PEM: Final = re.compile(r"-----BEGIN ([A-Z ]{0,30}PRIVATE KEY(?: BLOCK)?)-----.*?(?:-----END \1-----|\Z)", re.DOTALL)
_HEADER: Final = re.compile(r"(?i)\b((?:set-)?cookie\\?[\"']?\s*:\s*\\?[\"']?)(?=[^\s=;\"']+=)[^\r\n\"']+")
_AUTHORIZATION: Final = re.compile(
    r"(?i)(authorization\\?[\"']?\s*[:=]\s*\\?[\"']?"
    r"(?:(?P<digest>digest\s+)|(?P<scheme>(?:basic|bearer|token|negotiate|ntlm|api-?key|hmac|splunk|aws4-hmac-sha256"
    # any other word before what looks like a key
    r"|[a-z][\w-]{1,20}(?=\s+[^\s\"',;]{0,100}\d)(?=\s+[^\s\"',;]{16}))\s+))?)"
    r"(?:(?(digest)[^\r\n]+|(?(scheme)[^\r\n\"']+|[^\s\"',;]{16,})))"
)
_BEARER: Final = re.compile(r"(?i)\b(bearer\s+)(?=[\w.~+/-]{0,200}[\d=]|[\w.~+/-]{32})[\w.~+/-]{8,}=*")
_BASIC: Final = re.compile(r"(?i)\b(basic\s+)([A-Za-z0-9+/]{8,}={0,2})")
#: Tokens that tell whose they are.
_TOKEN: Final = re.compile(
    r"(?<![A-Za-z0-9])(?:"
    r"(?:AKIA|ASIA|AROA|AIDA|ABIA|ACCA)[A-Z0-9]{16}(?![A-Za-z0-9])"  # AWS
    r"|AIza[\w-]{35}|ya29\.[\w.-]{20,}|GOCSPX-[\w-]{20,}|1//0[\w-]{20,}"  # Google
    r"|eyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*){0,3}"  # JWT, JWE
    r"|gh[pousr]_\w{30,}|github_pat_\w{22,}|gl(?:pat|dt|rt|cbt|ptt|soat|ft|agent)-[\w.-]{20,}|ATBB\w{24,}|ATATT3\w[\w=-]{20,}"
    r"|xoxe\.xox[bp]-[\w-]{10,}|xox[abeoprs]-[\w-]{10,}|xapp-[\w-]{10,}"  # Slack
    r"|[rs]k_(?:live|test)_\w{10,}|whsec_[\w+/=]{16,}|sq0(?:atp|csp|idp)-[\w-]{20,}|access_token\$\w+\$\w{16,}\$\w{32}"
    r"|SG\.[\w-]{16,}\.[\w-]{16,}|SK[0-9a-f]{32}|key-[0-9a-f]{32}|[0-9a-f]{32}-us\d{1,2}"  # SendGrid, Twilio, Mail*
    r"|npm_\w{36}|pypi-AgE[\w-]{50,}|rubygems_[0-9a-f]{48}|dckr_pat_[\w-]{20,}|dop_v1_[0-9a-f]{64}|shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}"
    r"|hv[sbr]\.[\w-]{20,}|[sbr]\.[A-Za-z0-9]{24}(?![A-Za-z0-9])|b\.AAAAA[\w-]{20,}|AGE-SECRET-KEY-1[0-9A-Z]{58}"
    r"|sk-(?:ant-|proj-)?[\w-]{20,}|hf_[A-Za-z]{30,}|r8_\w{37}|gsk_\w{40,}|dapi[0-9a-f]{32}"
    r"|glsa_\w{32}_[0-9a-f]{8}|glc_[\w+/=]{32,}|NRAK-[A-Z0-9]{27}|NRII-[\w-]{32}|sntry[su]_[\w+/=-]{40,}|PMAK-[0-9a-f]{24}-[0-9a-f]{34}"
    r"|\d{8,10}:AA[\w-]{33}|[MNO][\w-]{23,25}\.[\w-]{6}\.[\w-]{27,}"  # Telegram, Discord
    r"|[\w~.]{3}\dQ~[\w~.-]{31,34}|EAA[CEGJ][A-Za-z0-9]{30,}|lin_api_\w{40}|figd_[\w-]{40}|secret_[A-Za-z0-9]{43}"
    r"|(?:T3BlbkFJ|CFPAT-)[\w-]{20,}|oauth:[a-z0-9]{30}|rk_[\w]{24,}"
    r")"
)
_HASH: Final = re.compile(
    r"\$(?:2[abxy]?|argon2(?:id|i|d)|[156]|scrypt|pbkdf2(?:-sha\d+)?|y)\$[^\s'\";)]{20,}|SCRAM-SHA-(?:1|256)\$\d+:[^\s'\",;)]{20,}"
)
_HOOK: Final = re.compile(
    r"(?i)(hooks\.slack\.com/(?:services|workflows|triggers)/|discord(?:app)?\.com/api/webhooks/|"
    r"webhook\.office\.com/webhookb2/|api\.telegram\.org/bot|events\.pagerduty\.com/integration/|chat\.googleapis\.com/v1/spaces/)"
    r"[^\s\"'<>)\]}]+"
)


def _assigned(found: re.Match[str]) -> str:
    """The value's quotes stay: JSON is JSON afterwards. The value is the last group."""
    quote = re.match(r"\\?[\"']", found[found.re.groups])
    around = quote[0] if quote is not None else ""
    return f"{found[1]}{around}{REDACTED}{around}"


def _whole(pattern: re.Pattern[str]) -> Rewrite:
    return lambda text: pattern.sub(REDACTED, text)


def _after(pattern: re.Pattern[str], end: str = "") -> Rewrite:
    """What stands before the secret, the pattern's first group, stays."""
    return lambda text: pattern.sub(rf"\1{REDACTED}{end}", text)


def _basic(found: re.Match[str]) -> str:
    """A login in Base64, and no English word of that length."""
    try:
        login = base64.b64decode(found[2] + "=" * (-len(found[2]) % 4), validate=True)
    except (binascii.Error, ValueError):
        return found[0]
    return f"{found[1]}{REDACTED}" if b":" in login else found[0]


#: What has to be in a text (``*``: in lower case) for a rule to be worth trying, and the rule. The order matters:
#: what is more than a line, or tells a whole, comes before its parts.
RULES: Final[tuple[tuple[tuple[str, ...], bool, Rewrite], ...]] = (
    (("PRIVATE KEY",), False, _whole(_PEM)),
    (("://",), False, _after(_USERINFO, "@")),
    (("://",), False, _after(_LONE_USERINFO)),
    (("hooks.slack", "/webhook", "telegram.org", "pagerduty.com", "chat.googleapis"), True, _after(_HOOK)),
    (("authorization",), True, _after(_AUTHORIZATION)),
    (("cookie",), True, _after(_HEADER)),
    (("bearer",), True, _after(_BEARER)),
    (("basic ",), True, lambda text: _BASIC.sub(_basic, text)),
    (
        ("pass", "pwd", "secret", "token", "credential", "key", "sessi", "sig", "connect.sid", "shared", "cli_auth"),
        True,
        lambda text: _ASSIGNED.sub(_assigned, text),
    ),
    (('value"', "value\\", "value'", "value:", "value="), True, lambda text: _NAMED.sub(_assigned, text)),
    (("password", "identified"), True, lambda text: _STATEMENT.sub(_assigned, text)),
    (("@tcp", "@unix("), False, _after(_NETWORK)),
    ((" -a", " -p"), False, _after(_PROGRAM_OPTION)),
    (("--",), True, lambda text: _OPTION.sub(_assigned, text)),
    (("-u", "--user"), True, lambda text: _LOGIN_OPTION.sub(rf"\1{REDACTED}", text)),
    (("</",), True, _after(_ELEMENT)),
    (("@/",), True, lambda text: _ORACLE.sub(rf"\1/{REDACTED}", text)),
    (("$",), True, _whole(_HASH)),
)
#: One of these begins each token of ``_TOKEN``.
_BEGINNINGS: Final = re.compile(
    r"A(?:KIA|SIA|ROA|IDA|BIA|CCA|Iza|TBB|TATT3|GE-)|ya29|GOCSPX|1//0|eyJ|gh[pousr]_|github_pat|gl(?:pat|dt|rt|cbt|ptt|soat|ft|agent|sa|c)[-_]"
    r"|xox|xapp|[rs]k_|whsec|sq0|access_token\$|SG\.|SK[0-9a-f]{8}|key-|-us\d|npm_|pypi-|rubygems|dckr_|dop_|shp|hv[sbr]\.|[sbr]\.[A-Za-z0-9]{24}"
    r"|sk-|hf_|r8_|gsk_|dapi|NR|sntry|PMAK|:AA|[MNO][\w-]{23,25}\.|Q~|EAA|lin_api|figd_|secret_|T3Blbk|CFPAT|oauth:"
)


def suspect(text: str) -> bool:
    """Whether ``without_secrets`` may find anything."""
    lowered = text.lower()
    return any(needle in (lowered if folded else text) for needles, folded, _ in RULES for needle in needles) or bool(
        _BEGINNINGS.search(text)
    )


def without_secrets(text: str) -> str:
    """``text`` without what looks like a secret."""
    lowered = text.lower()
    for needles, folded, rewrite in RULES:
        where = lowered if folded else text
        if any(needle in where for needle in needles):
            text = rewrite(text)
    return _TOKEN.sub(REDACTED, text) if _BEGINNINGS.search(text) else text
