"""Every way to log in, on a real Vault over TLS: what it needs, what becomes of its token, what is told if it fails."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from support.jwt import Signer
from support.token_review import TokenReviews, token_reviews
from support.vault_server import VaultServer, running_vault
from vault.conftest import at_some_pace, config_for, token_auth

from exporter.config.model import VaultAuth
from exporter.config.secrets import Secret
from exporter.credentials import CredentialsError
from exporter.vault import Vault, session

PATH = "secret/data/app"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def server(authority: trustme.CA) -> Iterator[VaultServer]:
    """An OpenBao with TLS and one secret."""
    with running_vault(authority=authority) as server:
        server.enable_kv()
        server.put(PATH, password="found")
        server.write_policy()
        yield server


async def reads(server: VaultServer, auth: VaultAuth) -> bool:
    """Whether logging in that way leads to the secret."""
    async with Vault(config_for(server, auth)) as vault:
        return (await vault.read(PATH)).fields == {"password": "found"}


async def refused(server: VaultServer, auth: VaultAuth) -> str:
    """What is said to who logs in that way."""
    async with Vault(config_for(server, auth)) as vault:
        with pytest.raises(CredentialsError) as caught:
            await vault.read(PATH)
        return str(caught.value)


# -- tokens


async def test_a_token(server: VaultServer) -> None:
    async with Vault(config_for(server, token_auth(server.new_token(ttl="1h")))) as vault:
        assert (await vault.read(PATH)).fields
        assert vault.state.up
        assert vault.state.token_expiry is not None
        assert abs(vault.state.token_expiry - time.time() - 3600) < 30


async def test_a_token_that_ended_is_told_from_one_that_may_not(server: VaultServer) -> None:
    assert "expired, was revoked" in await refused(server, token_auth("s.nonsense"))
    server.write_policy("nothing", 'path "other" { capabilities = ["read"] }')
    said = await refused(server, token_auth(server.new_token("nothing", ttl="1h")))
    assert "denies this (403)" in said
    assert "expired" not in said


async def test_a_token_revoked_while_in_use(server: VaultServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "CONFIRMED", 0)
    token = server.new_token(ttl="1h")
    async with Vault(config_for(server, token_auth(token))) as vault:
        await vault.read(PATH)
        server.client().auth.token.revoke(token)
        with pytest.raises(CredentialsError, match="expired, was revoked"):
            await vault.read("secret/data/other")
        assert not vault.state.up
        assert vault.requests["lookup_token", "denied"] >= 1
        assert (await vault.read(PATH)).fields == {"password": "found"}, "what is known stays in use"


async def test_a_token_is_renewed(server: VaultServer) -> None:
    async def story(ttl: int) -> None:
        token = server.new_token(ttl=f"{ttl}s")
        async with Vault(config_for(server, token_auth(token))) as vault:
            deadline = time.monotonic() + 3 * ttl
            while vault.requests.get(("renew_token", "success"), 0) < 2:
                assert time.monotonic() < deadline
                await asyncio.sleep(0.05)
            assert (await vault.read(PATH)).fields

    await at_some_pace(story, 2, 8, 30)


async def test_a_token_file_is_followed(server: VaultServer, tmp_path: Path) -> None:
    file = tmp_path / "token"
    auth = VaultAuth(method="token_file", token_file=str(file))
    assert "vault.auth.token_file" in await refused(server, auth)
    first, second = server.new_token(ttl="1h"), server.new_token(ttl="1h")
    file.write_text(first + "\n")
    async with Vault(config_for(server, auth)) as vault:
        await vault.read(PATH)
        file.write_text(second + "\n")
        server.client().auth.token.revoke(first)
        now = time.monotonic()
        assert (await vault.read(PATH, fetched_after=now)).fetched_at >= now
        assert vault.requests["read", "success"] == 2
        file.unlink()  # as it is for a moment while an agent starts
        await vault.read(PATH, fetched_after=time.monotonic())
    assert server.client(second).auth.token.lookup_self(), "an agent's token is its own"


async def test_a_token_that_an_agent_renews_stays_the_same(
    server: VaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "FILE_INTERVAL", 0.5)
    file = tmp_path / "token"
    token = server.new_token(ttl="6s")
    file.write_text(token)
    auth = VaultAuth(method="token_file", token_file=str(file))
    async with Vault(config_for(server, auth)) as vault:
        await vault.read(PATH)
        first = vault.state.token_expiry
        assert first is not None
        deadline = time.monotonic() + 60
        while (vault.state.token_expiry or 0) <= first + 1:
            assert time.monotonic() < deadline
            await asyncio.to_thread(server.client(token).auth.token.renew_self)
            await asyncio.sleep(0.2)
        assert vault.token_number == 1, "its leases need not be made anew"


async def test_a_token_file_that_is_mended(server: VaultServer, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("s.nonsense")
    auth = VaultAuth(method="token_file", token_file=str(file))
    async with Vault(config_for(server, auth)) as vault:
        for _ in range(20):
            with pytest.raises(CredentialsError):
                await vault.read(PATH)
            await asyncio.sleep(0.01)
        assert vault.requests["lookup_token", "denied"] <= 2
        file.write_text(server.new_token(ttl="1h"))
        began = time.monotonic()
        while vault.state.up is not True:
            assert time.monotonic() - began < 60
            await asyncio.sleep(0.05)
        assert (await vault.read(PATH)).fields


# -- AppRole


@pytest.fixture
def role_id(server: VaultServer) -> str:
    client = server.client()
    if "approle/" not in client.sys.list_auth_methods()["data"]:
        client.sys.enable_auth_method("approle")
    client.auth.approle.create_or_update_approle("exporter", token_policies=["exporter"], token_ttl="1h")
    return str(client.auth.approle.read_role_id("exporter")["data"]["role_id"])


def secret_id(server: VaultServer, wrap_ttl: str | None = None) -> str:
    made = server.client().auth.approle.generate_secret_id("exporter", wrap_ttl=wrap_ttl)
    return str(made["wrap_info"]["token"] if wrap_ttl else made["data"]["secret_id"])


async def test_approle(server: VaultServer, role_id: str, tmp_path: Path) -> None:
    assert await reads(server, VaultAuth(method="approle", role_id=role_id, secret_id=Secret(secret_id(server))))
    file = tmp_path / "secret-id"
    file.write_text(secret_id(server))
    assert await reads(server, VaultAuth(method="approle", role_id=role_id, secret_id_file=str(file)))
    said = await refused(server, VaultAuth(method="approle", role_id=role_id, secret_id=Secret("wrong")))
    assert "logging in by approle failed" in said
    assert "wrong" not in said


async def test_a_wrapped_secret_id_is_unwrapped_once(server: VaultServer, role_id: str) -> None:
    wrapped = Secret(secret_id(server, wrap_ttl="60s"))
    auth = VaultAuth(method="approle", role_id=role_id, secret_id=wrapped, secret_id_wrapped=True)
    async with Vault(config_for(server, auth)) as vault:
        await vault.read(PATH)
        await vault.apply(config_for(server, auth, timeout=40.0))  # logs in again
        await vault.read(PATH, fetched_after=time.monotonic())
        assert vault.requests["unwrap", "success"] == 1
        assert vault.requests["login", "success"] == 2
    said = await refused(server, auth)
    assert "wrapping token of the secret id has expired or was used" in said
    assert wrapped.reveal() not in said


async def test_logging_in_again_when_the_token_has_ended(
    server: VaultServer, role_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "CONFIRMED", 0)
    auth = VaultAuth(method="approle", role_id=role_id, secret_id=Secret(secret_id(server)))
    async with Vault(config_for(server, auth)) as vault:
        await vault.read(PATH)
        assert vault._session is not None
        server.client().auth.token.revoke((await vault._session.token()).value.reveal())
        await asyncio.gather(*(vault.read(PATH, fetched_after=time.monotonic()) for _ in range(20)))
        assert vault.requests["login", "success"] == 2
        assert vault.requests["read", "denied"] == 1


async def test_near_its_end_a_token_is_replaced_and_the_last_ones_are_revoked(
    server: VaultServer, role_id: str
) -> None:
    async def story(ttl: int) -> None:
        client = server.client()
        client.auth.approle.create_or_update_approle(
            "short", token_policies=["exporter"], token_ttl=f"{ttl}s", token_max_ttl=f"{3 * ttl // 2}s"
        )
        role = client.auth.approle.read_role_id("short")["data"]["role_id"]
        made = client.auth.approle.generate_secret_id("short")["data"]["secret_id"]
        auth = VaultAuth(method="approle", role_id=role, secret_id=Secret(made))
        async with Vault(config_for(server, auth)) as vault:
            until = time.monotonic() + 2 * ttl
            while time.monotonic() < until:
                assert (await vault.read(PATH)).fields
                assert vault.state.up
                await asyncio.sleep(0.1)
            assert vault.requests["login", "success"] >= 2
            assert vault.requests.get(("read", "denied"), 0) == 0
        assert vault.requests["revoke_token", "success"] >= 1

    await at_some_pace(story, 2, 8, 30)


# -- tokens that others sign


@pytest.fixture(scope="module")
def signer() -> Signer:
    return Signer()


async def test_jwt(server: VaultServer, signer: Signer, tmp_path: Path) -> None:
    client = server.client()
    client.sys.enable_auth_method("jwt", path="ci")
    client.adapter.post("/v1/auth/ci/config", json={"jwt_validation_pubkeys": [signer.public_key]})
    role = {"role_type": "jwt", "bound_audiences": ["vault"], "user_claim": "sub", "token_policies": ["exporter"]}
    client.adapter.post("/v1/auth/ci/role/exporter", json=role)
    good, other = signer.token(aud="vault", sub="me"), signer.token(aud="another", sub="me")
    auth = VaultAuth(method="jwt", mount="ci", role="exporter", jwt=Secret(good))
    assert await reads(server, auth)
    file = tmp_path / "jwt"
    file.write_text(good)
    assert await reads(server, VaultAuth(method="jwt", mount="ci", role="exporter", jwt_file=str(file)))
    said = await refused(server, VaultAuth(method="jwt", mount="ci", role="exporter", jwt=Secret(other)))
    assert "logging in by jwt failed" in said
    assert other not in said


@pytest.fixture
def kubernetes(authority: trustme.CA, server: VaultServer, signer: Signer, tmp_path: Path) -> Iterator[TokenReviews]:
    with token_reviews(authority, tmp_path) as reviews:
        client = server.client()
        client.sys.enable_auth_method("kubernetes")
        client.auth.kubernetes.configure(
            kubernetes_host=reviews.address,
            kubernetes_ca_cert=reviews.ca_cert,
            token_reviewer_jwt=signer.token(sub="reviewer"),
            disable_local_ca_jwt=True,
        )
        client.auth.kubernetes.create_role("exporter", ["exporter"], ["monitoring"], policies=["exporter"])
        yield reviews
        client.sys.disable_auth_method("kubernetes")


def service_account(signer: Signer, name: str, number: int = 0) -> str:
    """A token as Kubernetes projects it into a pod."""
    account = {"namespace": "monitoring", "serviceaccount": {"name": name, "uid": f"uid-{name}"}}
    subject = f"system:serviceaccount:monitoring:{name}"
    return signer.token(sub=subject, aud=["https://kubernetes"], jti=str(number), **{"kubernetes.io": account})


async def test_kubernetes(server: VaultServer, kubernetes: TokenReviews, signer: Signer, tmp_path: Path) -> None:
    mine, renewed, others = (
        service_account(signer, name, number)
        for number, name in enumerate(("exporter", "exporter", "another"))
    )  # fmt: skip
    for token, name in ((mine, "exporter"), (renewed, "exporter"), (others, "another")):
        kubernetes.accounts[token] = ("monitoring", name, f"uid-{name}")
    file = tmp_path / "service-account-token"
    auth = VaultAuth(method="kubernetes", role="exporter", jwt_file=str(file))
    file.write_text(mine)
    assert await reads(server, auth)
    file.write_text(renewed)  # as Kubernetes does, every hour
    assert await reads(server, auth)
    assert kubernetes.reviewed == [mine, renewed]
    file.write_text(others)
    said = await refused(server, auth)
    assert "logging in by kubernetes failed" in said
    assert others not in said


# -- where Vault is


async def test_namespaces(server: VaultServer) -> None:
    client = server.client()
    client.adapter.put("/v1/sys/namespaces/team", json={})
    team = server.client(namespace="team")
    team.sys.enable_secrets_engine("kv", path="kv", options={"version": "1"})
    team.adapter.post("/v1/kv/app", json={"password": "of the team"})
    team.sys.create_or_update_policy("reader", 'path "kv/*" { capabilities = ["read"] }')
    token = team.auth.token.create(policies=["reader"], ttl="1h")["auth"]["client_token"]
    config = config_for(server, token_auth(token), namespace="team")
    async with Vault(config) as vault:
        assert (await vault.read("kv/app")).fields == {"password": "of the team"}
        await asyncio.sleep(0.1)
        assert vault.state.up


async def test_an_authority_that_is_not_trusted(server: VaultServer, tmp_path: Path) -> None:
    config = config_for(server)
    async with Vault(config_for(server, config.auth, ca_cert=None)) as vault:
        with pytest.raises(CredentialsError, match="cannot be trusted: unable to get local issuer certificate"):
            await vault.read(PATH)
    async with Vault(config_for(server, config.auth, ca_cert=str(tmp_path / "missing.pem"))) as vault:
        with pytest.raises(CredentialsError, match=r"missing\.pem"):
            await vault.read(PATH)
