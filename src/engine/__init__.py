"""Device, precision and ranks behind one seam; nothing outside knows Lightning Fabric."""

from src.engine.devices import PRECISIONS, out_of_memory, pick_device, use_threads
from src.engine.engine import Engine, PreparedNetwork

__all__ = ["PRECISIONS", "Engine", "PreparedNetwork", "out_of_memory", "pick_device", "use_threads"]
