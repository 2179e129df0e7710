"""Which containers a rollout touches, in what order, with whom together, and why: all pure."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest

from venvctl.engine.model import Container
from venvctl.policy import ChangeKind, OnChange
from venvctl.rollout import Group, Step, decide, groups, holder_step, late, to_reach

if TYPE_CHECKING:
    from collections.abc import Mapping

BEFORE = "2026-01-01T10:00:00.000000001Z"
LATER = "2026-01-01T10:00:00.000000002Z"
RESTART = OnChange(kind=ChangeKind.RESTART)
NONE = OnChange(kind=ChangeKind.NONE)


def container(
    name: str,
    *,
    service: str = "",
    project: str = "shop",
    mounts: bool = True,
    depends_on: str = "",
    labels: Mapping[str, str] | None = None,
    state: str = "running",
    network: str = "",
    environment: Mapping[str, str] | None = None,
) -> Container:
    """A container whose ID is its name in capitals."""
    all_labels = {
        "com.docker.compose.project": project,
        "com.docker.compose.service": service or name,
        **({"com.docker.compose.depends_on": depends_on} if depends_on else {}),
        **(labels or {}),
    }
    return Container(
        id=name.upper(),
        name=name,
        image="sha256:0",
        state=state,
        started_at=BEFORE,
        health="",
        labels=all_labels,
        environment=environment or {},
        mounts={"env": ("/venv", False)} if mounts else {},
        network_container=network,
        auto_remove=False,
        tty=False,
        restart_count=0,
        exit_code=0,
    )


def on_change(text: str) -> dict[str, str]:
    return {"venvctl.on-change": text}


def holder(name: str, action: OnChange = RESTART) -> Step:
    return Step(
        identifier=name.upper(), name=name, action=action, because="it mounts the environment"
    )


def follower(name: str, because: str, *parents: str) -> Step:
    return Step(
        identifier=name.upper(), name=name, action=RESTART, because=because, parents=parents
    )


def left(name: str, because: str, *, restarted: bool = False) -> Step:
    return Step(
        identifier=name.upper(), name=name, action=NONE, because=because, restarted=restarted
    )


def steps(*containers: Container) -> list[Step]:
    """The steps where every holder that runs has to be reached."""
    return decide(to_reach(containers, "env"), containers, "env")


def test_holders_with_processes_are_reached_and_no_others() -> None:
    containers = [
        container("web"),
        container("stranger", mounts=False),
        container("paused", state="paused"),
        container("looping", state="restarting"),
        container("stopped", state="exited"),
        container("made", state="created"),
        container("dead", state="dead"),
    ]
    assert to_reach(containers, "env") == {"WEB": BEFORE, "PAUSED": BEFORE, "LOOPING": BEFORE}


def test_the_running_holder_is_restarted_and_no_other_container_is_named() -> None:
    assert steps(container("web"), container("database", mounts=False)) == [holder("web")]


@pytest.mark.parametrize(
    ("label", "environment", "action"),
    [
        ("restart", {}, RESTART),
        (
            "signal:HUP",
            {"VENVCTL_PIN": "0"},
            OnChange(kind=ChangeKind.SIGNAL, argument="SIGHUP"),
        ),
        ("exec:kill -HUP 1", {}, OnChange(kind=ChangeKind.EXEC, argument="kill -HUP 1")),
    ],
)
def test_each_holder_is_treated_as_its_label_says(
    label: str, environment: dict[str, str], action: OnChange
) -> None:
    web = container("web", labels=on_change(label), environment=environment)
    assert steps(web) == [holder("web", action)]


def test_a_label_that_can_t_be_read_leaves_its_container_alone_and_says_why() -> None:
    web = container("web", labels=on_change("reboot"))
    (step,) = steps(web)
    assert step == left("web", step.because)
    assert step.because.startswith("The label venvctl.on-change")
    assert "'reboot'" in step.because


@pytest.mark.parametrize(
    ("change", "because", "restarted"),
    [
        ({"auto_remove": True}, "it is removed when it stops", False),
        ({"tty": True}, "it has a terminal", False),
        (
            {"labels": {"com.docker.compose.oneoff": "True"}},
            "it is a one-off container (compose run)",
            False,
        ),
        ({"labels": {"venvctl.ignore": "true"}}, "its label venvctl.ignore says so", False),
        ({"labels": on_change("none")}, "its label venvctl.on-change says none", False),
        ({"state": "exited"}, "it is exited", False),
        ({"state": "paused"}, "it is paused", False),
        ({"started_at": LATER}, "it started again meanwhile, on the current generation", True),
    ],
)
def test_what_is_somebody_else_s_business_is_left_alone(
    change: dict[str, object], because: str, *, restarted: bool
) -> None:
    web = dataclasses.replace(container("web"), **change)  # type: ignore[arg-type] # one field each
    assert decide({"WEB": BEFORE}, [web], "env") == [left("web", because, restarted=restarted)]


def test_one_that_ended_on_a_bad_generation_is_meant_when_going_back() -> None:
    web = container("web", state="exited")
    assert decide({"WEB": BEFORE}, [web], "env", reviving=True) == [holder("web")]
    shell = dataclasses.replace(web, tty=True)
    assert holder_step(shell, BEFORE, reviving=True) == left("web", "it has a terminal")


def test_one_that_is_gone_needs_nothing() -> None:
    assert decide({"GONE": BEFORE}, [container("web")], "env") == []


def test_what_shares_the_network_of_a_restarted_container_follows_it() -> None:
    sidecar = container("aaa-sidecar", mounts=False, network="WEB")
    assert steps(sidecar, container("web")) == [
        holder("web"),
        follower("aaa-sidecar", "it hangs on web, restarted before it", "WEB"),
    ]


@pytest.mark.parametrize(
    ("depends_on", "follows"),
    [
        ("web:service_started:true", True),
        ("other:service_started:false,web:service_healthy:true", True),
        ("web:service_started:false", False),
        ("web:service_started", False),
        ("worker:service_started:true", False),
    ],
)
def test_what_depends_on_it_follows_where_compose_was_told_so(
    depends_on: str, *, follows: bool
) -> None:
    proxy = container("aaa-proxy", mounts=False, depends_on=depends_on)
    expected = [holder("web")]
    if follows:
        expected.append(follower("aaa-proxy", "it hangs on web, restarted before it", "WEB"))
    assert steps(proxy, container("web")) == expected


def test_a_service_of_that_name_in_another_project_is_another() -> None:
    proxy = container(
        "proxy", project="elsewhere", mounts=False, depends_on="web:service_started:true"
    )
    assert steps(proxy, container("web")) == [holder("web")]


def test_followers_have_followers() -> None:
    assert steps(
        container("a-third", mounts=False, network="SECOND"),
        container("second", mounts=False, depends_on="web:service_started:true"),
        container("web"),
    ) == [
        holder("web"),
        follower("second", "it hangs on web, restarted before it", "WEB"),
        follower("a-third", "it hangs on second, restarted before it", "SECOND"),
    ]


def test_a_holder_that_hangs_on_another_is_restarted_once_after_it() -> None:
    assert steps(container("api", depends_on="web:service_healthy:true"), container("web")) == [
        holder("web"),
        follower("api", "it mounts the environment and hangs on web, restarted before it", "WEB"),
    ]


def test_a_follower_waits_for_all_that_it_hangs_on() -> None:
    both = container("a-proxy", mounts=False, depends_on="web:x:true,worker:x:true")
    assert steps(both, container("web"), container("worker")) == [
        holder("web"),
        holder("worker"),
        follower("a-proxy", "it hangs on web, worker, restarted before it", "WEB", "WORKER"),
    ]


def test_a_follower_that_is_somebody_s_own_is_left_alone() -> None:
    shell = dataclasses.replace(container("shell", mounts=False, network="WEB"), tty=True)
    assert steps(shell, container("web")) == [
        holder("web"),
        left("shell", "it has a terminal"),
    ]


def test_a_follower_that_does_not_run_is_not_named() -> None:
    sidecar = container("sidecar", mounts=False, network="WEB", state="exited")
    assert steps(sidecar, container("web")) == [holder("web")]


def test_nothing_follows_what_is_only_signalled() -> None:
    web = container("web", labels=on_change("exec:true"))
    sidecar = container("sidecar", mounts=False, network="WEB")
    assert [step.name for step in steps(web, sidecar)] == ["web"]


def test_what_others_depend_on_comes_first_and_names_decide_between_equals() -> None:
    found = steps(
        container("zeta"),
        container("beta", depends_on="zeta:service_started:false"),
        container("alpha", depends_on="beta:service_started:false"),
        container("gamma"),
    )
    names = [step.name for step in found]
    assert names.index("zeta") < names.index("beta") < names.index("alpha")
    assert sorted(names) == ["alpha", "beta", "gamma", "zeta"]


def test_a_cycle_is_taken_by_name() -> None:
    found = steps(
        container("b", depends_on="a:x:false"),
        container("a", depends_on="b:x:false"),
    )
    assert [step.name for step in found] == ["a", "b"]


def replicas(count: int, *, parallel: int, service: str = "web") -> list[Container]:
    labels = {"venvctl.parallel": str(parallel)}
    return [
        container(f"{service}-{number}", service=service, labels=labels)
        for number in range(1, count + 1)
    ]


def grouped(*containers: Container) -> list[list[str]]:
    made = groups(steps(*containers), containers)
    return [[step.name for step in group.steps] for group in made]


def test_the_first_stands_alone_and_then_as_many_as_the_label_says() -> None:
    assert grouped(*replicas(6, parallel=2)) == [
        ["web-1"],
        ["web-2", "web-3"],
        ["web-4", "web-5"],
        ["web-6"],
    ]
    assert grouped(*replicas(3, parallel=1)) == [["web-1"], ["web-2"], ["web-3"]]


def test_services_are_not_mixed() -> None:
    assert grouped(*replicas(3, parallel=4), *replicas(2, parallel=4, service="work")) == [
        ["web-1"],
        ["web-2", "web-3"],
        ["work-1", "work-2"],
    ]


def test_containers_without_a_service_go_one_by_one() -> None:
    alone = [
        dataclasses.replace(each, labels={"venvctl.parallel": "9"})
        for each in replicas(3, parallel=9)
    ]
    assert grouped(*alone) == [["web-1"], ["web-2"], ["web-3"]]


def test_one_that_is_left_alone_is_not_the_one_that_tells() -> None:
    first, *others = replicas(4, parallel=3)
    shell = dataclasses.replace(first, tty=True)
    assert grouped(shell, *others) == [["web-1"], ["web-2"], ["web-3", "web-4"]]


def test_a_follower_stands_behind_the_last_that_it_hangs_on() -> None:
    web, work = container("web"), container("work")
    sidecar = container("sidecar", mounts=False, network="WEB")
    proxy = container("proxy", mounts=False, depends_on="web:x:true,work:x:true")
    containers = [web, work, sidecar, proxy]

    assert groups(steps(*containers), containers) == [
        Group(
            holders=(holder("web"),),
            followers=(follower("sidecar", "it hangs on web, restarted before it", "WEB"),),
        ),
        Group(
            holders=(holder("work"),),
            followers=(
                follower("proxy", "it hangs on web, work, restarted before it", "WEB", "WORK"),
            ),
        ),
    ]


class TestLate:
    """The holders that started between being listed and the switch."""

    SWITCHED_AT = 1767261600.0  # 2026-01-01T10:00:00Z

    def at(self, moment: str) -> Container:
        return dataclasses.replace(container("web"), started_at=f"2026-01-01T{moment}Z")

    def test_one_that_nobody_knew_of(self) -> None:
        web = self.at("09:59:59.900000001")
        assert late([web], "env", {}, self.SWITCHED_AT) == {"WEB": web.started_at}

    def test_one_that_was_known_is_none(self) -> None:
        web = self.at("09:59:59.900000001")
        assert late([web], "env", {"WEB": web.started_at}, self.SWITCHED_AT) == {}

    def test_one_that_started_again_in_between(self) -> None:
        web = self.at("09:59:59.900000001")
        known = {"WEB": "2026-01-01T09:00:00.000000001Z"}
        assert late([web], "env", known, self.SWITCHED_AT) == {"WEB": web.started_at}

    def test_one_that_the_engine_told_of_only_after_the_switch(self) -> None:
        web = self.at("10:00:00.050000001")
        assert late([web], "env", {}, self.SWITCHED_AT) == {"WEB": web.started_at}

    def test_one_that_started_after_the_switch_is_none(self) -> None:
        assert late([self.at("10:00:00.200000001")], "env", {}, self.SWITCHED_AT) == {}

    @pytest.mark.parametrize("state", ["exited", "created", "dead"])
    def test_one_that_does_not_run_is_none(self, state: str) -> None:
        web = dataclasses.replace(self.at("09:59:59.900000001"), state=state)
        assert late([web], "env", {}, self.SWITCHED_AT) == {}

    def test_one_without_the_volume_is_none(self) -> None:
        assert late([self.at("09:59:59.900000001")], "other", {}, self.SWITCHED_AT) == {}
