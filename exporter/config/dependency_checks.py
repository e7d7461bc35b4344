"""What dependencies have to keep to, of that which one key alone does not show."""

from __future__ import annotations

from exporter.config.problems import Where


def check_login(section: Where) -> None:
    """A user with a password; a password alone only where ``kind`` has such logins."""
    if section.get("username") is not None and section.get("password") is None:
        section.problem("password", "required with username")


def check_ca_file(section: Where, *, tls: bool | None, without: str) -> None:
    """``ca_file`` only where a certificate is verified; ``tls`` None: it is not known whether one is."""
    if section.get("ca_file") is not None and tls is False:
        section.problem("ca_file", f"never used {without}")


def check_redis(section: Where) -> None:
    """TLS by the address."""
    check_login(section)
    url = section.get("url")
    check_ca_file(section, tls=None if url is None else url.startswith("rediss:"), without="with redis://")


def check_kafka(section: Where) -> None:
    """Groups have positions in topics; SASL needs both halves."""
    check_login(section)
    if section.get("password") is not None and section.get("username") is None:
        section.problem("username", "required with password")
    if section.get("groups") and section.get("topics") == ():
        section.problem("groups", "needs topics: a group's position is one in a topic")
    check_ca_file(section, tls=section.get("tls"), without="without tls: true")


def check_smtp(section: Where) -> None:
    """One way to TLS."""
    tls, starttls = section.get("tls"), section.get("starttls")
    if tls and starttls == "always":
        section.problem("starttls", "the connection is TLS from the first byte on with tls: true; keep one of the two")
    verified = None if tls is None or starttls is None else tls or starttls == "always"
    check_ca_file(section, tls=verified, without="without tls: true or starttls: always")


def check_tcp(section: Where) -> None:
    """A trusted authority only with TLS."""
    check_ca_file(section, tls=section.get("tls"), without="without tls: true")
