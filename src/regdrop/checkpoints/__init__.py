"""Weights from anywhere, executing nothing: .npz, .pdparams, PyTorch, safetensors."""
