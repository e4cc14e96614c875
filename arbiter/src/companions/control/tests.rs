//! The control socket over a real socket.
