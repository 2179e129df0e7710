"""JSON objects read field by field."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from venvctl.document import Document
from venvctl.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable


def document(**fields: object) -> Document:
    return Document.parse({"web": fields}, "shop.json").table("web")


def test_fields_of_the_right_type() -> None:
    read = document(t="x", i=1, n=1.5, f=True, ts=["a"], m={"a": "b", "c": None}, ds=[{"t": "y"}])
    assert (read.text("t"), read.integer("i"), read.number("n")) == ("x", 1, 1.5)
    assert read.number("i") == pytest.approx(1.0)
    assert read.flag("f")
    assert read.texts("ts") == ("a",)
    assert read.mapping("m") == {"a": "b"}
    assert [one.text("t") for one in read.tables("ds")] == ["y"]


def test_null_is_missing_and_missing_is_the_default() -> None:
    read = document(t=None)
    assert (read.text("t", "d"), read.integer("i", 2), read.number("n", 2.5)) == ("d", 2, 2.5)
    assert not read.flag("f", default=False)
    assert (read.texts("ts"), read.mapping("m"), read.tables("ds")) == ((), {}, ())
    assert read.table("d").fields == {}


@pytest.mark.parametrize(
    ("read", "description"),
    [
        (lambda one: one.text("x"), "a text"),
        (lambda one: one.integer("x"), "a whole number"),
        (lambda one: one.number("x"), "a number"),
        (lambda one: one.texts("x"), "a list"),
        (lambda one: one.mapping("x"), "an object"),
        (lambda one: one.table("x"), "an object"),
        (lambda one: one.tables("x"), "a list"),
    ],
)
def test_a_field_of_another_type(read: Callable[[Document], object], description: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read(document(x=True))
    assert caught.value.message == f"web.x in shop.json is not {description}."


def test_a_flag_that_is_a_number() -> None:
    with pytest.raises(ConfigurationError, match=r"^web\.x in shop\.json is not true or false\.$"):
        document(x=1).flag("x")


@pytest.mark.parametrize(
    ("read", "value", "description"),
    [
        (lambda one: one.texts("x"), [1], "a list of texts"),
        (lambda one: one.mapping("x"), {"a": 1}, "an object of texts"),
        (lambda one: one.tables("x"), ["a"], "a list of objects"),
    ],
)
def test_an_element_of_another_type(
    read: Callable[[Document], object], value: object, description: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read(document(x=value))
    assert caught.value.message == f"web.x in shop.json is not {description}."


def test_a_missing_field_and_its_place_in_a_list() -> None:
    [inner] = document(x=[{}]).tables("x")
    with pytest.raises(ConfigurationError) as caught:
        inner.text("y")
    assert caught.value.message == "web.x[0].y is missing in shop.json."


def test_what_is_no_object() -> None:
    with pytest.raises(ConfigurationError, match=r"^shop\.json is not a JSON object\.$"):
        Document.parse([], "shop.json")
