"""The arms of the regime with a pool that train on its images by consistency and pseudo-labels. There are none yet."""

from .arms import Arm

ARMS: tuple[Arm, ...] = ()
