"""The specification: float64 tensors on any device."""
