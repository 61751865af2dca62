"""Where images come from: each source gives an official training and test part, or the only part there is."""
