"""Budgets: who counts as one client, and that many clients need little memory and free nobody."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from exporter.httpd import limits
from exporter.httpd.limits import Budgets, client_of
from exporter.httpd.problems import HttpError


@pytest.mark.parametrize(
    ("remote", "client"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("a socket", "a socket"),
    ],
)
def test_who_is_one_client(remote: str, client: str) -> None:
    request: Any = SimpleNamespace(remote=remote)
    assert client_of(request) == client


async def refused(budgets: Budgets, client: str, budget: str = "read") -> bool:
    try:
        await budgets.pay(budget, client, per_second=0.01, burst=2)
    except HttpError as exc:
        assert exc.status == 429
        assert exc.headers is not None and exc.headers.keys() == {"Retry-After"}
        assert 50 <= int(exc.headers["Retry-After"]) <= 100, "less what has passed"
        return True
    return False


async def test_many_clients_are_bounded_and_free_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_CLIENTS", 50)
    budgets = Budgets()
    assert [await refused(budgets, "greedy") for _ in range(3)] == [False, False, True]
    for number in range(500):
        assert not await refused(budgets, f"client {number}")
        assert await refused(budgets, "greedy")
    assert len(budgets._buckets) == 50


async def test_budgets_are_apart_and_follow_the_configuration() -> None:
    budgets = Budgets()
    assert [await refused(budgets, "one") for _ in range(3)] == [False, False, True]
    assert not await refused(budgets, "two")
    assert not await refused(budgets, "one", "action")
    for _ in range(100):
        await budgets.pay("read", "one", per_second=0, burst=1)  # 0 is without a limit
    await budgets.pay("read", "one", per_second=5, burst=3)  # a new limit begins anew
