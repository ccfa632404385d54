import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.domain.refs import AliasRef, VersionRef, check_name, parse_ref
from registry.errors import InvalidInputError, InvalidRefError

names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True)


@given(names, st.integers(1, 10**6))
def test_a_version_is_read_back_from_its_text(name: str, number: int) -> None:
    ref = VersionRef(name, number)
    assert parse_ref(str(ref)) == ref
    assert parse_ref(f"{name}@v{number}") == ref


@given(names, names)
def test_an_alias_is_read_back_from_its_text(name: str, alias: str) -> None:
    ref = AliasRef(name, alias)
    assert parse_ref(str(ref)) == ref


@pytest.mark.parametrize(
    "text", ["", "products", "products@", "products@x", "products@0", "@3", ":x", "a b@1", "a@1@2"]
)
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(InvalidRefError):
        parse_ref(text)


def test_the_hint_shows_how_a_reference_looks() -> None:
    with pytest.raises(InvalidRefError) as caught:
        parse_ref("products")
    assert "products@3" in str(caught.value.hint)


@pytest.mark.parametrize("name", ["", "-x", "a/b", "a b", "ä", "x" * 101, "../x", "a@1"])
def test_names_that_would_not_be_safe_are_refused(name: str) -> None:
    with pytest.raises(InvalidInputError):
        check_name("model", name)
