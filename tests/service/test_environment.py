"""The environment's variables: settings, what platforms make, and slips of the pen."""

import os

import pytest
from click.testing import CliRunner

from service.serve_commands import serve
from service.settings import Settings, SettingsError, read_settings


def kubernetes(service: str, *ports: tuple[str, str, int]) -> dict[str, str]:
    """The variables that Kubernetes gives a container beside a Service with these ports: name, protocol, number.

    Docker's links make the same but for the first two and those of named ports.
    """
    name, host = service.upper().replace("-", "_"), "10.96.0.12"
    made = {f"{name}_SERVICE_HOST": host, f"{name}_SERVICE_PORT": str(ports[0][2])}
    made[f"{name}_PORT"] = f"{ports[0][1]}://{host}:{ports[0][2]}"
    for port_name, protocol, number in ports:
        if port_name:
            made[f"{name}_SERVICE_PORT_{port_name.upper()}"] = str(number)
        one = f"{name}_PORT_{number}_{protocol.upper()}"
        made |= {one: f"{protocol}://{host}:{number}", f"{one}_PROTO": protocol, f"{one}_ADDR": host}
        made[f"{one}_PORT"] = str(number)
    return made


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("THUD_"):
            monkeypatch.delenv(name)


@pytest.mark.parametrize(
    "made",
    [
        kubernetes("thud", ("", "tcp", 80)),
        kubernetes("thud", ("http", "tcp", 80), ("metrics", "tcp", 9090)),
        kubernetes("thud", ("", "udp", 53)),
        kubernetes("thud", ("", "sctp", 5000)),
        *(kubernetes(f"thud-{field.replace('_', '-')}", ("", "tcp", 80)) for field in Settings.model_fields),
        kubernetes("thud-web-prod", ("http-alt", "tcp", 8000)),
        {"THUD_NAME": "/web/thud", "THUD_ENV_PATH": "/bin", "THUD_ENV_THUD_PORT": "8000"},
        {"thud_port": "TCP://10.0.0.1:80"},
    ],
)
def test_what_a_platform_makes_is_no_setting(monkeypatch: pytest.MonkeyPatch, made: dict[str, str]) -> None:
    plain = read_settings({})
    for name, value in made.items():
        monkeypatch.setenv(name, value)

    assert read_settings({}) == plain
    assert read_settings({"port": "9000"}).port == 9000


def test_a_port_that_is_given_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THUD_PORT", "9000")
    assert read_settings({}).port == 9000
    with pytest.raises(SettingsError, match="valid integer"):
        read_settings({"port": "tcp://10.0.0.1:80"})


@pytest.mark.parametrize("value", ["http", "http://10.0.0.1:80", "-5"])
@pytest.mark.parametrize("name", ["port", "workers", "max_pixels"])
def test_one_wrong_setting_is_one_complaint(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"THUD_{name.upper()}", value)

    with pytest.raises(SettingsError) as refused:
        read_settings({})

    assert str(refused.value).startswith(f"--{name.replace('_', '-')} (THUD_{name.upper()}): ")
    assert str(refused.value).count("THUD_") == 1


def test_two_wrong_settings_are_two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THUD_WORKERS", "many")
    with pytest.raises(SettingsError) as refused:
        read_settings({"port": "http"})
    assert str(refused.value).count("(THUD_") == 2


@pytest.mark.parametrize(
    ("slip", "meant"),
    [
        ("THUD_API_KEY", "THUD_API_KEYS"),  # without effect, it would leave the service open
        ("THUD_PROT", "THUD_PORT"),
        ("THUD_WORKER", "THUD_WORKERS"),
        ("thud_trusted_proxy", "THUD_TRUSTED_PROXIES"),
        ("THUD_MAX_CONECTIONS", "THUD_MAX_CONNECTIONS"),
    ],
)
def test_a_slip_in_a_name_is_told(monkeypatch: pytest.MonkeyPatch, slip: str, meant: str) -> None:
    monkeypatch.setenv(slip, "a-secret-0123456789")

    with pytest.raises(SettingsError) as refused:
        read_settings({})

    assert str(refused.value) == f"{slip}: there is no such setting; {meant} is one"


@pytest.mark.parametrize("other", ["THUD_HTTP_PORT", "THUD_MEMORY", "THUD_BUILD_CA", "THUD_DATA", "THUDS"])
def test_a_variable_of_somebody_else_is_none_of_ours(monkeypatch: pytest.MonkeyPatch, other: str) -> None:
    plain = read_settings({})
    monkeypatch.setenv(other, "1")

    assert read_settings({}) == plain


def test_what_has_no_effect_is_said_at_start(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Settings] = []
    monkeypatch.setattr("service.server.workers.run", started.append)
    for name in (*kubernetes("thud-web", ("", "tcp", 80)), "THUD_KEYS", "THUD_WATCH", "THUD_THREADS", "THUDS"):
        monkeypatch.setenv(name, "1")

    said = CliRunner().invoke(serve, []).stderr

    assert len(started) == 1
    lines = [f"thud: {name} has no effect: there is no such setting" for name in ("THUD_KEYS", "THUD_WATCH")]
    assert said.splitlines() == lines
