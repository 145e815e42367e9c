"""Series of both sides, as they might be, and how two judges do on them."""
