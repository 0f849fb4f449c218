//! Frames followed by the kernel side: bodies of record batches are left out, and nothing else. The walk itself is tested in `obi/tests/walk.rs`.

use std::net::TcpStream;

use anyhow::{Context, Result, ensure};
use obi_abi::walk::{Layout, OF_ANSWER, STEPS, step};
use obi_abi::{Settings, copy, gap, kind, news, pid_flag};

use crate::agent::{Agent, Record};
use crate::cases::calls::pattern;
use crate::cases::sockets::{Via, agent, conn_of};
use crate::net::{self, Form};

const WITH_RECORDS: u32 = 3;
const ASKS: u32 = 1 << 16 | 4;
const BODY: usize = 5000;
/// Size, API key, version, correlation id, client id "a", record field's length, a batch's header.
const BEFORE_BODY: usize = 4 + 8 + 3 + 4 + 61;

/// One record field behind the head; an answer to an API of its own has a count of them.
fn layouts(agent: &Agent) -> Result<()> {
    let layout = |of: &[u32]| {
        let mut steps = [step::END; STEPS];
        steps.iter_mut().zip(of).for_each(|(to, from)| *to = *from);
        Layout { steps }
    };
    agent.set_layout(0, &layout(&[step::STRING, step::RECORDS]))?;
    let array = step::ARRAY | 3 << 16;
    let next = step::NEXT | 1 << 16;
    agent.set_layout(1, &layout(&[array, step::RECORDS, next]))?;
    agent.set_layout_of(WITH_RECORDS, 0)?;
    agent.set_layout_of(ASKS, 1 | OF_ANSWER)
}

/// A batch of magic 2 with so many bytes behind its header, and offsets with or without holes.
fn batch(body: usize, dense: bool) -> Vec<u8> {
    let mut bytes = vec![0; 61];
    bytes[8..12].copy_from_slice(&(body as u32 + 49).to_be_bytes());
    bytes[16] = 2;
    bytes[23..27].copy_from_slice(&9u32.to_be_bytes());
    bytes[57..61].copy_from_slice(&(if dense { 10u32 } else { 9 }).to_be_bytes());
    bytes.extend(pattern(body, 7));
    bytes
}

fn frame(parts: &[&[u8]]) -> Vec<u8> {
    let rest = parts.concat();
    [&(rest.len() as u32).to_be_bytes()[..], &rest].concat()
}

fn field(batches: &[u8]) -> Vec<u8> {
    [&(batches.len() as u32).to_be_bytes()[..], batches].concat()
}

fn request(message: u32, id: u32, rest: &[u8]) -> Vec<u8> {
    let head = [message.to_be_bytes(), id.to_be_bytes()].concat();
    frame(&[&head, &[0, 1, b'a'], rest])
}

/// What was told of the connection: offset, bytes copied, bytes left out, reason.
fn told(records: &[Record], conn: u64) -> Vec<(u64, u32, u64, u8)> {
    let of_it = records
        .iter()
        .filter(|r| r.header.conn == conn && matches!(r.header.kind, kind::DATA | kind::GAP));
    of_it
        .map(|r| (r.header.offset, r.header.len, r.header.gap, r.header.reason))
        .collect()
}

/// Moves bytes in calls of the given sizes; gives what was told of the client's connection.
fn moved(
    agent: &Agent,
    (from, to, client): (&TcpStream, &TcpStream, u64),
    mut bytes: &[u8],
    sizes: &[usize],
) -> Result<Vec<(u64, u32, u64, u8)>> {
    let mut records = Vec::new();
    for size in sizes {
        let (now, later) = bytes.split_at(*size);
        net::send(from, Form::Plain, now)?;
        net::receive(to, Form::Plain, *size)?;
        records.extend(agent.drain()?);
        bytes = later;
    }
    ensure!(bytes.is_empty(), "sizes of all calls");
    Ok(told(&records, client))
}

pub fn bodies(object: &[u8]) -> Result<()> {
    let agent = agent(object, Via::Btf, Settings::DEFAULT)?.context("tp_btf is everywhere")?;
    layouts(&agent)?;
    let (client, server) = net::pair()?;
    net::send(&client, Form::Plain, &[0; 10])?;
    net::receive(&server, Form::Plain, 10)?;
    let (conn, _) = conn_of(&agent.drain()?, &client)?;
    agent.set_verdict(conn, copy::BATCHES)?;
    let out = (&client, &server, conn);
    let back = (&server, &client, conn);

    // The frame begins with a call; its body comes in three.
    let one = request(WITH_RECORDS, 1, &field(&batch(BODY, true)));
    let seen = moved(&agent, out, &one, &[BEFORE_BODY + 100, 4000, BODY - 4100])?;
    let head = BEFORE_BODY as u32;
    let body = 10 + u64::from(head);
    let whole = [
        (10, head, 0, 0),
        (body, 0, 100, gap::RECORDS),
        (body + 100, 0, 4000, gap::RECORDS),
        (body + 4100, 0, 900, gap::RECORDS),
    ];
    ensure!(seen == whole, "a request: {seen:?}");
    let mut at = body + BODY as u64;

    // Two batches in one call, the second with holes in its offsets; then a frame without records in the same call.
    let batches = [batch(BODY, true), batch(BODY, false)].concat();
    let two = request(WITH_RECORDS, 2, &field(&batches));
    let asks = request(ASKS, 3, &[0; 40]);
    let call = [&two[..], &asks].concat();
    let seen = moved(&agent, out, &call, &[call.len()])?;
    let rest = (call.len() - BEFORE_BODY - BODY) as u32;
    let expected = [
        (at, head, 0, 0),
        (at + u64::from(head), 0, BODY as u64, gap::RECORDS),
        (at + u64::from(head) + BODY as u64, rest, 0, 0),
    ];
    ensure!(seen == expected, "two batches: {seen:?}");
    at += call.len() as u64;

    // An answer that nobody waits for, then the one that was asked for, cut within its size word.
    let fields = [
        &2u32.to_be_bytes()[..],
        &field(&batch(600, true)),
        &field(&batch(500, true)),
    ];
    let fields = fields.concat();
    let answer = |id: u32| frame(&[&id.to_be_bytes(), &fields]);
    let seen = moved(&agent, back, &answer(77), &[answer(77).len()])?;
    let length = answer(77).len() as u32;
    ensure!(seen == [(0, length, 0, 0)], "a strange answer: {seen:?}");
    let before = 4 + 4 + 4 + 4 + 61;
    let seen = moved(&agent, back, &answer(3), &[2, answer(3).len() - 2])?;
    let begin = u64::from(length);
    let expected = [
        (begin, 2, 0, 0),
        (begin + 2, before - 2, 0, 0),
        (begin + u64::from(before), 0, 600, gap::RECORDS),
        // A short body is not worth a gap.
        (begin + u64::from(before) + 600, length - before - 600, 0, 0),
    ];
    ensure!(seen == expected, "an answer: {seen:?}");

    // What is no frame is copied; so is everything under another verdict, in the midst of a body too.
    let noise = pattern(3000, 9);
    let seen = moved(&agent, out, &noise, &[3000])?;
    ensure!(seen == [(at, 3000, 0, 0)], "noise: {seen:?}");
    at += 3000;
    let seen = moved(&agent, out, &one[..BEFORE_BODY + 100], &[BEFORE_BODY + 100])?;
    ensure!(seen.len() == 2, "in step again: {seen:?}");
    at += (BEFORE_BODY + 100) as u64;
    agent.set_verdict(conn, copy::WHOLE)?;
    let seen = moved(&agent, out, &one[BEFORE_BODY + 100..], &[BODY - 100])?;
    ensure!(seen == [(at, BODY as u32 - 100, 0, 0)], "whole: {seen:?}");

    // A process whose bodies nobody wants for now, and then again.
    at += BODY as u64 - 100;
    let me = std::process::id();
    agent.set_pid(me, pid_flag::SOCKETS | pid_flag::NO_BODIES)?;
    agent.tell(news::BODIES)?;
    let seen = moved(&agent, out, &one, &[one.len()])?;
    let expected = [
        (at, head, 0, 0),
        (at + u64::from(head), 0, BODY as u64, gap::RECORDS),
    ];
    ensure!(seen == expected, "of the process: {seen:?}");
    at += one.len() as u64;
    agent.set_pid(me, pid_flag::SOCKETS)?;
    agent.tell(news::BODIES)?;
    let seen = moved(&agent, out, &one, &[one.len()])?;
    ensure!(
        seen == [(at, one.len() as u32, 0, 0)],
        "whole again: {seen:?}"
    );
    Ok(())
}
