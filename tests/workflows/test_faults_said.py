"""What is wrong with data is said once: by the error where there is one, else by the listener."""

import pytest

from sightline.errors import DataError
from sightline.workflows.faults_said import once_said
from tests.workflows.discs import Lines


def test_all_faults_are_said_where_they_are_few_enough() -> None:
    listener = Lines()
    assert once_said(["a: empty", "b: torn"], lambda: 7, listener, "unreadable: ") == 7
    assert listener.said == ["unreadable: a: empty", "unreadable: b: torn"]


def test_what_an_error_names_is_left_to_it() -> None:
    def judge() -> None:
        raise DataError("2 of 3 bad:\na: empty\n... and 1 more")

    listener = Lines()
    with pytest.raises(DataError):
        once_said(["a: empty", "b: torn"], judge, listener)
    assert listener.said == ["b: torn"]
