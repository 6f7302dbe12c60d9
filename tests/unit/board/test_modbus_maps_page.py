"""docs/drivers/modbus_maps.md is what the maps say."""

from spot_host.register_maps import PAGE, page


def test_the_page_is_current():
    assert PAGE.read_text(encoding="utf-8") == page(), "python -m spot_host.register_maps"


def test_every_map_says_what_falls_back_and_what_wears():
    text = page()
    assert text.count("| 300 s | volatile |") == 4 and text.count("| never | wears |") == 9
