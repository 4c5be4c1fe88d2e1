"""The napari face: reader, sample data, controller, jobs and one small widget a panel.

Nothing is imported here, so that finding the plugin loads neither Qt nor torch nor openslide.
"""
