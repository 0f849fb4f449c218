//! A ring record to a capture event. In: the bytes of one record, borrowed from the ring; out: an event that borrows its payload.
//!
//! Records may be longer than their payload (size classes). A record that is too short or of an unknown kind is a value, counted by
//! the caller.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use kafka_analyzer::capture::{CaptureEvent, ConnectionId, Direction, GapReason, Source};
use obi_abi::{RecordHeader, Socket, direction, gap, kind, source};
use zerocopy::FromBytes;

/// What a record is.
#[derive(Debug)]
pub enum Record<'a> {
    Event(CaptureEvent<'a>),
    /// A process runs a new program, or ended: for the discovery.
    Exec {
        pid: u32,
    },
    Exit {
        pid: u32,
    },
    /// Counted as `obi_events_lost_total{reason="malformed_record"}`.
    Malformed,
}

pub fn record(bytes: &[u8]) -> Record<'_> {
    // Ring records are 8-byte aligned; bytes from elsewhere may not be, so the header is copied out.
    let Ok((header, rest)) = RecordHeader::read_from_prefix(bytes) else {
        return Record::Malformed;
    };
    match header.kind {
        kind::EXEC => Record::Exec { pid: header.pid },
        kind::EXIT => Record::Exit { pid: header.pid },
        _ => event(&header, rest).map_or(Record::Malformed, Record::Event),
    }
}

fn event<'a>(header: &RecordHeader, rest: &'a [u8]) -> Option<CaptureEvent<'a>> {
    let connection = ConnectionId(header.conn);
    let direction = match header.direction {
        direction::WRITE => Direction::Write,
        _ => Direction::Read,
    };
    let source = match header.source {
        source::SOCKET => Source::Socket,
        source::OPENSSL => Source::Openssl,
        source::GO_TLS => Source::GoTls,
        _ => return None,
    };
    let payload = rest.get(..usize::try_from(header.len).ok()?)?;
    Some(match header.kind {
        kind::DATA => CaptureEvent::Data {
            connection,
            direction,
            offset: header.offset,
            began: header.began_ns,
            ended: header.ended_ns,
            pid: header.pid,
            tid: header.tid,
            goroutine: Some(header.task).filter(|id| *id != 0),
            source,
            bytes: payload,
        },
        kind::GAP => CaptureEvent::Gap {
            connection,
            direction,
            offset: header.offset,
            length: header.gap,
            began: header.began_ns,
            ended: header.ended_ns,
            pid: header.pid,
            source,
            reason: match header.reason {
                gap::CALL_LIMIT => GapReason::CallLimit,
                gap::FAULT => GapReason::PageFault,
                gap::VERDICT => GapReason::Verdict,
                gap::SENDFILE => GapReason::Sendfile,
                gap::IOVECS => GapReason::Iovecs,
                gap::RECORDS => GapReason::Records,
                _ => GapReason::RingFull,
            },
        },
        kind::OPENED => {
            let (socket, _) = Socket::read_from_prefix(payload).ok()?;
            let (local, peer) = ends(&socket);
            CaptureEvent::Opened {
                connection,
                time: header.began_ns,
                pid: header.pid,
                source,
                local,
                peer,
            }
        }
        kind::CLOSED => CaptureEvent::Closed {
            connection,
            time: header.began_ns.max(header.ended_ns),
        },
        _ => return None,
    })
}

/// Both ends of a socket, as far as they are known.
fn ends(socket: &Socket) -> (Option<SocketAddr>, Option<SocketAddr>) {
    const AF_INET: u16 = 2;
    const AF_INET6: u16 = 10;
    let address = |bytes: [u8; 16]| match socket.family {
        AF_INET => {
            let [a, b, c, d, ..] = bytes;
            Some(IpAddr::V4(Ipv4Addr::new(a, b, c, d)))
        }
        AF_INET6 => {
            let v6 = Ipv6Addr::from(bytes);
            Some(v6.to_ipv4_mapped().map_or(IpAddr::V6(v6), IpAddr::V4))
        }
        _ => None,
    };
    let end = |bytes, port| Some(SocketAddr::new(address(bytes)?, port));
    // A socket that is still connecting has no remote port.
    let peer = end(socket.remote, socket.remote_port).filter(|_| socket.remote_port != 0);
    (end(socket.local, socket.local_port), peer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use zerocopy::IntoBytes;

    fn bytes(header: RecordHeader, payload: &[u8]) -> Vec<u8> {
        [header.as_bytes(), payload].concat()
    }

    #[test]
    fn data_borrows_its_payload_and_ignores_the_size_class() {
        let header = RecordHeader {
            kind: kind::DATA,
            direction: direction::WRITE,
            source: source::GO_TLS,
            len: 3,
            conn: 9,
            offset: 100,
            began_ns: 1,
            ended_ns: 2,
            task: 4711,
            pid: 7,
            tid: 8,
            ..RecordHeader::default()
        };
        let raw = bytes(header, b"abcpadding");
        match record(&raw) {
            Record::Event(CaptureEvent::Data {
                connection,
                direction,
                offset,
                began,
                ended,
                pid,
                tid,
                goroutine: Some(4711),
                source,
                bytes,
            }) => {
                assert_eq!(
                    (connection, direction, offset),
                    (ConnectionId(9), Direction::Write, 100)
                );
                assert_eq!(
                    (began, ended, pid, tid, source, bytes),
                    (1, 2, 7, 8, Source::GoTls, &b"abc"[..])
                );
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_opened_socket_has_both_ends_once_they_are_known() {
        let len = u32::try_from(size_of::<Socket>()).unwrap();
        let header = RecordHeader {
            kind: kind::OPENED,
            len,
            ..RecordHeader::default()
        };
        let open = |socket: Socket| match record(&bytes(header, socket.as_bytes())) {
            Record::Event(CaptureEvent::Opened { local, peer, .. }) => (local, peer),
            other => panic!("{other:?}"),
        };
        let mut socket = Socket {
            family: 2,
            local_port: 1024,
            remote_port: 9093,
            ..Socket::default()
        };
        socket.local[..4].copy_from_slice(&[127, 0, 0, 1]);
        socket.remote[..4].copy_from_slice(&[10, 0, 0, 2]);
        let ends = (
            Some("127.0.0.1:1024".parse().unwrap()),
            Some("10.0.0.2:9093".parse().unwrap()),
        );
        assert_eq!(open(socket), ends);
        let mapped = Socket {
            family: 10,
            local: *b"\0\0\0\0\0\0\0\0\0\0\xff\xff\x7f\0\0\x01",
            remote: *b"\0\0\0\0\0\0\0\0\0\0\xff\xff\x0a\0\0\x02",
            ..socket
        };
        assert_eq!(open(mapped), ends);
        assert_eq!(
            open(Socket {
                family: 2,
                remote_port: 0,
                ..socket
            })
            .1,
            None
        );
        assert_eq!(open(Socket::default()), (None, None));
    }

    #[test]
    fn what_is_short_or_unknown_is_a_value() {
        assert!(matches!(record(&[]), Record::Malformed));
        assert!(matches!(record(&[1; 71]), Record::Malformed));
        let lying = RecordHeader {
            kind: kind::DATA,
            len: 4,
            ..RecordHeader::default()
        };
        assert!(matches!(record(&bytes(lying, b"abc")), Record::Malformed));
        let unknown = RecordHeader {
            kind: 77,
            ..RecordHeader::default()
        };
        assert!(matches!(record(&bytes(unknown, b"")), Record::Malformed));
        let exec = RecordHeader {
            kind: kind::EXEC,
            pid: 5,
            ..RecordHeader::default()
        };
        assert!(matches!(record(&bytes(exec, b"")), Record::Exec { pid: 5 }));
        let unaligned = [&[0][..], &bytes(exec, b"")].concat();
        assert!(matches!(record(&unaligned[1..]), Record::Exec { pid: 5 }));
    }
}
