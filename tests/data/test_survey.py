"""Every fault of the table is found and named, and repaired copies have none."""

from pathlib import Path

import pytest

from sightline.data.findings import KINDS, errors
from sightline.workflows.check import look, write_fixed
from tests.data.faults import FAULTS, Fault
from tests.data.sound import SOUND


@pytest.mark.parametrize("format", SOUND)
def test_with_a_sound_data_set_nothing_is_wrong(format: str, tmp_path: Path) -> None:
    looked = look(SOUND[format](tmp_path / "set"), format)
    assert [finding.sentence for finding in looked.findings] == []
    assert looked.survey is not None
    assert looked.survey.index.format == format


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_the_fault_is_found_named_and_repaired(fault: Fault, tmp_path: Path) -> None:
    looked = look(fault.make(tmp_path / "set"), fault.format)
    told = [finding.sentence for finding in looked.findings if finding.kind == fault.kind]
    everything = [f"{finding.kind}: {finding.sentence}" for finding in looked.findings]
    assert any(all(text in line for text in fault.named) for line in told), everything
    level = KINDS[fault.kind].level
    assert (errors(looked.findings) > 0) == (level == "error"), everything
    if fault.repaired and level == "error":
        fixed = write_fixed(tmp_path / "fixed", looked)
        assert fixed["left"] == []
        assert fixed["changed"] > 0


def test_the_table_is_of_every_format_and_of_nearly_every_kind() -> None:
    assert len(FAULTS) >= 60
    assert {fault.format for fault in FAULTS} == set(SOUND)
    assert set(KINDS) - {fault.kind for fault in FAULTS} == set()
    assert len({str(fault) for fault in FAULTS}) == len(FAULTS)
