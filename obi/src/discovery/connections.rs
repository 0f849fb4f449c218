//! TCP sockets of followed processes, as `/proc` shows them. In: pids, once a second; out: peers of connections that are new since, and who listens.
//!
//! Needed for plain sockets: hooks on system calls are not there all the time, and this is what brings them back. Reading the kernel's table
//! costs by the size of the table, so it is read only when a process holds a socket that was not there before, once for each network
//! namespace, and nothing of it is kept but the sockets in question. A process that vanishes while being read has no connections.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use kafka_analyzer::capture::Pid;
use rustix::fs::{Dir, Mode, OFlags, readlinkat};

/// Sockets remembered as looked at, of all processes; those beyond are looked at each time.
const SOCKETS: usize = 65_536;
/// A socket that is in no table may be about to connect, for this many looks.
const LOOKS: u8 = 3;
/// Then all is looked at again: a socket may connect long after it was made.
const ROUNDS: u32 = 60;

/// Inode of a socket.
type Socket = u64;

#[derive(Debug)]
pub struct Connections {
    proc_root: PathBuf,
    /// Looks that are left for each socket.
    known: HashMap<Pid, HashMap<Socket, u8>>,
    remembered: usize,
    rounds: u32,
}

/// A line of `/proc/net/tcp`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    Connecting,
    Established(SocketAddr),
    Listening,
    /// It is about to end.
    Other,
}

/// What a process was seen to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    Connection(SocketAddr),
    Listener,
}

impl Connections {
    pub fn new(proc_root: &Path) -> Connections {
        Connections {
            proc_root: proc_root.to_owned(),
            known: HashMap::new(),
            remembered: 0,
            rounds: 0,
        }
    }

    /// Another program runs there now, or none.
    pub fn forget(&mut self, pid: Pid) {
        let sockets = self.known.remove(&pid);
        self.remembered -= sockets.map_or(0, |sockets| sockets.len());
    }

    /// What these processes hold and was not told before. Others are forgotten.
    pub fn new_ones(&mut self, pids: &[Pid]) -> Vec<(Pid, Held)> {
        self.rounds += 1;
        if self.rounds.is_multiple_of(ROUNDS) {
            self.known.clear();
        }
        let mut before = std::mem::take(&mut self.known);
        self.remembered = 0;
        // By network namespace: a process in it, and who asks for which socket.
        let mut asked: HashMap<u64, (Pid, HashMap<Socket, Vec<Pid>>)> = HashMap::new();
        for pid in pids {
            let mut left = before.remove(pid).unwrap_or_default();
            let mut now = HashMap::new();
            let mut fresh = Vec::new();
            for socket in sockets(&self.proc_root, *pid).unwrap_or_default() {
                let looks = left.remove(&socket).unwrap_or(LOOKS);
                if self.remembered < SOCKETS && now.insert(socket, looks).is_none() {
                    self.remembered += 1;
                }
                if looks > 0 {
                    fresh.push(socket);
                }
            }
            if !fresh.is_empty()
                && let Some(namespace) = namespace(&self.proc_root, *pid)
            {
                let (_, sockets) = asked.entry(namespace).or_insert((*pid, HashMap::new()));
                for socket in fresh {
                    sockets.entry(socket).or_default().push(*pid);
                }
            }
            self.known.insert(*pid, now);
        }
        let mut told = Vec::new();
        for (door, sockets) in asked.into_values() {
            self.answer(door, &sockets, &mut told);
        }
        told
    }

    fn answer(
        &mut self,
        door: Pid,
        sockets: &HashMap<Socket, Vec<Pid>>,
        told: &mut Vec<(Pid, Held)>,
    ) {
        let mut found = HashMap::new();
        for table in ["tcp", "tcp6"] {
            let path = self.proc_root.join(format!("{door}/net/{table}"));
            let read = File::open(path).and_then(|file| {
                lines(BufReader::with_capacity(32 * 1024, file), |socket, line| {
                    if sockets.contains_key(&socket) {
                        found.insert(socket, line);
                    }
                })
            });
            // The door ended meanwhile: the next round has another one. A kernel without IPv6 has no second table.
            if read.is_err() && table == "tcp" {
                return;
            }
        }
        for (socket, pids) in sockets {
            for pid in pids {
                let looks = self
                    .known
                    .get_mut(pid)
                    .and_then(|sockets| sockets.get_mut(socket));
                let left = match found.get(socket) {
                    Some(Found::Established(peer)) => {
                        told.push((*pid, Held::Connection(*peer)));
                        0
                    }
                    Some(Found::Listening) => {
                        told.push((*pid, Held::Listener));
                        0
                    }
                    Some(Found::Connecting) => LOOKS,
                    Some(Found::Other) => 0,
                    None => looks.as_ref().map_or(0, |looks| looks.saturating_sub(1)),
                };
                if let Some(looks) = looks {
                    *looks = left;
                }
            }
        }
    }
}

/// Inodes of the sockets that a process holds.
fn sockets(proc_root: &Path, pid: Pid) -> rustix::io::Result<Vec<Socket>> {
    let folder = rustix::fs::open(
        proc_root.join(format!("{pid}/fd")),
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    let mut found = Vec::new();
    let mut text = Vec::new();
    for entry in Dir::read_from(&folder)? {
        let entry = entry?;
        let Ok(link) = readlinkat(&folder, entry.file_name(), std::mem::take(&mut text)) else {
            continue;
        };
        text = link.into_bytes();
        found.extend(socket_of(&text));
    }
    Ok(found)
}

/// `socket:[123]`.
fn socket_of(link: &[u8]) -> Option<Socket> {
    let number = link.strip_prefix(b"socket:[")?.strip_suffix(b"]")?;
    std::str::from_utf8(number).ok()?.parse().ok()
}

fn namespace(proc_root: &Path, pid: Pid) -> Option<u64> {
    std::fs::metadata(proc_root.join(format!("{pid}/ns/net")))
        .ok()
        .map(|metadata| metadata.ino())
}

/// Gives each line of a table with its socket.
fn lines(mut table: impl BufRead, mut each: impl FnMut(Socket, Found)) -> io::Result<()> {
    let mut text = String::new();
    while table.read_line(&mut text)? > 0 {
        if let Some((socket, found)) = line(&text) {
            each(socket, found);
        }
        text.clear();
    }
    Ok(())
}

/// `sl local_address rem_address st tx_queue:rx_queue tr:tm->when retrnsmt uid timeout inode ...`; None for the heading.
fn line(text: &str) -> Option<(Socket, Found)> {
    let mut fields = text.split_ascii_whitespace().skip(2);
    let peer = fields.next()?;
    let found = match fields.next()? {
        "01" => Found::Established(address(peer)?),
        "02" => Found::Connecting,
        "0A" => Found::Listening,
        _ => Found::Other,
    };
    Some((fields.nth(5)?.parse().ok()?, found))
}

/// `0100007F:2384`: the address in words as they lie in memory, the port as a number. An IPv4 address inside IPv6 is shown as what it is.
fn address(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let word = |at: usize| {
        let word = u32::from_str_radix(address.get(8 * at..8 * at + 8)?, 16).ok()?;
        Some(word.to_ne_bytes())
    };
    let ip: IpAddr = match address.len() {
        8 => Ipv4Addr::from(word(0)?).into(),
        _ => {
            let words = [word(0)?, word(1)?, word(2)?, word(3)?];
            Ipv6Addr::from(u128::from_be_bytes(words.concat().try_into().ok()?)).to_canonical()
        }
    };
    Some(SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn a_connection_is_told_once_a_minute() {
        let own = std::process::id();
        let mut connections = Connections::new(Path::new("/proc"));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let peer = listener.local_addr().unwrap();
        let told = |connections: &mut Connections| {
            let new = connections.new_ones(&[own]);
            let wanted = (own, Held::Connection(peer));
            new.iter().filter(|new| **new == wanted).count()
        };
        let all = connections.new_ones(&[own]);
        assert!(all.contains(&(own, Held::Listener)), "{all:?}");
        assert_eq!(told(&mut connections), 0);
        let first = TcpStream::connect(peer).unwrap();
        assert_eq!(told(&mut connections), 1);
        assert_eq!(told(&mut connections), 0);
        let _second = TcpStream::connect(peer).unwrap();
        assert_eq!(told(&mut connections), 1);
        drop(first);
        connections.forget(own);
        assert_eq!(told(&mut connections), 1);
        connections.rounds = ROUNDS - 1;
        assert_eq!(told(&mut connections), 1);
        assert_eq!(connections.new_ones(&[]), []);
        assert_eq!((connections.known.len(), connections.remembered), (0, 0));
    }

    #[test]
    fn a_socket_that_is_nowhere_is_looked_for_a_while() {
        let own = std::process::id();
        let mut connections = Connections::new(Path::new("/proc"));
        let (pair, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        let inode = rustix::fs::fstat(&pair).unwrap().st_ino;
        for left in [2, 1, 0, 0] {
            connections.new_ones(&[own]);
            assert_eq!(connections.known[&own][&inode], left);
        }
    }

    #[test]
    fn a_vanished_process_has_none() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        let mut connections = Connections::new(Path::new("/proc"));
        assert_eq!(connections.new_ones(&[child.id()]), []);
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn lines_of_both_tables() {
        let check = |text: &str, expected: Option<(Socket, Found)>| {
            assert_eq!(line(text), expected, "{text}")
        };
        let to = |text: &str| Found::Established(text.parse().unwrap());
        check(
            "   0: 0100007F:A1B2 0200000A:2384 01 00000000:00000000 02:00000001 00000000     0        0 4711 2 0 20 4 30 10 -1",
            Some((4711, to("10.0.0.2:9092"))),
        );
        check(
            "   1: 0000000000000000FFFF00000100007F:A1B2 0000000000000000FFFF00000100007F:2384 01 0:0 00:0 0 0 0 12 1 0 20 4 30 10 -1",
            Some((12, to("127.0.0.1:9092"))),
        );
        check(
            "   1: 00000000000000000000000001000000:A1B2 B80D0120000000000000000001000000:2384 01 0:0 00:0 0 0 0 12 1 0 20 4 30 10 -1",
            Some((12, to("[2001:db8::1]:9092"))),
        );
        check(
            "   2: 00000000:2384 00000000:0000 0A 0:0 00:0 0 0 0 13 1 0 100 0 0 10 0",
            Some((13, Found::Listening)),
        );
        check(
            "   2: 0100007F:2384 0100007F:A1B2 06 0:0 00:0 0 0 0 0 1 0 100 0 0 10 0",
            Some((0, Found::Other)),
        );
        check(
            "   2: 00000000:2384 00000000:0000 02 0:0 00:0 0 0 0 13 1 0 100 0 0 10 0",
            Some((13, Found::Connecting)),
        );
        check(
            "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode",
            None,
        );
        check("   3: 0", None);
        assert_eq!(socket_of(b"socket:[4711]"), Some(4711));
        assert_eq!(socket_of(b"/dev/null"), None);
    }
}
