"""Labels: known or not, in their place or not, and how their values read."""

from __future__ import annotations

from typing import Literal

import pytest

from venvctl.errors import ConfigurationError
from venvctl.labels import SERVICE_LABELS, VOLUME_LABELS, Labels, parse_duration

PLACE = "the service web in compose.yaml"


def service_labels(**values: str) -> Labels:
    labels = {f"venvctl.{name.replace('_', '-')}": value for name, value in values.items()}
    return Labels.parse(labels, on="service", place=PLACE)


def test_only_venvctls_labels_are_taken() -> None:
    labels = {"venvctl.grace": "1s", "traefik.enable": "true", "venvctlx": "y"}
    assert Labels.parse(labels, on="service", place=PLACE).values == {"venvctl.grace": "1s"}


@pytest.mark.parametrize("name", VOLUME_LABELS)
def test_a_volumes_label_belongs_on_a_volume(name: str) -> None:
    assert Labels.parse({name: "x"}, on="volume", place=PLACE).values == {name: "x"}
    with pytest.raises(ConfigurationError) as caught:
        Labels.parse({name: "x"}, on="service", place=PLACE)
    assert caught.value.message == f"The label {name} on {PLACE} has no meaning there."
    assert caught.value.hint == "Move it to the volume."


@pytest.mark.parametrize("name", SERVICE_LABELS)
def test_a_services_label_belongs_on_a_service(name: str) -> None:
    assert Labels.parse({name: "x"}, on="service", place=PLACE).values == {name: "x"}
    with pytest.raises(ConfigurationError) as caught:
        Labels.parse({name: "x"}, on="volume", place="the volume venv in compose.yaml")
    assert caught.value.message == (
        f"The label {name} on the volume venv in compose.yaml has no meaning there."
    )
    assert caught.value.hint == "Move it to the service."


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("venvctl.on-chnage", "venvctl.on-change"),
        ("venvctl.onchange", "venvctl.on-change"),
        ("venvctl.lockfile", "venvctl.lock"),
        ("venvctl.extra", "venvctl.extras"),
        ("venvctl.keep_snapshots", "venvctl.keep-snapshots"),
    ],
)
def test_an_unknown_one_names_the_nearest(name: str, nearest: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Labels.parse({name: "x"}, on="service", place=PLACE)
    assert caught.value.message == f"The label {name} on {PLACE} is unknown."
    assert caught.value.hint == f"The nearest known one is {nearest}."


def test_one_like_no_other_names_a_known_one_all_the_same() -> None:
    with pytest.raises(ConfigurationError) as caught:
        Labels.parse({"venvctl.": "x"}, on="service", place=PLACE)
    assert caught.value.hint.startswith("The nearest known one is venvctl.")


@pytest.mark.parametrize("name", ["venvctl.root", "venvctl.helper"])
@pytest.mark.parametrize("on", ["volume", "service"])
def test_venvctls_own_ones_are_not_for_users(name: str, on: Literal["volume", "service"]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Labels.parse({name: "x"}, on=on, place=PLACE)
    assert caught.value.message == f"The label {name} on {PLACE} is one that venvctl itself writes."
    assert caught.value.hint == "Remove it."


def test_text_is_one_line_without_space_around() -> None:
    labels = service_labels(grace=" a b ")
    assert labels.text("venvctl.grace") == "a b"
    assert labels.text("venvctl.ignore", "default") == "default"


@pytest.mark.parametrize(
    ("value", "reason"),
    [("  ", "it is empty"), ("a\nb", "it has characters that can't be printed")],
)
def test_text_that_is_none(value: str, reason: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        service_labels(grace=value).text("venvctl.grace")
    assert caught.value.message == (
        f"The label venvctl.grace: {value!r} on {PLACE} can't be used: {reason}."
    )


@pytest.mark.parametrize(
    ("value", "names"),
    [("a", ("a",)), (" a , b,", ("a", "b")), ("", ()), (" , ", ())],
)
def test_names_have_commas_between(value: str, names: tuple[str, ...]) -> None:
    labels = Labels.parse({"venvctl.extras": value}, on="volume", place=PLACE)
    assert labels.names("venvctl.extras") == names
    assert labels.names("venvctl.groups") == ()


def test_a_choice_has_its_first_as_the_default() -> None:
    labels = Labels.parse({"venvctl.builds": "allow"}, on="volume", place=PLACE)
    assert labels.choice("venvctl.builds", ("deny", "allow")) == "allow"
    assert labels.choice("venvctl.bytecode", ("ahead", "off")) == "ahead"


def test_a_choice_that_is_not_offered() -> None:
    with pytest.raises(ConfigurationError) as caught:
        service_labels(ignore="yes").flag("venvctl.ignore")
    assert caught.value.message == (
        f"The label venvctl.ignore: 'yes' on {PLACE} can't be used: it is none of false, true."
    )


def test_a_flag() -> None:
    assert service_labels(ignore="true").flag("venvctl.ignore")
    assert not service_labels(ignore="false").flag("venvctl.ignore")
    assert not service_labels().flag("venvctl.ignore")


def test_a_count() -> None:
    assert service_labels(parallel="12").count("venvctl.parallel", 1) == 12
    assert service_labels().count("venvctl.parallel", 1) == 1


@pytest.mark.parametrize("value", ["0", "-1", "1.5", "two", "²"])
def test_a_count_that_is_none(value: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        service_labels(parallel=value).count("venvctl.parallel", 1, minimum=1)
    assert caught.value.message == (
        f"The label venvctl.parallel: {value!r} on {PLACE} can't be used:"
        " it is not a whole number from 1 on."
    )


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("60s", 60.0),
        ("1m30s", 90.0),
        ("500ms", 0.5),
        ("1.5s", 1.5),
        ("2h", 7200.0),
        ("30d", 30 * 86400.0),
        ("1w", 7 * 86400.0),
        ("0s", 0.0),
        ("999999999999d", 36525 * 86400.0),
        ("9" * 400 + "w", 36525 * 86400.0),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)
    assert service_labels(grace=text).seconds("venvctl.grace", 5.0) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["60", "-1s", "1 s", "s", "1y", "1.s", "1s!", "٣s"])
def test_what_is_no_duration(text: str) -> None:
    assert parse_duration(text) is None
    with pytest.raises(ConfigurationError) as caught:
        service_labels(grace=text).seconds("venvctl.grace", 5.0)
    assert caught.value.message == (
        f"The label venvctl.grace: {text!r} on {PLACE} can't be used:"
        " it is not a duration such as 60s, 1m30s or 500ms."
    )


def test_a_missing_duration_is_the_default() -> None:
    assert service_labels().seconds("venvctl.grace", 5.0) == pytest.approx(5.0)
