"""Preferences come from napari's page and have defaults without it."""

from __future__ import annotations

import pytest
from npe2 import PluginManifest

from napari_histoaug.gui.preferences import Preferences, preferences


def test_without_the_plugin_registered_the_defaults_hold(plugin_settings):
    assert preferences() == Preferences()


def test_the_manifest_and_the_code_agree_on_the_defaults(plugin_settings, npe2pm):
    if "napari-histoaug" not in npe2pm:
        npe2pm.register(PluginManifest.from_distribution("napari-histoaug"))
    assert preferences() == Preferences()


def test_what_the_user_chose_is_used(plugin_settings, npe2pm):
    napari_settings = pytest.importorskip("napari.settings")
    npe2pm.register(PluginManifest.from_distribution("napari-histoaug"))
    chosen = napari_settings.get_plugin_settings("napari-histoaug").generate
    chosen.device, chosen.model, chosen.canvas_pixels = "cpu", "/models/mine", 512
    assert preferences() == Preferences("cpu", "/models/mine", 512)
