//! `send T` spans find their cause. In: spans of records, and the calls that handed records to a library; out: the spans with their parents.

use std::sync::Arc;

use super::Model;
use super::causes::{Cause, Doer, under};
use super::produces::{Sent, Wire};
use crate::capture::{ClientCall, Means, Pid};
use crate::fact::{self, Content, Partition};
use crate::model::Labels;
use crate::observation::Observation;

/// Records of a partition of a request that are compared with calls.
const RECORDS_MOST: usize = 1024;
/// Processes that are known to do something for something.
const PROCESSES_MOST: usize = 65_536;

/// Key and value of a record; None: cut, or not looked at.
type Sizes = (Option<u32>, Option<u32>);

impl Model {
    /// A message is handed to a library, or was acknowledged.
    pub(super) fn produce_call(&mut self, call: &ClientCall, out: &mut Vec<Observation>) {
        match call.means {
            means if means.gives() && call.count > 0 => self.may_cause(call.pid),
            // What nothing can cause need not be matched.
            Means::Produces if self.causing.contains(&call.pid) => {
                let doer = Doer {
                    pid: call.pid,
                    task: Some(call.task),
                    parent: call.parent,
                    time: call.time,
                };
                let cause = self.cause(doer);
                match &cause {
                    Cause::Span(..) | Cause::Later(..) => self.joins.begin(),
                    Cause::Perhaps(request) => {
                        self.requests.asked(*request);
                        self.joins.begin();
                    }
                    Cause::Unknown | Cause::Unsampled => {}
                }
                let lost = self.produces.called(call, doer, cause, &mut self.losses);
                self.send_all(lost, out);
            }
            Means::Acknowledged => {
                if let Some(sent) = self.produces.acknowledged(call) {
                    self.send_all(vec![sent], out);
                }
            }
            _ => {}
        }
    }

    /// The process serves requests or works on messages.
    pub(super) fn may_cause(&mut self, pid: Pid) {
        if self.causing.len() < PROCESSES_MOST {
            self.causing.insert(pid);
        }
    }

    /// The spans from `from` on are those of `at`: the produced partition of each, and the record's place in it.
    pub(super) fn match_sent(
        &mut self,
        labels: &Labels,
        exchange: &fact::Exchange,
        produced: &[(Arc<str>, Partition)],
        (from, at): (usize, Vec<(usize, usize)>),
        out: &mut Vec<Observation>,
    ) {
        if !self.produces.knows(labels.pid) {
            return;
        }
        let rest = out.split_off((from + at.len()).min(out.len()));
        let mut spans = out.split_off(from).into_iter().zip(at).peekable();
        for (index, (topic, partition)) in produced.iter().enumerate() {
            let mut own = Vec::new();
            while let Some((span, (_, at))) = spans.next_if(|(_, (of, _))| *of == index) {
                match span {
                    Observation::Span(span) => own.push((at, Box::new(span))),
                    other => out.push(other),
                }
            }
            let count = self
                .partition_counts
                .get(&(Arc::clone(&labels.cluster), Arc::clone(topic)));
            let wire = Wire {
                pid: labels.pid,
                topic,
                partition: partition.index,
                only: count == Some(&1),
                began: exchange.began,
                time: labels.origin.time,
                sizes: sizes(partition),
                accepted: partition.error.is_none(),
            };
            let sent = self.produces.wrote(&wire, own, &mut self.losses);
            self.send_all(sent, out);
        }
        out.extend(spans.map(|(span, _)| span));
        out.extend(rest);
    }

    /// Each leaves under its cause, or waits for it.
    pub(super) fn send_all(&mut self, sent: Vec<Sent>, out: &mut Vec<Observation>) {
        for Sent { span, doer, cause } in sent {
            let cause = match cause {
                Cause::Perhaps(request) => self.requests.choose(request, out),
                cause => cause,
            };
            let span = self.born(span, true, doer, &cause);
            out.extend(span.and_then(|span| under(span, &cause)));
        }
    }
}

/// Of each record of the partition, in order; what was not looked at may be anything. None: more than can be compared.
fn sizes(partition: &Partition) -> Option<Vec<Sizes>> {
    let count = usize::try_from(partition.records).ok();
    let mut sizes = vec![(None, None); count.filter(|count| *count <= RECORDS_MOST)?];
    for sample in &partition.samples {
        let Content::Records(records) = &sample.content else {
            continue;
        };
        for record in records {
            let delta = u64::try_from(record.offset_delta).ok()?;
            let at = usize::try_from(sample.records_before.checked_add(delta)?).ok()?;
            let key = record.key.as_ref().map_or(0, |key| key.len());
            let key = u32::try_from(key).ok().filter(|_| !record.truncated);
            *sizes.get_mut(at)? = (key, Some(record.value_len.unwrap_or(0)));
        }
    }
    Some(sizes)
}
