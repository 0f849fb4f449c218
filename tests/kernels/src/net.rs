//! Loopback connections and every system call that moves their bytes.
//!
//! In: a descriptor and bytes. Out: what moved. Each call is made exactly once; the caller loops.

use std::io::Error;
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;

use anyhow::{Result, ensure};

/// A client's and a server's end of one connection.
pub fn pair() -> Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let client = TcpStream::connect(listener.local_addr()?)?;
    let (server, _) = listener.accept()?;
    Ok((client, server))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Plain,
    To,
    Vector,
    Message,
    Messages,
    VectorAt,
}

pub const FORMS: [Form; 6] = [
    Form::Plain,
    Form::To,
    Form::Vector,
    Form::Message,
    Form::Messages,
    Form::VectorAt,
];

/// Sends all of `data` by one form of call.
pub fn send(socket: &TcpStream, form: Form, data: &[u8]) -> Result<()> {
    let mut left = data;
    while !left.is_empty() {
        let moved = send_some(socket.as_raw_fd(), form, left)?;
        ensure!(moved > 0, "{form:?} moved nothing");
        left = &left[moved..];
    }
    Ok(())
}

/// Reads exactly `length` bytes by one form of call.
pub fn receive(socket: &TcpStream, form: Form, length: usize) -> Result<Vec<u8>> {
    let mut all = vec![0u8; length];
    let mut filled = 0;
    while filled < length {
        let moved = receive_some(socket.as_raw_fd(), form, &mut all[filled..])?;
        ensure!(
            moved > 0,
            "{form:?}: the stream ended after {filled} of {length}"
        );
        filled += moved;
    }
    Ok(all)
}

/// Five pieces of different length, one of them empty.
fn pieces(at: *mut u8, length: usize) -> [libc::iovec; 5] {
    let cuts = [
        0,
        length / 7,
        length / 7,
        length / 3,
        length - length / 5,
        length,
    ];
    std::array::from_fn(|index| libc::iovec {
        // SAFETY: every cut is at most `length`.
        iov_base: unsafe { at.add(cuts[index]) }.cast(),
        iov_len: cuts[index + 1] - cuts[index],
    })
}

fn header(pieces: &mut [libc::iovec]) -> libc::msghdr {
    // SAFETY: a msghdr of zeroes is an empty message.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_iov = pieces.as_mut_ptr();
    header.msg_iovlen = pieces.len();
    header
}

fn send_some(fd: i32, form: Form, data: &[u8]) -> Result<usize> {
    let at = data.as_ptr().cast_mut();
    let mut vector = pieces(at, data.len());
    // SAFETY: every pointer is into `data` or to a structure of this frame; the kernel only reads them.
    let moved = unsafe {
        match form {
            Form::Plain => libc::write(fd, at.cast(), data.len()),
            Form::To => libc::send(fd, at.cast(), data.len(), libc::MSG_NOSIGNAL),
            Form::Vector => libc::writev(fd, vector.as_ptr(), 5),
            Form::VectorAt => {
                libc::syscall(libc::SYS_pwritev2, fd, vector.as_ptr(), 5, -1i64, -1i64, 0) as isize
            }
            Form::Message => libc::sendmsg(fd, &header(&mut vector), 0),
            Form::Messages => {
                let (first, second) = vector.split_at_mut(3);
                let mut messages = [mmsghdr(header(first)), mmsghdr(header(second))];
                let number = libc::sendmmsg(fd, messages.as_mut_ptr(), 2, 0);
                total(number, &messages)
            }
        }
    };
    usize::try_from(moved).map_err(|_| Error::last_os_error().into())
}

fn receive_some(fd: i32, form: Form, to: &mut [u8]) -> Result<usize> {
    let (at, length) = (to.as_mut_ptr(), to.len());
    let mut vector = pieces(at, length);
    // SAFETY: every pointer is into `to` or to a structure of this frame.
    let moved = unsafe {
        match form {
            Form::Plain => libc::read(fd, at.cast(), length),
            Form::To => libc::recv(fd, at.cast(), length, 0),
            Form::Vector => libc::readv(fd, vector.as_ptr(), 5),
            Form::VectorAt => {
                libc::syscall(libc::SYS_preadv2, fd, vector.as_ptr(), 5, -1i64, -1i64, 0) as isize
            }
            Form::Message => libc::recvmsg(fd, &mut header(&mut vector), 0),
            Form::Messages => {
                let (first, second) = vector.split_at_mut(3);
                let mut messages = [mmsghdr(header(first)), mmsghdr(header(second))];
                // Two messages only when the first filled its part; else the bytes would not be contiguous.
                let number = libc::recvmmsg(
                    fd,
                    messages.as_mut_ptr(),
                    2,
                    libc::MSG_WAITALL,
                    std::ptr::null_mut(),
                );
                total(number, &messages)
            }
        }
    };
    usize::try_from(moved).map_err(|_| Error::last_os_error().into())
}

fn mmsghdr(msg_hdr: libc::msghdr) -> libc::mmsghdr {
    libc::mmsghdr {
        msg_hdr,
        msg_len: 0,
    }
}

fn total(number: i32, messages: &[libc::mmsghdr]) -> isize {
    match usize::try_from(number) {
        Ok(number) => messages
            .iter()
            .take(number)
            .map(|m| m.msg_len as isize)
            .sum(),
        Err(_) => -1,
    }
}

/// Reads with flags, once.
pub fn receive_with(socket: &TcpStream, to: &mut [u8], flags: i32) -> Result<usize> {
    // SAFETY: `to` is as long as it says.
    let moved = unsafe { libc::recv(socket.as_raw_fd(), to.as_mut_ptr().cast(), to.len(), flags) };
    usize::try_from(moved).map_err(|_| Error::last_os_error().into())
}

/// write(2) with a word of the caller's choice in r14, where Go keeps the running goroutine.
pub fn write_as(socket: &TcpStream, r14: u64, data: &[u8]) -> Result<()> {
    let mut moved = libc::SYS_write;
    // SAFETY: write(2) only reads `data`; r14 is put back.
    unsafe {
        std::arch::asm!(
            "xchg r14, {r14}", "syscall", "xchg r14, {r14}",
            r14 = inout(reg) r14 => _,
            inout("rax") moved, in("rdi") i64::from(socket.as_raw_fd()), in("rsi") data.as_ptr(), in("rdx") data.len(),
            out("rcx") _, out("r11") _,
        );
    }
    ensure!(moved == data.len() as i64, "moved {moved}");
    Ok(())
}

/// sendfile(2) from the beginning of a file.
pub fn send_file(socket: &TcpStream, file: &std::fs::File, length: usize) -> Result<usize> {
    let mut offset = 0;
    // SAFETY: the offset lives through the call.
    let moved =
        unsafe { libc::sendfile(socket.as_raw_fd(), file.as_raw_fd(), &mut offset, length) };
    usize::try_from(moved).map_err(|_| Error::last_os_error().into())
}

/// splice(2), once.
pub fn splice(from: i32, to: i32, length: usize) -> Result<usize> {
    // SAFETY: no memory is involved.
    let moved = unsafe {
        libc::splice(
            from,
            std::ptr::null_mut(),
            to,
            std::ptr::null_mut(),
            length,
            0,
        )
    };
    usize::try_from(moved).map_err(|_| Error::last_os_error().into())
}

/// A child process made by fork(2), which runs `child` and ends; `before` runs in the parent first, with its id.
pub fn forked(before: impl FnOnce(u32) -> Result<()>, child: impl FnOnce()) -> Result<()> {
    let mut gate = [0; 2];
    // SAFETY: the child has one thread and only makes system calls before it ends with _exit.
    unsafe {
        ensure!(
            libc::pipe(gate.as_mut_ptr()) == 0,
            "no pipe: {}",
            Error::last_os_error()
        );
        let pid = libc::fork();
        ensure!(pid >= 0, "no fork: {}", Error::last_os_error());
        if pid == 0 {
            let mut byte = 0u8;
            libc::read(gate[0], (&raw mut byte).cast(), 1);
            child();
            libc::_exit(0);
        }
        let ready = before(pid as u32);
        libc::write(gate[1], (&raw const *b"x").cast(), 1);
        let mut status = 0;
        libc::waitpid(pid, &mut status, 0);
        libc::close(gate[0]);
        libc::close(gate[1]);
        ready
    }
}
