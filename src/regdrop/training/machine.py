"""What numbers were measured on."""

import os
import platform

import torch


def machine() -> str:
    """The machine in a few words, for records whose seconds depend on it.

    Example:
        >>> "CPU cores" in machine()
        True
    """
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPU cores, {device}"
