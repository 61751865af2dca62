"""ViT checkpoints between Google's .npz, PyTorch, safetensors and Paddle: read, checked and written, nothing executed.

What a file passes through, in this order: a container (`npz`, `torch_file`, `safetensors_file`, `pdparams`) gives named
tensors; `naming` finds out whose names they are; `canonical` checks every key, shape and value and renames them to
timm's; `surgery` fits them to another image size or number of classes; `model` copies them into a model.
"""
