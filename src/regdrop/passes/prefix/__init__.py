"""What precedes the noise, run once for all passes: where it ends, how that is tried, and the modes that use it."""
