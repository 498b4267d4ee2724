"""What the stages of a run share."""

from instructgpt_lite import presets
from instructgpt_lite.workshop import Workshop


def test_the_labelers_of_a_run_are_set_once(tmp_path):
    """A later stage takes the noise from the file and asks the policy nothing."""
    shop = Workshop(presets.nano, tmp_path)
    kept = {"noise": {"training": 0.3, "held-out": 0.4}, "agreement": 0.726}
    (tmp_path / "labelers.json").write_text('{"noise": {"training": 0.3, "held-out": 0.4}, "agreement": 0.726}')
    assert shop.calibrate() == kept
    assert (shop.world.labelers.noise, shop.world.heldout_labelers.noise) == (0.3, 0.4)
