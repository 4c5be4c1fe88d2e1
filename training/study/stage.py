"""Run stages of a study, each alone or all in their order.

    python training/study/stage.py STAGE [STAGE ...] --config training/configs/NAME.yaml
        [--set out=FOLDER ...]

A stage is named by what it fills in the run folder: `slides/1`, `extracted`, `data`,
`networks/autoencoders/latent-4`, `networks/generators/pixel`, `made/donor`, `made/donor:2of8`,
`pools/donor`, `cells/donor-100-0`, `scores/validation/donor-100-0`, `chosen`,
`scores/test/donor-100-0`, `report`; or `all`, in this order. What is there already is left alone.
"""

from __future__ import annotations

from napari_histoaug.study.script import run_stages

if __name__ == "__main__":
    raise SystemExit(run_stages())
