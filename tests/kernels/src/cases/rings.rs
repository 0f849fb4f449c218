//! What is lost and what is not there: a full ring, pages that are not resident, returns without an entry; waking.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use obi_abi::{CHUNK, Settings, direction, gap, kind, reader, stat};

use crate::agent::Agent;
use crate::cases::calls::{self, only, pattern, stream, whole};
use crate::hooks::{self, Function, call, hook_outer};

const WRITER: [(Function, u8); 1] = [(Function::Outer, calls::WRITE)];

fn write(data: &[u8]) {
    call(hook_outer, 9, data, &0, || data.len() as i64);
}

/// A full ring loses records, counts them, and the stream's position still holds.
pub fn full(object: &[u8]) -> Result<()> {
    let agent = calls::agent(object, &WRITER, false, whole(), Some(256 << 10))?;
    let data = pattern(100_000, 21);
    for _ in 0..10 {
        write(&data);
    }
    let mut records = agent.drain()?;
    let lost = agent.stat(stat::LOST_RING)?;
    ensure!(lost > 0, "nothing was lost");
    write(b"after");
    records.extend(agent.drain()?);
    let conn = only(&records)?;
    let sent: Vec<_> = records
        .iter()
        .filter(|r| r.header.kind == kind::DATA)
        .collect();
    // 100,000 bytes leave as three chunks and a tail.
    ensure!(
        sent.len() as u64 + lost == 10 * 4 + 1,
        "{} sent, {lost} lost",
        sent.len()
    );
    let all = data.repeat(10);
    for record in sent.iter().take(sent.len() - 1) {
        let start = record.header.offset as usize;
        ensure!(
            record.payload == all[start..start + record.payload.len()],
            "bytes at {start} differ"
        );
    }
    let last = sent.last().context("nothing was sent")?;
    ensure!(
        (last.header.conn, last.header.offset) == (conn, 1_000_000),
        "{:?}",
        last.header
    );
    ensure!(last.payload == b"after", "last bytes");
    Ok(())
}

/// A page that is not resident: its chunk is a gap, the others are there.
pub fn not_resident(object: &[u8]) -> Result<()> {
    let agent = calls::agent(object, &WRITER, false, whole(), None)?;
    let data = pattern(CHUNK, 22);
    // SAFETY: the mapping is three chunks long, of which only the outer two are touched.
    let buffer = unsafe {
        let length = 3 * CHUNK;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        let at = libc::mmap(
            std::ptr::null_mut(),
            length,
            libc::PROT_READ | libc::PROT_WRITE,
            flags,
            -1,
            0,
        );
        ensure!(at != libc::MAP_FAILED, "no memory");
        // A huge page would be resident as a whole.
        libc::madvise(at, length, libc::MADV_NOHUGEPAGE);
        let at = at.cast::<u8>();
        std::ptr::copy_nonoverlapping(data.as_ptr(), at, CHUNK);
        std::ptr::copy_nonoverlapping(data.as_ptr(), at.add(2 * CHUNK), CHUNK);
        std::slice::from_raw_parts(at, length)
    };
    write(buffer);
    let records = agent.drain()?;
    let moved: Vec<_> = records
        .iter()
        .filter(|r| matches!(r.header.kind, kind::DATA | kind::GAP))
        .map(|r| {
            (
                r.header.offset as usize / CHUNK,
                r.header.len,
                r.header.gap,
                r.header.reason,
            )
        })
        .collect();
    let chunk = CHUNK as u32;
    ensure!(
        moved
            == [
                (0, chunk, 0, 0),
                (1, 0, CHUNK as u64, gap::FAULT),
                (2, chunk, 0, 0)
            ],
        "{moved:?}"
    );
    ensure!(
        records
            .iter()
            .filter(|r| r.header.kind == kind::DATA)
            .all(|r| r.payload == data),
        "bytes differ"
    );
    ensure!(agent.stat(stat::GAP_FAULT)? == 1, "counter");
    Ok(())
}

/// Attached between an entry and its return.
pub fn unpaired(object: &[u8]) -> Result<()> {
    let multi = crate::cases::has_multi(object)?;
    let mut agent = Agent::load(object, &["call_return"], Settings::DEFAULT, None, multi)?;
    agent.set_shape(
        calls::WRITE,
        calls::c_shape(obi_abi::role::WRITE, obi_abi::count::RETURN),
    )?;
    let (_, returns) = hooks::sites(&WRITER)?;
    agent.attach_sites("call_return", false, &returns)?;
    write(b"unseen");
    ensure!(agent.drain()?.is_empty(), "a record from nowhere");
    ensure!(agent.stat(stat::LOST_UNPAIRED)? == 1, "counter");
    agent.detach_all();
    write(b"detached");
    ensure!(agent.stat(stat::HITS_CALL)? == 1, "hit after the detach");
    Ok(())
}

/// A sleeping reader is woken by the first record and only by it; one that naps when a quarter of the ring is unread.
pub fn wakes(object: &[u8]) -> Result<()> {
    const LONG: Duration = Duration::from_secs(60);
    const SHORT: Duration = Duration::from_millis(20);
    let agent = calls::agent(object, &WRITER, false, whole(), Some(1 << 20))?;
    for round in 0..3 {
        agent.set_reader(reader::ASLEEP)?;
        let woken = std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(100));
                write(b"wake up");
            });
            agent.wait(LONG)
        });
        ensure!(woken, "round {round}: not woken");
        ensure!(
            !agent.drain()?.is_empty(),
            "round {round}: woken for nothing"
        );
    }
    write(b"while awake");
    ensure!(!agent.wait(SHORT), "woken while awake");
    agent.set_reader(reader::NAPPING)?;
    write(&pattern(100_000, 31));
    ensure!(!agent.wait(SHORT), "woken by a tenth of the ring");
    write(&pattern(200_000, 32));
    ensure!(agent.wait(LONG), "not woken by a third of the ring");
    ensure!(agent.unread() > 300_000, "{} bytes unread", agent.unread());
    let sent = agent
        .drain()?
        .iter()
        .filter(|r| r.header.kind == kind::DATA)
        .count();
    ensure!(sent == 1 + 4 + 7, "{sent} records");
    Ok(())
}

/// Many records through a small ring: every border between the end and the beginning of the ring is met.
pub fn around(object: &[u8]) -> Result<()> {
    let agent = calls::agent(object, &WRITER, false, whole(), Some(128 << 10))?;
    let mut next = 0;
    for round in 0..2000u32 {
        // Sizes that are no multiples of anything.
        let data = pattern(1 + (round as usize * 7919) % 40_000, round + 1);
        write(&data);
        let records = agent.drain()?;
        let sent: Vec<u8> = records
            .iter()
            .filter(|r| r.header.kind == kind::DATA)
            .flat_map(|r| r.payload.clone())
            .collect();
        ensure!(sent == data, "round {round}: bytes differ");
        let first = records
            .iter()
            .find(|r| r.header.kind == kind::DATA)
            .context("no data")?;
        ensure!(first.header.offset == next, "round {round}: offset");
        next += data.len() as u64;
    }
    Ok(())
}

/// Two threads, two connections: nothing mixed.
pub fn threads(object: &[u8]) -> Result<()> {
    let agent = calls::agent(object, &WRITER, false, whole(), Some(16 << 20))?;
    std::thread::scope(|scope| {
        for handle in [1u64, 2, 3] {
            scope.spawn(move || {
                for round in 0..200 {
                    let data = pattern(3000, handle as u32 * 1000 + round);
                    call(hook_outer, handle, &data, &0, || 3000);
                }
            });
        }
    });
    let records = agent.drain()?;
    let mut conns = calls::opened(&records);
    conns.sort_unstable();
    conns.dedup();
    ensure!(conns.len() == 3, "{} connections", conns.len());
    let expected = |handle: u32| {
        (0..200)
            .flat_map(|round| pattern(3000, handle * 1000 + round))
            .collect::<Vec<u8>>()
    };
    let mut streams = Vec::new();
    for conn in conns {
        streams.push(stream(&records, conn, direction::WRITE)?);
    }
    ensure!(
        (1..=3).all(|handle| streams.contains(&expected(handle))),
        "streams are mixed"
    );
    Ok(())
}
