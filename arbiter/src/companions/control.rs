//! The control socket: commands for the manager, one JSON object a line.
