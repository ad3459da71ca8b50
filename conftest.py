"""Makes `exporters/` importable as `vae_augment.exporters` in a checkout that is not installed."""

from pathlib import Path

import vae_augment

exporters = str(Path(__file__).parent)
if not any(Path(folder, "exporters").exists() for folder in vae_augment.__path__):
    vae_augment.__path__.append(exporters)
