"""Networks of one's own: from a PyTorch module, an ONNX or a TFLite file to this project's blocks."""
