//! Connections that are accepted once there is something to read.

use std::io;
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::time::Duration;

use crate::sys::socket::set_defer_accept;

/// Has the kernel keep a connection until its client has sent something, or for about `patience` (whole seconds, one at
/// least): so whoever shares the listener and leaves it has accepted nobody who has not yet said what it wants.
///
/// For protocols in which the client speaks first.
///
/// # Errors
///
/// What `setsockopt(2)` refused.
pub fn accept_with_data(listener: &TcpListener, patience: Duration) -> io::Result<()> {
    let secs = i32::try_from(patience.as_secs().max(1)).unwrap_or(i32::MAX);
    set_defer_accept(listener.as_fd(), secs)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::TcpStream;

    use super::*;

    #[test]
    fn who_has_sent_something_is_accepted_before_who_came_first() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        accept_with_data(&listener, Duration::from_secs(60)).unwrap();
        let _silent = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let mut asking = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        asking.write_all(b"x").unwrap();
        let (_, address) = listener.accept().unwrap();
        assert_eq!(address, asking.local_addr().unwrap());
    }
}
