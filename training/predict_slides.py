"""Find vessels on many slides.

``python training/predict_slides.py --config training/configs/predict.yaml`` starts, and resumes.
Dotted overrides follow, e.g. ``slides=cohort.csv out=runs/mine``; ``--workers 4`` predicts four
slides at once, ``--scheduler tcp://...`` hands them to a dask cluster. Each slide becomes an
OME-Zarr prediction and a QuPath GeoJSON file, named by the slide's salted id.
"""

from __future__ import annotations

from napari_histoaug.segmentation.predicting import predict_slides

if __name__ == "__main__":
    raise SystemExit(predict_slides())
