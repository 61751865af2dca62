"""What dropout does to a model: consistency of sub-models, calibration."""
