//! Reports how many of the bytes sent to a server are still unread.
//!
//! To cut a request in two at a certain place, a client must not send the second part before the
//! server has read the first. On Linux, sock_diag(7) reports the length of one connection's receive
//! queue. The alternative, `/proc/net/tcp`, lists all connections: with a thousand clients, reading
//! it takes longer than the server's deadlines.

use std::net::{SocketAddr, TcpStream};

/// Returns the number of bytes in the receive queue at the other end of a local connection, or
/// `None` on systems that do not report the number.
pub fn unread_by_peer(stream: &TcpStream) -> Option<u32> {
    let (here, there) = (stream.local_addr().ok()?, stream.peer_addr().ok()?);
    let (SocketAddr::V4(here), SocketAddr::V4(there)) = (here, there) else {
        return None;
    };
    // The socket to look up is the server's, whose local address is the peer address of `stream`.
    imp::receive_queue(there, here)
}

#[cfg(target_os = "linux")]
mod imp {
    use std::net::SocketAddrV4;
    use std::os::fd::AsRawFd as _;

    use nix::sys::socket::{
        AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv,
        sendto, socket,
    };

    const SOCK_DIAG_BY_FAMILY: u16 = 20;
    const NLM_F_REQUEST: u16 = 1;
    const TCP_LISTEN: u8 = 10;
    /// The offset, in bytes, of the field `idiag_state` in a `nlmsghdr` followed by an
    /// `inet_diag_msg` (linux/netlink.h, linux/inet_diag.h); [`QUEUE_AT`] is the offset of the
    /// receive queue's length.
    const STATE_AT: usize = 16 + 1;
    const QUEUE_AT: usize = 16 + 4 + 48 + 4;

    pub(super) fn receive_queue(
        local: SocketAddrV4,
        remote: SocketAddrV4,
    ) -> Option<u32> {
        let socket = socket(
            AddressFamily::Netlink,
            SockType::Datagram,
            SockFlag::SOCK_CLOEXEC,
            SockProtocol::NetlinkSockDiag,
        )
        .ok()?;
        let request = request(local, remote);
        sendto(socket.as_raw_fd(), &request, &NetlinkAddr::new(0, 0), MsgFlags::empty())
            .ok()?;
        let mut answer = [0; 1024];
        let length = recv(socket.as_raw_fd(), &mut answer, MsgFlags::empty()).ok()?;
        let answer = answer.get(..length)?;
        if u16::from_ne_bytes([*answer.get(4)?, *answer.get(5)?]) != SOCK_DIAG_BY_FAMILY {
            return None;
        }
        if *answer.get(STATE_AT)? == TCP_LISTEN {
            // The connection no longer exists, so nothing is unread. The kernel found the listener
            // instead, which has the same local address.
            return Some(0);
        }
        let queue = answer.get(QUEUE_AT..QUEUE_AT + 4)?;
        Some(u32::from_ne_bytes(queue.try_into().ok()?))
    }

    /// Returns a sock_diag(7) message that asks for one connection: a `nlmsghdr` followed by an
    /// `inet_diag_req_v2`.
    fn request(local: SocketAddrV4, remote: SocketAddrV4) -> Vec<u8> {
        const LENGTH: u32 = 16 + 8 + 48;
        let mut bytes = Vec::with_capacity(LENGTH as usize);
        bytes.extend(LENGTH.to_ne_bytes());
        bytes.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
        bytes.extend(NLM_F_REQUEST.to_ne_bytes());
        bytes.extend([0; 8]); // sequence number and sender: this socket has no other messages
        bytes.extend([2, 6, 0, 0]); // AF_INET, IPPROTO_TCP, no extensions, padding
        bytes.extend(u32::MAX.to_ne_bytes()); // any TCP state
        bytes.extend(local.port().to_be_bytes());
        bytes.extend(remote.port().to_be_bytes());
        for address in [local.ip(), remote.ip()] {
            bytes.extend(address.octets());
            bytes.extend([0; 12]); // the field has 16 bytes, the size of an IPv6 address
        }
        bytes.extend([0; 4]); // any interface
        bytes.extend([0xff; 8]); // no cookie
        bytes
    }
}

#[cfg(not(target_os = "linux"))]
mod imp {
    use std::net::SocketAddrV4;

    pub(super) fn receive_queue(
        _local: SocketAddrV4,
        _remote: SocketAddrV4,
    ) -> Option<u32> {
        None
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn counts_bytes_that_the_other_end_has_not_read() -> std::io::Result<()> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let mut near = TcpStream::connect(listener.local_addr()?)?;
        assert_eq!(super::unread_by_peer(&near), Some(0));
        near.write_all(b"hello")?;
        assert_eq!(super::unread_by_peer(&near), Some(5), "before the accept");
        let (mut far, _) = listener.accept()?;
        far.read_exact(&mut [0; 3])?;
        assert_eq!(super::unread_by_peer(&near), Some(2));
        far.read_exact(&mut [0; 2])?;
        assert_eq!(super::unread_by_peer(&near), Some(0));
        Ok(())
    }
}
