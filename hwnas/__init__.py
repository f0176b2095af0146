"""Find the best neural network for your own phone, board, CPU or GPU, under a latency budget."""

__version__ = "0.1.0.dev0"
