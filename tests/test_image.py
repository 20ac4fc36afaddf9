"""What the container's files promise: the Dockerfiles, the compose file, the proxy's configuration."""

import re
import tomllib
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
import yaml

from model.picture_format import PictureLimits
from service.middleware import BodyLimit
from service.settings import Settings

ROOT = Path(__file__).parents[1]
LIMIT = PictureLimits.max_bytes


def dockerfile() -> str:
    """The Dockerfile with its continued lines joined."""
    return (ROOT / "Dockerfile").read_text().replace("\\\n", "")


def stage(name: str) -> str:
    """The instructions of one stage of the Dockerfile."""
    found = re.search(rf"^FROM \S+ AS {name}\n(.*?)(?=^FROM |\Z)", dockerfile(), re.MULTILINE | re.DOTALL)
    assert found, f"no stage {name}"
    return found[1]


def copied(instructions: str) -> list[str]:
    """What the instructions copy from the build context."""
    lines = re.findall(r"^COPY (?!--from)(.+)$", instructions, re.MULTILINE)
    return [source for line in lines for source in line.split()[:-1]]


def nginx() -> str:
    return (ROOT / "proxy" / "nginx.conf").read_text()


def directive(name: str) -> list[str]:
    """The values of all lines of nginx.conf with this directive."""
    return re.findall(rf"^ *{name} +(.+?);", nginx(), re.MULTILINE)


def seconds(text: str) -> float:
    """A time such as 15s."""
    assert re.fullmatch(r"\d+s", text), text
    return int(text[:-1])


def size(text: str) -> int:
    """Bytes of a size such as 64m."""
    found = re.fullmatch(r"(\d+)([kmg])", text)
    assert found, text
    return int(found[1]) << {"k": 10, "m": 20, "g": 30}[found[2]]


def compose() -> dict[str, Any]:
    """The compose file where nobody sets its variables."""
    text = (ROOT / "docker-compose.yml").read_text()
    document: dict[str, Any] = yaml.safe_load(re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text))
    return document


SERVICES = ("thud", "proxy")


def test_the_proxy_has_the_limit_of_the_service() -> None:
    size = re.search(r"client_max_body_size (\d+)m;", nginx())
    assert size
    assert int(size[1]) * 2**20 == LIMIT == Settings.model_fields["max_body_bytes"].default


def test_the_proxy_refuses_with_the_words_of_the_service() -> None:
    async def refusal() -> httpx.Response:
        async def app(*_: Any) -> None:
            raise AssertionError("the limit let the request through")

        transport = httpx.ASGITransport(BodyLimit(app, LIMIT))
        async with httpx.AsyncClient(transport=transport, base_url="http://thud", timeout=60) as client:
            return await client.post("/recommend", headers={"Content-Length": str(LIMIT + 1)})

    response = anyio.run(refusal)
    assert response.status_code == 413
    assert f'413 "{response.json()["detail"]}";' in nginx()


def test_the_demo_in_the_image_is_that_of_make_demo() -> None:
    in_makefile = re.findall(r"^\t\$\(DEMO_BIN\)/(thud .+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    in_image = re.findall(r"^RUN (thud .+)$", stage("demo"), re.MULTILINE)
    assert len(in_image) == 2
    assert sorted(in_image) == sorted(command for command in in_makefile if not command.startswith("thud serve"))


def test_nothing_unpinned_is_installed() -> None:
    commands = re.findall(r"\bpip\b[^&;|\n]* (?:install|wheel) [^&;|\n]*", dockerfile())
    assert len(commands) >= 6
    for command in commands:
        assert "--require-hashes" in command or "--no-index" in command, command


def pins(name: str) -> set[tuple[str, str]]:
    """Name and version of all that a lock pins."""
    text = (ROOT / "requirements" / f"{name}.lock").read_text()
    return set(re.findall(r"^([a-z0-9-]+)==(\S+)", text, re.MULTILINE))


def test_serving_pins_no_training() -> None:
    names = {name for name, _ in pins("serve")}
    assert {"onnxruntime", "fastapi", "faiss-cpu"} <= names
    assert not {name for name in names if name.startswith(("torch", "nvidia", "cuda", "triton", "onnx-", "scipy"))}


def test_the_engines_are_pinned_beside_what_serving_needs() -> None:
    names = {name for name, _ in pins("engines") - pins("serve")}
    assert {"pymilvus", "obstore"} <= names
    assert not {name for name in names if name.startswith(("torch", "milvus", "ray", "moto"))}
    assert pins("serve") <= pins("engines") <= pins("all")


def test_the_demo_pins_scipy_beside_what_serving_does() -> None:
    assert pins("serve") < pins("demo") < pins("all")
    assert {name for name, _ in pins("demo") - pins("serve")} == {"scipy"}


def test_the_image_takes_from_the_demo_only_its_folders() -> None:
    taken = re.findall(r"\bfrom=(\w+)[, ](?:source=)?([^\s,]+)", stage("service"))
    folders = {"/src/model/pretrained", "/src/demo/sounds", "/src/demo/index"}
    assert {path for source, path in taken if source == "demo"} == folders
    assert {source for source, _ in taken} == {"serving", "demo", "wheel"}


def test_no_stage_installs_what_training_needs() -> None:
    assert re.findall(r"-r requirements/(\S+)\.lock", dockerfile()) == ["${THUD_LOCK}", "demo"]
    assert "ARG THUD_LOCK=serve\n" in stage("serving")
    assert "FROM serving AS demo" in dockerfile()


def test_the_image_runs_as_a_user_without_rights() -> None:
    users = re.findall(r"^USER (\d+):(\d+)$", stage("service"), re.MULTILINE)
    assert users
    assert all(int(number) > 0 for number in users[-1])


def test_the_image_sets_settings_that_exist() -> None:
    sets = set(re.findall(r"\bTHUD_([A-Z_]+)=", stage("service")))
    assert {"BUNDLE", "INDEX", "SOUNDS", "HOST", "PORT"} <= sets
    assert {name.lower() for name in sets} <= set(Settings.model_fields)


def test_all_that_is_copied_exists_and_is_not_ignored() -> None:
    allowed = re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    sources = set(copied(dockerfile()))
    assert set(allowed) <= sources
    assert [source for source in sources if not {source, *map(str, Path(source).parents)} & set(allowed)] == []
    assert [source for source in copied(dockerfile()) if not (ROOT / source).exists()] == []


def test_the_wheel_gets_every_package() -> None:
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    packages = {name.split(".")[0] for name in listed}
    files = [file for package in packages for file in (ROOT / package).rglob("__init__.py*")]
    assert {".".join(file.parent.relative_to(ROOT).parts) for file in files} == set(listed)
    assert packages <= set(copied(stage("wheel")))


# The compose file ------------------------------------------------------------------------------------------


def test_compose_runs_the_service_and_the_proxy() -> None:
    services = compose()["services"]
    assert sorted(name for name, one in services.items() if "profiles" not in one) == sorted(SERVICES)
    for name in SERVICES:
        context = ROOT / services[name]["build"]["context"]
        assert (context / "Dockerfile").is_file()
        assert services[name]["restart"] == "unless-stopped"


@pytest.mark.parametrize("name", SERVICES)
def test_no_container_of_compose_has_rights(name: str) -> None:
    service = compose()["services"][name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "cap_add", "user", "pid", "network_mode", "devices"} & set(service)
    users = re.findall(r"^USER (\d+):(\d+)$", (ROOT / "proxy" / "Dockerfile").read_text(), re.MULTILINE)
    assert users == [("33", "33")]  # that of the service's image is looked at above


@pytest.mark.parametrize("name", SERVICES)
def test_what_a_container_of_compose_writes_fits_into_its_memory(name: str) -> None:
    service = compose()["services"][name]
    (folder,) = service["tmpfs"]
    where, _, most = folder.partition(":size=")
    assert where == "/tmp"
    assert size(most) <= size(service["mem_limit"]) / 4
    assert not [volume for volume in service.get("volumes", []) if not volume.endswith(":ro")]


def test_the_largest_pictures_and_uploads_fit_into_the_memory_of_compose() -> None:
    settings = Settings()
    # 20 bytes a pixel is what --max-pixels-at-once says; a gigabyte is for the towers, the index and Python.
    needed = 20 * settings.max_pixels_at_once + settings.upload_memory_bytes + 2**30
    assert needed < size(compose()["services"]["thud"]["mem_limit"])


def test_compose_sets_settings_that_exist_to_values_that_they_take() -> None:
    environment = {name: str(value) for name, value in compose()["services"]["thud"]["environment"].items()}
    assert all(name.startswith("THUD_") for name in environment)
    settings = Settings.model_validate({name[5:].lower(): value for name, value in environment.items()})
    assert settings.proxies == ["proxy"]
    # What the comments say of settings is said of ones that exist.
    text = (ROOT / "docker-compose.yml").read_text() + nginx()
    own = {"HTTP_PORT", "MEMORY", "TMP", "LOCK", "MILVUS_MEMORY", "BUILD_CA", "BUILD_NETWORK"}
    named = set(re.findall(r"\bTHUD_([A-Z_]+)\b", text)) - own
    assert {name.lower() for name in named} <= set(Settings.model_fields)


def test_the_variables_of_compose_are_told_at_its_head_with_their_defaults() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    head = text[: text.index("services:")]
    used = dict(re.findall(r"\$\{(\w+):-([^}]*)\}", text))
    assert len(used) == len(set(re.findall(r"\$\{\w+", text)))
    assert set(used) == set(re.findall(r"\bTHUD_\w+", head))
    assert used["THUD_HTTP_PORT"] in head
    assert f"http://localhost:{used['THUD_HTTP_PORT']}" in head


def test_only_the_proxy_can_be_reached_and_it_reaches_the_service() -> None:
    document = compose()
    thud, proxy = (document["services"][name] for name in SERVICES)
    assert "ports" not in thud
    assert [document["networks"][name] for name in thud["networks"]] == [{"internal": True}]
    assert set(thud["networks"]) < set(proxy["networks"])
    # One port: published, declared, listened on and asked by the health check.
    (published,) = proxy["ports"]
    port = published.rpartition(":")[2]
    image = (ROOT / "proxy" / "Dockerfile").read_text()
    assert re.findall(r"^EXPOSE (\d+)$", image, re.MULTILINE) == [port]
    assert f"/dev/tcp/127.0.0.1/{port} " in image
    assert directive("listen") == [f"{port} default_server"]
    # And the other one.
    listens = re.search(r"\bTHUD_PORT=(\d+)", stage("service"))
    assert listens
    assert re.findall(r"^EXPOSE (\d+)$", stage("service"), re.MULTILINE) == [listens[1]]
    assert directive(r"set \$service") == [f"http://thud:{listens[1]}"]
    assert listens[1] == str(Settings.model_fields["port"].default)  # which the health check asks for want of one


def test_the_profile_milvus_is_reached_by_nobody_else() -> None:
    document = compose()
    others = {name: one for name, one in document["services"].items() if one.get("profiles") == ["milvus"]}
    assert sorted(others) == ["etcd", "milvus", "store"]
    for service in others.values():
        assert service["networks"] == ["inside"]
        assert "ports" not in service
        assert re.search(r":\S*\d", service["image"])  # a version, so that it is the same tomorrow
        for volume in service["volumes"]:
            assert volume.partition(":")[0] in document["volumes"]
    from index.address import index_at

    addresses = re.findall(r"milvus://[^\s,]+", (ROOT / "docker-compose.yml").read_text())
    assert addresses
    assert {index_at(address).host for address in addresses} <= set(others)  # type: ignore[union-attr]


def test_the_proxy_waits_for_a_healthy_service() -> None:
    assert compose()["services"]["proxy"]["depends_on"] == {"thud": {"condition": "service_healthy"}}
    for text in (stage("service"), (ROOT / "proxy" / "Dockerfile").read_text()):
        (timeout,) = re.findall(r"^HEALTHCHECK .*--timeout=(\d+)s", text, re.MULTILINE)
        own = re.search(r"timeout=(\d+)\)", text)
        assert own is None or int(own[1]) < int(timeout)


def test_containers_have_the_time_that_stopping_takes() -> None:
    services = compose()["services"]
    settings = Settings()
    assert seconds(services["thud"]["stop_grace_period"]) > settings.stop_seconds + settings.drain_seconds
    (shutdown,) = directive("worker_shutdown_timeout")
    docker = "10s"  # what Docker gives where nothing is said
    assert seconds(shutdown) < seconds(services["proxy"].get("stop_grace_period", docker))


def test_the_folders_that_compose_offers_are_those_of_the_image() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    offered = re.findall(r"^ *# +- \./my/\w+:(\S+):ro$", text, re.MULTILINE)
    assert len(offered) == 3
    assert set(offered) == set(re.findall(r"\bTHUD_(?:BUNDLE|SOUNDS|INDEX)=(\S+)", stage("service")))


# The proxy's numbers ---------------------------------------------------------------------------------------


def test_the_proxy_writes_to_tmp_alone_and_stores_nothing_there() -> None:
    folders = directive(r"(?:\w+_temp_path|pid)")
    assert len(folders) == 6
    assert all(folder.startswith("/tmp/") for folder in folders)
    assert directive("error_log") == ["stderr crit"]
    assert directive("access_log") == ["/dev/stdout requests"]
    assert directive("proxy_request_buffering") == ["off"]
    assert directive("proxy_max_temp_file_size") == ["0"]


def test_the_service_answers_a_slow_client_before_the_proxy_hangs_up() -> None:
    settings = Settings()
    for name in ("client_body_timeout", "proxy_read_timeout"):
        (timeout,) = directive(name)
        assert seconds(timeout) > settings.deadline_seconds, name


def test_the_proxy_has_connections_for_more_uploads_than_the_service_takes() -> None:
    address, everybody = (int(value.split(" ")[1]) for value in directive("limit_conn"))
    settings = Settings()
    assert address < everybody
    # The service, which knows the slowest, decides before the proxy does.
    assert everybody > settings.max_connections
    # An upload takes two, and a file each; some are left.
    (connections,), (files,) = directive("worker_connections"), directive("worker_rlimit_nofile")
    assert 2 * everybody + 1000 < int(connections) < int(files)
