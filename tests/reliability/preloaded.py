"""What `sessions` imports before it forks."""

import matplotlib.figure
import torch.utils.tensorboard

import regdrop.reports.run
import regdrop.tasks.vision
import regdrop.training.run

LOADED = (matplotlib.figure, torch.utils.tensorboard, regdrop.reports.run, regdrop.tasks.vision, regdrop.training.run)
