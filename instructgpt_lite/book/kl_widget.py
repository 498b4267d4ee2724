"""Two laws over five words, moved by hand: KL both ways, entropy, and k1, k2, k3 from samples."""

import math

import traitlets

from instructgpt_lite.book.widgets import Widget


class TwoLaws(Widget):
    """Sliders move a policy and a reference over five words; KL and its estimators follow.

    `policy` and `reference` are logits. `temperature` and `forbid` (never the last word) change what is drawn,
    not what is scored, as sampling options do.
    """

    script = "surprise.js elements.js tilt.js"
    words = traitlets.List(["yes", "no", "maybe", "sorry", "end"]).tag(sync=True)
    policy = traitlets.List([math.log(p) for p in (0.40, 0.25, 0.15, 0.10, 0.10)]).tag(sync=True)
    reference = traitlets.List([math.log(p) for p in (0.15, 0.20, 0.30, 0.25, 0.10)]).tag(sync=True)
    samples = traitlets.Int(256, min=1, max=4096).tag(sync=True)
    seed = traitlets.Int(1).tag(sync=True)
    temperature = traitlets.Float(1.0, min=0.3, max=2.0).tag(sync=True)
    forbid = traitlets.Bool(False).tag(sync=True)
