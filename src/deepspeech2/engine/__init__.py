"""Device, precision and ranks behind one seam; nothing outside knows Lightning Fabric."""

from deepspeech2.engine.devices import PRECISIONS, out_of_memory, pick_device, use_threads
from deepspeech2.engine.engine import Engine, PreparedNetwork

__all__ = ["PRECISIONS", "Engine", "PreparedNetwork", "out_of_memory", "pick_device", "use_threads"]
