import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline.data.names import Names


@given(st.lists(st.text()), st.integers(-5, 5), st.integers(-5, 5))
def test_names_are_those_of_a_list(names: list[str], start: int, stop: int) -> None:
    kept = Names(names)
    assert kept == names
    assert kept == Names(names)
    assert kept != [*names, "one more"]
    assert len(kept) == len(names)
    assert kept[start:stop] == names[start:stop]
    assert [kept[place] for place in range(-len(names), len(names))] == names + names
    assert list(pickle.loads(pickle.dumps(kept))) == names


def test_names_that_are_no_text_stay_what_they_are() -> None:
    assert Names(["\udcff.png"])[0] == "\udcff.png"


@pytest.mark.parametrize("place", [1, -2])
def test_there_is_nothing_beyond_the_last(place: int) -> None:
    with pytest.raises(IndexError, match="below 1"):
        Names(["a"])[place]


def test_a_name_takes_its_letters_and_a_place() -> None:
    names = Names(f"train/{number:07}.jpg" for number in range(1000))
    assert names._letters.nbytes + names._ends.nbytes == 1000 * (17 + 8) + 8
