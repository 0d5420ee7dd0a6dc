"""docker-compose.yml, held to its promises without an engine."""

from __future__ import annotations

import re
import stat
from pathlib import Path
from typing import Any

import pytest
import yaml

from ops.config import load
from ops.settings import Settings
from stack import docker, mysql

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {"cdc": 9701, "sink": 9702, "audit": 9703}
each_service = pytest.mark.parametrize("name", SERVICES)


@pytest.fixture(scope="module")
def settings() -> Settings:
    return load(ROOT / "deploy/compose.toml", environ={}).settings


def test_everybody_is_there() -> None:
    assert set(SERVICES) == {*docker.SERVERS, *OURS}


@each_service
def test_images_have_a_whole_version_and_no_host(name: str) -> None:
    repository, _, tag = SERVICES[name]["image"].rpartition(":")
    assert re.fullmatch(r"\d+\.\d+\.\d+", tag)
    assert "." not in repository.split("/")[0], "a registry's host"
    assert ":" not in repository


@each_service
def test_everybody_says_when_it_is_well(name: str) -> None:
    check = SERVICES[name]["healthcheck"]
    assert check["test"][0] in {"CMD", "CMD-SHELL"}
    assert {"interval", "timeout", "retries", "start_period"} <= set(check)


@each_service
def test_nobody_starts_before_what_it_needs_is_well(name: str) -> None:
    needs = SERVICES[name].get("depends_on", {})
    assert set(needs) <= set(SERVICES)
    assert all(need == {"condition": "service_healthy"} for need in needs.values())


def test_every_service_of_ours_waits_for_the_servers_it_talks_to() -> None:
    assert {"mysql", "kafka"} <= set(SERVICES["cdc"]["depends_on"])
    assert {"kafka", "elasticsearch"} <= set(SERVICES["sink"]["depends_on"])
    assert {"kafka", "elasticsearch", "sink"} <= set(SERVICES["audit"]["depends_on"])


@each_service
def test_ports_are_published_on_the_loopback_interface_only(name: str) -> None:
    assert SERVICES[name]["ports"]
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name]["ports"])


@pytest.mark.parametrize("name", docker.SERVERS)
def test_the_stack_knows_the_published_ports(name: str) -> None:
    assert SERVICES[name]["ports"][0].split(":")[1] == str(docker.PORTS[name])


def test_kafka_tells_clients_outside_the_published_port() -> None:
    assert (
        f"OUTSIDE://127.0.0.1:{docker.PORTS['kafka']}" in SERVICES["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"]
    )


@pytest.mark.parametrize(("name", "port"), OURS.items())
def test_health_is_asked_where_the_service_answers(name: str, port: int, settings: Settings) -> None:
    assert f"127.0.0.1:{port}/readyz" in SERVICES[name]["healthcheck"]["test"][-1]
    assert getattr(settings.service, f"{name}_listen") == f"0.0.0.0:{port}"
    assert SERVICES[name]["ports"] == [f"127.0.0.1:{port}:{port}"]


@pytest.mark.parametrize("name", OURS)
def test_our_services_run_with_little_power(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "./deploy/compose.toml:/etc/tidemark/tidemark.toml:ro" in service["volumes"]


@pytest.mark.parametrize("name", OURS)
def test_a_service_has_time_to_stop_and_hears_it_while_starting(name: str, settings: Settings) -> None:
    assert SERVICES[name]["init"] is True, "as the first process it would not notice, and be killed"
    assert int(SERVICES[name]["stop_grace_period"].removesuffix("s")) > settings.service.stop_timeout_s


def test_the_image_is_built_once() -> None:
    """Builds of one name at the same time are refused, so one builds, and the others cannot start before it."""
    assert {SERVICES[name]["image"] for name in OURS} == {SERVICES["cdc"]["image"]}
    assert SERVICES["cdc"]["build"] == {"context": ".", "dockerfile": "deploy/Dockerfile"}
    assert [name for name in SERVICES if "build" in SERVICES[name]] == ["cdc"]
    assert "cdc" in SERVICES["sink"]["depends_on"]
    assert "sink" in SERVICES["audit"]["depends_on"]


def test_what_the_audit_keeps_and_what_it_spills_are_on_disk() -> None:
    spilled_to = "/tmp"  # noqa: S108 - the container's own
    mounts = {volume.split(":")[1]: volume.split(":")[0] for volume in SERVICES["audit"]["volumes"]}
    assert mounts["/var/lib/tidemark"] in COMPOSE["volumes"]
    assert mounts[spilled_to] in COMPOSE["volumes"]
    assert SERVICES["audit"]["tmpfs"] == [], "memory, and over the volume"
    assert all(SERVICES[name]["tmpfs"] == [spilled_to] for name in ("cdc", "sink"))


def test_the_configuration_names_the_servers(settings: Settings) -> None:
    assert (settings.source.host, settings.source.port) == ("mysql", 3306)
    assert settings.kafka.bootstrap_servers == "kafka:9092"
    assert settings.elasticsearch.urls == ["http://elasticsearch:9200"]
    assert settings.source.password is None
    assert str(settings.source.password_file) == "/run/secrets/mysql_password"


def test_secrets_are_files_and_in_no_variable() -> None:
    for name, secret in COMPOSE["secrets"].items():
        text = (ROOT / secret["file"]).read_text()
        assert text.strip(), name
        for service in SERVICES.values():
            assert text.strip() not in str(service)
    variables = [name for service in SERVICES.values() for name in service.get("environment", {})]
    assert [name for name in variables if "PASSWORD" in name] == ["MYSQL_ROOT_PASSWORD_FILE"]
    assert set(SERVICES["cdc"]["secrets"]) == {"mysql_password"}, "root's is for MySQL alone"


def test_mysql_is_set_up_as_the_stack_does_it() -> None:
    flags = {
        flag for flag in mysql._SETTINGS if flag.startswith(("--binlog", "--gtid", "--enforce", "--sync", "--log"))
    }
    assert flags <= set(SERVICES["mysql"]["command"])


def test_what_is_mounted_exists() -> None:
    for service in SERVICES.values():
        for volume in service["volumes"]:
            source = volume.split(":")[0]
            assert source in COMPOSE["volumes"] or (ROOT / source).exists()


def test_the_initial_script_runs_in_a_shell_of_its_own() -> None:
    """What can be executed is; what cannot is sourced, and `set -u` would then end the image's entry point."""
    script = ROOT / "deploy/mysql/10-capture-user.sh"
    assert script.stat().st_mode & stat.S_IXUSR
    assert "docker_" not in script.read_text(), "the entry point's functions are not there"
    assert "MYSQL_PWD=$MYSQL_ROOT_PASSWORD mysql " in script.read_text()
