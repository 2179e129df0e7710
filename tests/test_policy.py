"""A service's policy: what its labels say, and what its environment forbids."""

from __future__ import annotations

import pytest

from venvctl.engine.model import Container
from venvctl.errors import ConfigurationError
from venvctl.policy import ChangeKind, OnChange, ServicePolicy

PLACE = "the service web in compose.yaml"
UNPINNED = {"VENVCTL_PIN": "0"}


def policy(environment: dict[str, str] | None = None, **labels: str) -> ServicePolicy:
    named = {f"venvctl.{name.replace('_', '-')}": value for name, value in labels.items()}
    return ServicePolicy.from_labels(named, environment or {}, place=PLACE)


def test_no_labels_give_the_defaults() -> None:
    assert policy() == ServicePolicy(
        on_change=OnChange(kind=ChangeKind.RESTART),
        health_timeout=60.0,
        grace=5.0,
        ignore=False,
        parallel=1,
    )


def test_every_label() -> None:
    read = policy(
        on_change="none", health_timeout="1m30s", grace="500ms", ignore="true", parallel="2"
    )
    assert read == ServicePolicy(
        on_change=OnChange(kind=ChangeKind.NONE),
        health_timeout=90.0,
        grace=0.5,
        ignore=True,
        parallel=2,
    )
    assert ServicePolicy.from_labels(read.to_labels(), {}, place=PLACE) == read


@pytest.mark.parametrize(
    ("value", "on_change", "command"),
    [
        ("restart", OnChange(kind=ChangeKind.RESTART), ()),
        ("none", OnChange(kind=ChangeKind.NONE), ()),
        ("signal:SIGHUP", OnChange(kind=ChangeKind.SIGNAL, argument="SIGHUP"), ("SIGHUP",)),
        ("signal: usr1", OnChange(kind=ChangeKind.SIGNAL, argument="SIGUSR1"), ("SIGUSR1",)),
        (
            "exec:sh -c 'kill -HUP 1'",
            OnChange(kind=ChangeKind.EXEC, argument="sh -c 'kill -HUP 1'"),
            ("sh", "-c", "kill -HUP 1"),
        ),
    ],
)
def test_on_change(value: str, on_change: OnChange, command: tuple[str, ...]) -> None:
    read = policy(UNPINNED, on_change=value)
    assert read.on_change == on_change
    assert read.on_change.command == command
    assert ServicePolicy.from_labels(read.to_labels(), UNPINNED, place=PLACE) == read


@pytest.mark.parametrize(
    ("label", "value", "reason", "hint"),
    [
        (
            "on-change",
            "reload",
            "it is none of restart, signal:SIGNAL, exec:COMMAND, none",
            "",
        ),
        ("on-change", "restart:now", "restart takes nothing after it", ""),
        ("on-change", "none:", "none takes nothing after it", ""),
        (
            "on-change",
            "signal:SIGNOPE",
            "there is no signal 'SIGNOPE'",
            "Write for example signal:SIGHUP.",
        ),
        ("on-change", "signal", "there is no signal ''", "Write for example signal:SIGHUP."),
        ("on-change", "exec:", "it has no command", "Write for example exec:kill -HUP 1."),
        ("on-change", "exec:a 'b", "the command is not quoted well (No closing quotation)", ""),
        ("health-timeout", "0s", "no container is healthy at once", ""),
    ],
)
def test_a_value_that_cannot_be_used(label: str, value: str, reason: str, hint: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        policy(UNPINNED, **{label: value})
    assert caught.value.message == (
        f"The label venvctl.{label}: {value!r} on {PLACE} can't be used: {reason}."
    )
    assert caught.value.hint == hint


@pytest.mark.parametrize("environment", [{}, {"VENVCTL_PIN": "1"}, {"VENVCTL_PIN": ""}])
def test_a_pinned_process_is_not_signalled(environment: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        policy(environment, on_change="signal:SIGHUP")
    assert caught.value.message == (
        f"The label venvctl.on-change: 'signal:SIGHUP' on {PLACE} can't be used:"
        " a pinned process would reload the old generation when it is signalled."
    )
    assert caught.value.hint == 'Add VENVCTL_PIN: "0" to its environment, or use restart.'


def container(labels: dict[str, str], environment: dict[str, str]) -> Container:
    return Container(
        id="0" * 64,
        name="shop-web-1",
        image="sha256:1",
        state="running",
        started_at="",
        health="",
        labels=labels,
        environment=environment,
        mounts={},
        network_container="",
        auto_remove=False,
        tty=False,
        restart_count=0,
        exit_code=0,
    )


def test_a_containers_own_labels_and_environment() -> None:
    labels = {"venvctl.on-change": "signal:SIGHUP", "com.docker.compose.service": "web"}
    read = ServicePolicy.of_container(container(labels, UNPINNED))
    assert read.on_change == OnChange(kind=ChangeKind.SIGNAL, argument="SIGHUP")
    with pytest.raises(ConfigurationError, match="on the container shop-web-1 can't be used"):
        ServicePolicy.of_container(container(labels, {}))
