"""TLS with an authority of our own: verified unless said otherwise; credentials never leave for another scheme."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from mesos.auth import Credentials
from mesos.core import scheduler_api as api
from mesos.tls import TlsOptions, client_context
from tests.mesos.scheduler.certificates import Authority, openssl
from tests.mesos.scheduler.masters import Exchange, Script, driving, good, master
from thermos.errors import UserError

US = Credentials("us", "secret")

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl command here")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.make(tmp_path_factory.mktemp("authority"), "authority")


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.make(tmp_path_factory.mktemp("other"), "other")


async def test_a_private_authority_with_credentials(authority: Authority) -> None:
    server = authority.server("master", "IP:127.0.0.1")
    options = {"tls": TlsOptions(ca=authority.certificate), "credentials": US}
    async with master(good, tls=server) as fake, driving(fake.url, **options) as driven:
        assert fake.url.startswith("https://")
        await driven.reach("SUBSCRIBED")
        await driven.driver.call(api.revive())
        assert [e.headers["authorization"] for e in fake.exchanges] == ["Basic dXM6c2VjcmV0"] * 2
        assert fake.exchanges[0].writer.get_extra_info("ssl_object") is not None


@pytest.mark.parametrize("trust", ["another authority", "the system"])
async def test_an_authority_that_is_not_trusted_gets_no_credentials(
    authority: Authority, other: Authority, trust: str
) -> None:
    server = authority.server("master", "IP:127.0.0.1")
    tls = TlsOptions(ca=other.certificate) if trust == "another authority" else None
    async with master(good, tls=server) as fake, driving(fake.url, tls=tls, credentials=US) as driven:
        await driven.reach("WAITING")
        told = driven.listener.all("problem")
        assert "its certificate is not accepted" in told[0] and "check the authority" in told[0]
        assert not fake.exchanges
        await driven.spend(60)  # nor is it spun on
        assert len(driven.listener.all("problem")) < 20 and not fake.exchanges


async def test_the_certificate_of_another_host_is_not_accepted_unless_said(authority: Authority) -> None:
    server = authority.server("stranger", "DNS:stranger.example")
    async with master(good, tls=server) as fake:
        async with driving(fake.url, tls=TlsOptions(ca=authority.certificate)) as driven:
            await driven.reach("WAITING")
            assert "its certificate is not accepted" in driven.listener.all("problem")[0]
            assert not fake.exchanges
        async with driving(fake.url, tls=TlsOptions(ca=authority.certificate, verify_hostname=False)) as driven:
            await driven.reach("SUBSCRIBED")


async def test_no_verification_when_it_is_said(other: Authority) -> None:
    server = other.server("stranger", "DNS:stranger.example")
    async with master(good, tls=server) as fake, driving(fake.url, tls=TlsOptions(verify=False)) as driven:
        await driven.reach("SUBSCRIBED")


async def test_a_master_that_asks_who_calls(authority: Authority) -> None:
    server = authority.server("master", "IP:127.0.0.1", ask_client=True)
    cert, key = authority.sign("scheduler", "DNS:scheduler.example")
    async with master(good, tls=server) as fake:
        own = TlsOptions(ca=authority.certificate, cert=cert, key=key)
        async with driving(fake.url, tls=own) as driven:
            await driven.reach("SUBSCRIBED")
            await driven.driver.call(api.revive())
        async with driving(fake.url, tls=TlsOptions(ca=authority.certificate)) as driven:
            await driven.reach("WAITING")
            assert len(fake.exchanges) == 2


async def test_tls_with_a_master_that_has_none_and_the_other_way_round(authority: Authority) -> None:
    async with master(good) as plain:
        url = plain.url.replace("http:", "https:")
        tls = TlsOptions(ca=authority.certificate)
        async with driving(url, tls=tls, credentials=US, connect_timeout_s=0.5) as driven:
            await driven.reach("WAITING")
            assert "cannot reach https://" in driven.listener.all("problem")[0]
        assert not plain.exchanges
    server = authority.server("master", "IP:127.0.0.1")
    async with master(good, tls=server) as fake, driving(fake.url.replace("https:", "http:")) as driven:
        await driven.reach("WAITING")
        assert len(driven.listener.all("problem")) == 1


def redirect_to(location: str) -> Script:
    async def redirect(exchange: Exchange) -> None:
        await exchange.answer(307, headers={"Location": location})

    return redirect


async def test_a_protocol_relative_redirect_keeps_the_scheme_and_the_credentials(authority: Authority) -> None:
    server = authority.server("master", "IP:127.0.0.1")
    async with master(good, tls=server) as leader:
        location = f"//127.0.0.1:{leader.port}/api/v1/scheduler"
        async with master(redirect_to(location), tls=server) as first:
            options = {"tls": TlsOptions(ca=authority.certificate), "credentials": US}
            async with driving(first.url, **options) as driven:
                await driven.reach("SUBSCRIBED")
                await driven.driver.call(api.revive())
                assert driven.driver.master_url == leader.url and not driven.listener.all("problem")
                assert leader.kinds() == ["SUBSCRIBE", "REVIVE"]
                assert leader.exchanges[0].headers["authorization"] == "Basic dXM6c2VjcmV0"


async def test_a_redirect_from_tls_into_the_clear_gets_nothing(authority: Authority) -> None:
    async with master(good) as plain:
        server = authority.server("master", "IP:127.0.0.1")
        async with master(redirect_to(f"{plain.url}/api/v1/scheduler"), tls=server) as first:
            options = {"tls": TlsOptions(ca=authority.certificate), "credentials": US}
            async with driving(first.url, **options) as driven:
                await driven.spend(30)
                assert all("is not followed" in text for text in driven.listener.all("problem"))
                assert len(driven.listener.all("problem")) >= 3
        assert plain.connections == 0


async def test_a_redirect_from_the_clear_into_tls_gets_nothing_either(authority: Authority) -> None:
    server = authority.server("master", "IP:127.0.0.1")
    options = {"tls": TlsOptions(ca=authority.certificate), "credentials": US}
    async with master(good, tls=server) as fake:
        redirect = redirect_to(f"{fake.url}/api/v1/scheduler")
        async with master(redirect) as first, driving(first.url, **options) as driven:
            await driven.reach("WAITING")
            assert "give the masters' addresses with https://" in driven.listener.all("problem")[0]
        assert fake.connections == 0


# --- options -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", ["", "no certificate", None])
def test_an_authority_that_can_not_be_used(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    with pytest.raises(UserError, match=f"cannot use {file} as certificate authority: "):
        client_context(TlsOptions(ca=file))


def test_keys_that_can_not_be_used(authority: Authority, tmp_path: Path) -> None:
    cert, key = authority.sign("someone", "DNS:someone.example")
    other_cert, _ = authority.sign("someone-else", "DNS:someone.example")
    locked = tmp_path / "locked.key"
    openssl("ec", "-in", key, "-aes256", "-passout", "pass:x", "-out", locked)
    with pytest.raises(UserError, match=r"cannot use the key .* without its certificate"):
        client_context(TlsOptions(key=key))
    with pytest.raises(UserError, match="cannot use the certificate"):
        client_context(TlsOptions(cert=other_cert, key=key))
    with pytest.raises(UserError, match="its key is encrypted"):
        client_context(TlsOptions(cert=cert, key=locked))
    with pytest.raises(UserError, match=r"cannot use the certificate .*: No such file"):
        client_context(TlsOptions(cert=tmp_path / "none"))
    client_context(TlsOptions(cert=cert, key=key))


async def test_options_that_can_not_be_used_end_run_at_once(tmp_path: Path) -> None:
    async with driving("http://127.0.0.1:9", tls=TlsOptions(ca=tmp_path / "none")) as driven:
        with pytest.raises(UserError):
            await asyncio.shield(driven.task)
