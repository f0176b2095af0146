"""Ways to a device, one a file."""
