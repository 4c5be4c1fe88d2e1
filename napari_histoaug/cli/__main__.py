"""``python -m napari_histoaug.cli``."""

import sys

from napari_histoaug.cli.commands import main

sys.exit(main())
