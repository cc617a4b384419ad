"""Forms are read by whoever reads forms, as what was written."""

from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.form import form, write_form

TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@given(st.dictionaries(TEXT.filter(bool), TEXT, min_size=1))
def test_a_form_is_read_as_it_was_meant(fields: dict[str, str]) -> None:
    assert dict(parse_qsl(form(fields), keep_blank_values=True, strict_parsing=True)) == fields


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("%41 +&=", "%2541%20%2B%26%3D"),
        ('{"a":"ä"}', "%7B%22a%22%3A%22%C3%A4%22%7D"),
        ("\x00\n\x7f~", "%00%0A%7F~"),
        (3, "3"),
    ],
)
def test_everything_reserved_is_escaped(value: object, written: str) -> None:
    assert form({"a.b": value}) == f"a.b={written}"


def test_only_bodies_of_fields_are_written() -> None:
    json_call = {"body": b"{}"}
    write_form(json_call, model=None)
    assert json_call == {"body": b"{}"}
    query_call = {"body": {"Action": "Publish", "Message": "a b"}}
    write_form(query_call, model=None)
    assert query_call == {"body": "Action=Publish&Message=a%20b"}
