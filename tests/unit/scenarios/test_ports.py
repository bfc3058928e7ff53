"""The names that drivers of sites import from scenarios.ports."""

from scenarios import ports


def test_earlier_names_work_for_one_more_release() -> None:
    assert ports.Surroundings is ports.Platform
    assert ports.GatedSurroundings is ports.GatedPlatform
