"""Programs for a GPU, compiled by Triton: the same numbers, without waiting for the device."""
