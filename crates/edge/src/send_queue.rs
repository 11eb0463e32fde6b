//! How much the kernel takes of what is written to a connection before it can send it.
//!
//! Its own bound is four megabytes each (`net.ipv4.tcp_wmem`): who asks much and takes nothing would have it keep them, where
//! no account of this process shows it.

use std::io;
use std::os::fd::AsFd;

/// Octets. What more there is waits here, and so does its source. A peer that takes it misses nothing: at a gigabit per second
/// this is a millisecond.
const MOST_UNSENT: u32 = 128 * 1024;

/// Bounds it for a connection or, where `socket` is a listener, for all that it will accept, which take it over (tcp(7),
/// `TCP_NOTSENT_LOWAT`). What was sent and not yet acknowledged does not count: that depends on how far away the peer is.
pub(crate) fn bound(socket: &impl AsFd) -> io::Result<()> {
    socket2::SockRef::from(socket).set_tcp_notsent_lowat(MOST_UNSENT)
}
