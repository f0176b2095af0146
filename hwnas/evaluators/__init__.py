"""How good an architecture is: looked up, scored in a supernet, or trained on its own."""
