"""Where data come from: this machine's files, the hub, archives; whatever they hold is checked."""
