"""Sources of images: each gives an official training and test part, or the only part there is."""
