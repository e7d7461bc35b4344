"""How messages read: rendered by amtool from the files that the command writes."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from alerting.conftest import EMAIL, ON_CALL, SLACK, TOKEN, Write, written
from support.amtool import alert, message, render

BASES = {"runbook_base": "https://runbooks.company.example/", "dashboard_base": "https://grafana.company.example/g"}
RUNBOOK = "https://runbooks.company.example/runbooks/SchedulingCriticalJobFailed.md"
DASHBOARD = "https://grafana.company.example/g/d/scheduling-jobs?var-job=a&var-store=main"
ALERTMANAGER = "http://alertmanager.internal:9093/#/"
ONE = message(alert(summary="Critical job Daily Report on main failed", namespace="shop"))
OVER = message(alert(over=True, summary="Critical job Daily Report on main failed"))
MANY = message(*(alert(job_id=str(n), summary=f"job {n} failed") for n in range(14)))
MIXED = message(alert(job_id="1", summary="a failed"), alert(job_id="2", summary="b failed", over=True))
#: What a scheduler's tables may hold.
HOSTILE = '<!channel> <script>alert(1)</script> "q\\" & ünï 日本\n{{ .x }} \x1b' + "x" * 300
MESSAGES = {
    "one": ONE,
    "over": OVER,
    "many": MANY,
    "mixed": MIXED,
    "hostile": message(alert(job_name=HOSTILE, summary=HOSTILE)),
}


class Page(HTMLParser):
    """What a browser would make of it: the text, links by their text, all tags."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text, self.tags, self.links = "", [], {}
        self._href: str | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self._href = dict(attrs).get("href") if tag == "a" else self._href

    def handle_data(self, data: str) -> None:
        self.text += data
        if self._href is not None and data.strip():
            self.links.setdefault(data.strip(), self._href)
            self._href = None


def texts(directory: Path) -> list[tuple[str, str]]:
    """(kind, template) of everything that the configuration has Alertmanager render."""
    found: list[tuple[str, str]] = []

    def walk(value: Any, key: str) -> None:
        for name, inner in value.items() if isinstance(value, dict) else enumerate(value):
            if isinstance(inner, str) and "{{" in inner:
                found.append(("html" if name == "html" else "text", inner))
            elif isinstance(inner, (dict, list)):
                walk(inner, str(name))

    walk(written(directory)["receivers"], "")
    return sorted(set(found))


@pytest.mark.parametrize("name", MESSAGES)
@pytest.mark.parametrize("bases", [{}, BASES], ids=["paths", "links"])
def test_everything_renders(write: Write, name: str, bases: dict[str, str]) -> None:
    found = write(SLACK, EMAIL, ON_CALL, TOKEN, bases)
    wanted = texts(found)
    assert len(wanted) == 12
    for kind, text in wanted:
        assert render(found, text, MESSAGES[name], kind).strip(), text


def test_commented_receivers_load_and_render(write: Write) -> None:
    found = write(SLACK)
    file = found / "alertmanager.yml"
    lines = file.read_text().splitlines()
    file.write_text("\n".join(re.sub(r"^#(?=  )", "", line) for line in lines))
    names = [made["name"] for made in written(found)["receivers"]]
    assert names[-2:] == ["sms", "push"]
    from support.amtool import check  # noqa: PLC0415

    check(found)
    for kind, text in texts(found):
        render(found, text, ONE, kind)
    sms = render(found, '{{ template "scheduling.sms" . }}', ONE)
    assert sms == "[CRITICAL] Critical job Daily Report on main failed, since 28 Jan 15:00 UTC"


def slack(directory: Path, data: dict[str, Any]) -> dict[str, str]:
    keys = ("color", "title", "title_link", "text", "fallback", "footer")
    return {key: render(directory, f'{{{{ template "scheduling.slack.{key}" . }}}}', data) for key in keys}


def test_slack_says_what_since_when_and_how_bad(write: Write) -> None:
    found = write(SLACK, BASES)
    said = slack(found, ONE)
    assert said["title"] == said["fallback"] == "🔴 CRITICAL: Critical job Daily Report on main failed"
    assert said["footer"] == "store main, scheduler-exporter in shop"
    since, means, links = said["text"].splitlines()
    assert since == "Since <!date^1769612403^{date_short_pretty} {time}|28 Jan 15:00 UTC>"
    assert means == "What it means: Critical job Daily Report on main failed."
    by_text = {text: address for address, text in re.findall(r"<([^|>]+)\|(\w+)>", links)}
    assert (by_text["Runbook"], by_text["Dashboard"].replace("&amp;", "&")) == (RUNBOOK, DASHBOARD)
    assert silenced(by_text["Silence"]) == ONE["alerts"][0]["labels"]
    assert slack(found, OVER)["title"] == "🟢 RESOLVED: Critical job Daily Report on main failed"
    assert slack(found, OVER)["text"].endswith("28 Jan 15:12 UTC>, after 12m42s")
    warning = message(alert("SchedulingRunMissed", severity="warning"))
    assert slack(found, warning)["title"] == "🟠 WARNING: SchedulingRunMissed fires"


def silenced(link: str) -> dict[str, str]:
    """The labels that Alertmanager's page for a new silence is filled with."""
    assert link.startswith(f"{ALERTMANAGER}silences/new?filter=")
    text = unquote(link.partition("filter=")[2]).removeprefix("{").removesuffix("}")
    pairs = re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', text)
    assert ", ".join(f'{name}="{value}"' for name, value in pairs) == text
    return {name: re.sub(r"\\(.)", lambda m: {"n": "\n"}.get(m[1], m[1]), value) for name, value in pairs}


def test_without_a_base_paths_are_shown_and_absolute_addresses_stay(write: Write) -> None:
    found = write(SLACK, EMAIL)
    assert (
        "\nRunbook: runbooks/SchedulingCriticalJobFailed.md\nDashboard: d/scheduling-jobs?" in slack(found, ONE)["text"]
    )
    page = Page(render(found, '{{ template "scheduling.email.html" . }}', ONE, "html"))
    assert page.links.keys() == {"Silence", "Alertmanager"}
    assert "Runbook: runbooks/SchedulingCriticalJobFailed.md" in page.text
    absolute = alert()
    absolute["annotations"]["runbook_url"] = "https://wiki.company.example/it"
    assert "<https://wiki.company.example/it|Runbook>" in slack(found, message(absolute))["text"]
    page = Page(render(found, '{{ template "scheduling.email.html" . }}', message(absolute), "html"))
    assert page.links["Runbook"] == "https://wiki.company.example/it"


def test_what_is_in_the_tables_is_text_and_nothing_else(write: Write) -> None:
    found = write(SLACK, EMAIL, BASES)
    said = slack(found, MESSAGES["hostile"])
    assert "<!channel>" not in "".join(said.values())
    assert "\n" not in said["title"]
    assert "&lt;!channel&gt; &lt;script&gt;" in said["title"]
    footer = slack(found, message(alert(store="<!here>", job="a & <b>", namespace="<c>", cluster="<d>")))["footer"]
    assert footer == "store &lt;!here&gt;, a &amp; &lt;b&gt; in &lt;c&gt; on &lt;d&gt;"
    page = Page(render(found, '{{ template "scheduling.email.html" . }}', MESSAGES["hostile"], "html"))
    assert "script" not in page.tags
    assert "<script>alert(1)</script>" in page.text
    assert silenced(page.links["Silence"])["job_name"] == HOSTILE
    subject = render(found, '{{ template "scheduling.email.subject" . }}', MESSAGES["hostile"])
    assert "\n" not in subject


def test_mail_says_the_same_as_html_and_as_text(write: Write) -> None:
    found = write(SLACK, EMAIL, BASES)
    assert render(found, '{{ template "scheduling.email.subject" . }}', ONE) == (
        "[CRITICAL] Critical job Daily Report on main failed"
    )
    page = Page(render(found, '{{ template "scheduling.email.html" . }}', ONE, "html"))
    text = render(found, '{{ template "scheduling.email.text" . }}', ONE)
    for said in (
        "CRITICAL",
        "Critical job Daily Report on main failed",
        "store main, scheduler-exporter in shop",
        "Since 28 Jan 15:00 UTC",
        "What it means: Critical job Daily Report on main failed.",
    ):
        assert said in page.text
        assert said in text
    assert (page.links["Runbook"], page.links["Dashboard"]) == (RUNBOOK, DASHBOARD)
    assert f"Runbook: {RUNBOOK}\nDashboard: {DASHBOARD}\nSilence: {ALERTMANAGER}silences/new?filter=" in text
    assert silenced(page.links["Silence"]) == ONE["alerts"][0]["labels"]
    assert {"width=device-width" in render(found, '{{ template "scheduling.email.html" . }}', ONE, "html")} == {True}
    # Nothing is loaded from anywhere: no tracking, nothing that a mail client blocks.
    assert not {"img", "link", "style", "script"} & set(page.tags)
    assert {urlsplit(link).scheme for link in page.links.values()} == {"http", "https"}


def test_many_alerts_are_counted_and_ends_are_told_apart(write: Write) -> None:
    found = write(SLACK, EMAIL)
    said = slack(found, MANY)
    assert said["title"] == "🔴 CRITICAL: job 0 failed and 13 more"
    assert (said["text"].count("*job "), f"<{ALERTMANAGER}alerts|And 4 more>" in said["text"]) == (10, True)
    for kind in ("html", "text"):
        text = render(found, f'{{{{ template "scheduling.email.{kind}" . }}}}', MANY, kind)
        assert "And 4 more" in text
        assert "job 9 failed" in text
        assert "job 10 failed" not in text
    said = slack(found, MIXED)
    assert said["title"] == "🔴 CRITICAL: a failed"
    assert said["text"].index("*a failed*") < said["text"].index("No longer:") < said["text"].index("*b failed*")
    text = render(found, '{{ template "scheduling.email.text" . }}', MIXED)
    assert text.index("a failed\nSince") < text.index("No longer:\n\nb failed\nOver at 28 Jan 15:12 UTC, after 12m42s")


def test_whoever_is_on_call_reads_that_it_escalated(write: Write) -> None:
    found = write(SLACK)
    told = {**ONE, "receiver": "team-data-on-call"}
    assert slack(found, told)["title"] == "🔴 ESCALATED CRITICAL: Critical job Daily Report on main failed"
    assert "ESCALATED" not in slack(found, {**OVER, "receiver": "on-call"})["title"]
