//! Why something was lost: every value of `obi_events_lost_total{reason}`. In: nothing; out: what each means and what it spoils.

/// What is wrong after a loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spoils {
    /// Counts may be too low.
    Counts,
    /// Spans are missing; counts are right.
    Spans,
    /// Some labels are `id:<uuid>` or `unknown`; counts are right in sum.
    Labels,
    /// Nothing of what is shown.
    Nothing,
}

impl Spoils {
    pub fn as_str(self) -> &'static str {
        match self {
            Spoils::Counts => "counts may be too low",
            Spoils::Spans => "spans are missing",
            Spoils::Labels => "labels are missing",
            Spoils::Nothing => "nothing is wrong",
        }
    }
}

use Spoils::{Counts, Labels, Nothing, Spans};

/// (reason, what it spoils, one is)
pub const REASONS: &[(&str, Spoils, &str)] = &[
    (
        "ring_full",
        Counts,
        "an event that found the kernel's ring buffer full; a larger `ring_bytes` helps",
    ),
    (
        "calls_ring_full",
        Counts,
        "a call of a client library that found its ring buffer full: messages handed over and how long they were worked on",
    ),
    (
        "call_page_fault",
        Counts,
        "a call of a client library of which memory could not be read: messages handed over and how long they were worked on",
    ),
    (
        "table_full",
        Counts,
        "a call that found a kernel table full",
    ),
    (
        "unpaired_return",
        Nothing,
        "a return whose entry was not seen; a few in the first moments after hooks came or went are usual and not counted",
    ),
    (
        "page_fault",
        Counts,
        "a gap because a page of the buffer was not in memory",
    ),
    (
        "call_limit",
        Counts,
        "a gap because one call moved more than the limit of bytes",
    ),
    (
        "malformed_record",
        Counts,
        "a record of the ring buffer that could not be read",
    ),
    (
        "process_events",
        Nothing,
        "a start or end of a process that was not told in time; a scan finds it later",
    ),
    (
        "discovery_notices",
        Nothing,
        "a finding about a connection that did not reach discovery",
    ),
    (
        "model_queue_full",
        Counts,
        "a fact that found the queue to the model thread full",
    ),
    (
        "connection_table_full",
        Counts,
        "a connection that found no room",
    ),
    (
        "connection_idle",
        Nothing,
        "a connection forgotten because nothing was seen of it for long",
    ),
    (
        "pending_table_full",
        Counts,
        "a request that found too many others waiting for answers",
    ),
    (
        "parked_answer_too_large",
        Counts,
        "an answer captured before its request that was too large to wait",
    ),
    (
        "request_boundary_lost",
        Counts,
        "a stream of requests in which the next frame had to be searched",
    ),
    (
        "answer_boundary_lost",
        Counts,
        "a stream of answers in which the next frame had to be searched",
    ),
    (
        "request_header_hidden",
        Counts,
        "a request whose header fell into a gap",
    ),
    (
        "answer_header_hidden",
        Counts,
        "an answer whose header fell into a gap",
    ),
    (
        "gathered_too_much",
        Counts,
        "a message given up because too much of others was being gathered",
    ),
    (
        "partition_not_answered",
        Counts,
        "a produced partition that the answer does not name",
    ),
    (
        "aborted_transactions_cut",
        Counts,
        "a list of aborted transactions that was too long; counts may be too high",
    ),
    (
        "fetch_session_full",
        Counts,
        "a partition of a fetch session that found no room",
    ),
    (
        "late_fact",
        Nothing,
        "a fact that came too late for the order; it was counted all the same",
    ),
    (
        "topic_table_full",
        Labels,
        "a topic id whose name found no room",
    ),
    (
        "label_table_full",
        Labels,
        "an exchange that could not wait for its labels",
    ),
    (
        "producer_table_full",
        Counts,
        "a client that writes to a topic and found no room: how it writes is not shown",
    ),
    (
        "producer_partitions_full",
        Counts,
        "a partition of a client that writes to a topic and found no room: it is not in the spread",
    ),
    (
        "client_table_full",
        Labels,
        "a client forgotten because its table was full: the group of its fetches may not be known",
    ),
    (
        "group_table_full",
        Counts,
        "a word of a consumer group that found no room: its lag, members and rebalances are not seen",
    ),
    (
        "group_offset_table_full",
        Counts,
        "a committed offset that found no room: the lag of the group in that partition is not seen",
    ),
    (
        "partition_table_full",
        Counts,
        "a word of a partition that found no room: lag in it is not seen",
    ),
    (
        "transaction_table_full",
        Counts,
        "a message about a transaction whose transactional id found no room: the transaction is not counted",
    ),
    (
        "transaction_late",
        Counts,
        "a message about a transaction that came after its end, or of an older producer epoch",
    ),
    (
        "transaction_end_unseen",
        Counts,
        "a transaction that is followed by another, and how it ended was not seen: it is not counted",
    ),
    (
        "transaction_connections_full",
        Nothing,
        "a connection of a transactional producer that found no room: its end is not noticed",
    ),
    (
        "transaction_parts_full",
        Counts,
        "an offset or group of a transaction that found no room: the committed offset is not seen",
    ),
    (
        "transaction_inputs_full",
        Spans,
        "a link from a transaction to what it consumed that found no room",
    ),
    (
        "call_fault",
        Counts,
        "a call of a client library of which memory could not be read: its messages are not seen",
    ),
    (
        "call_truncated",
        Counts,
        "a call of a client library with more messages than are looked at",
    ),
    (
        "call_without_topic",
        Counts,
        "a run of messages handed over whose topic could not be read, nor found by what the process fetched",
    ),
    (
        "call_not_followed",
        Counts,
        "a request of librdkafka, or a configuration, that names a function to be called with messages, which could not be hooked: what becomes of them is not seen",
    ),
    (
        "processing_table_full",
        Counts,
        "a message in hand that was given up because too many were: it has no duration",
    ),
    (
        "processing_task_table_full",
        Counts,
        "all goroutines and threads of a process forgotten because too many held messages",
    ),
    (
        "processing_partition_table_full",
        Labels,
        "a partition that client libraries read and found no room: labels and redeliveries are not seen",
    ),
    (
        "processing_expired",
        Counts,
        "a message in hand for 10 minutes: it has no duration",
    ),
    (
        "processing_partial",
        Counts,
        "a message of a call that was not seen whole: it has no duration",
    ),
    (
        "processing_replaced",
        Counts,
        "a message handed over again while it was in hand: the first time has no duration",
    ),
    (
        "processing_unfinished",
        Nothing,
        "a message that was offered, and not known to have been taken, when its claim, consumer or process ended",
    ),
    (
        "processing_window",
        Nothing,
        "a message in hand when the overhead budget sent hooks away: it has no duration, see obi_sampled_share",
    ),
    (
        "delivered_unseen",
        Counts,
        "a stretch of messages handed over while hooks were away, or that may have been before a process ended, of which offsets do not tell how many they were: kafka_messages_delivered_total is too low",
    ),
    (
        "batch_not_opened",
        Spans,
        "a compressed batch with sampled records that could not be opened (corrupt, more than may be held, or too much at once): no spans of its records",
    ),
    (
        "batch_not_counted",
        Counts,
        "a compressed batch that had to be opened to be counted and could not: an old message set, or a compacted batch fetched from its middle",
    ),
    (
        "span_contexts_full",
        Spans,
        "a sampled record that was fetched and forgotten before the application was done with it",
    ),
    (
        "span_table_full",
        Spans,
        "a record that could not wait for its acknowledgement",
    ),
    (
        "app_gap",
        Spans,
        "a gap over a head of an HTTP or PostgreSQL conversation, after which a part of it is not understood",
    ),
    (
        "app_oversized",
        Spans,
        "a head of more than 16 KiB in an HTTP or PostgreSQL conversation, or more requests at once than are followed",
    ),
    (
        "app_malformed",
        Spans,
        "bytes of an HTTP or PostgreSQL conversation that are not the protocol",
    ),
    (
        "app_unpaired",
        Spans,
        "an HTTP or PostgreSQL answer whose question was not seen",
    ),
    (
        "app_unanswered",
        Spans,
        "an HTTP or PostgreSQL question whose answer was lost",
    ),
    (
        "app_unknown_statement",
        Spans,
        "a PostgreSQL statement that was prepared before the agent looked: its span has no text",
    ),
    (
        "cause_ambiguous",
        Spans,
        "a statement that fits several messages that ended together: its span has no parent",
    ),
    (
        "cause_table_full",
        Spans,
        "a span beyond the 16384 that wait for the end of the work that tells their parent: it has none",
    ),
    (
        "produce_unmatched",
        Spans,
        "a record of which it is not sure which call produced it: its span has no parent",
    ),
    (
        "produce_call_expired",
        Spans,
        "a call that handed a message over to be sent, and no record came within 30 s",
    ),
    (
        "produce_table_full",
        Spans,
        "a call beyond the 65536 that wait for their records: spans of what the process sends have no parents for a while",
    ),
    (
        "span_hold_full",
        Spans,
        "a span beyond the 16384 that wait for the trace of their message: it stays in the trace of the message's address",
    ),
    (
        "abort_ambiguous",
        Counts,
        "a transaction that was aborted while several tasks of its process ended one: its messages are not counted as errors",
    ),
    (
        "request_hold_full",
        Spans,
        "a request or statement beyond the 16384 that wait for a message to choose them, above `spans_per_second`",
    ),
    (
        "request_table_full",
        Spans,
        "an HTTP request beyond the 16384 that are remembered",
    ),
    (
        "requests_of_task_full",
        Spans,
        "an HTTP request beyond the 256 open ones of one thread or goroutine: what was done for it has no parent",
    ),
    (
        "request_forgotten",
        Spans,
        "an answered HTTP request that was not remembered",
    ),
    (
        "request_never_ended",
        Spans,
        "an HTTP request without an answer for 10 minutes",
    ),
    (
        "request_handler_unknown",
        Spans,
        "a handler of an HTTP/2 request that could not be told from others, or whose connection is not followed: what it did has no parent",
    ),
    (
        "request_reader_table_full",
        Spans,
        "an HTTP/2 connection beyond the 16384 whose reader is known: what handlers of its requests did has no parent",
    ),
    (
        "otlp_queue_full",
        Spans,
        "a span or event that found the queue to the OTLP endpoint full",
    ),
    (
        "otlp_send_failed",
        Spans,
        "a span or event that could not be sent",
    ),
    (
        "otlp_rejected",
        Spans,
        "a span, event or data point that the receiver rejected",
    ),
    (
        "otlp_stopped",
        Spans,
        "a span or event made after the exporter ended",
    ),
];

/// A reason that is not in the table is taken for the worst.
pub fn spoils(reason: &str) -> Spoils {
    REASONS
        .iter()
        .find(|(known, _, _)| *known == reason)
        .map_or(Counts, |(_, spoils, _)| *spoils)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    /// Literals that the sources count losses under: `lost("x"`, `.add("x"`, `("x", stat::...)`.
    fn counted(folder: &Path, out: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                counted(&path, out);
            } else if path.extension().is_some_and(|e| e == "rs") && !path.ends_with("reasons.rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                let begins = [".lost(", ".set_lost(", ".add("]
                    .iter()
                    .flat_map(|call| text.match_indices(call).map(move |(at, _)| at + call.len()));
                let literals = begins
                    .filter_map(|at| text[at..].trim_start().strip_prefix('"')?.split_once('"'));
                out.extend(literals.map(|(reason, _)| reason.to_owned()));
                let pairs = text
                    .match_indices("\", stat::")
                    .filter_map(|(at, _)| text[..at].rsplit_once('"'));
                out.extend(pairs.map(|(_, reason)| reason.to_owned()));
            }
        }
    }

    #[test]
    fn every_reason_of_the_sources_is_explained() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut found = BTreeSet::new();
        counted(&root.join("src"), &mut found);
        counted(&root.join("../kafka-analyzer/src"), &mut found);
        let explained: BTreeSet<&str> = REASONS.iter().map(|(reason, _, _)| *reason).collect();
        let missing: Vec<&String> = found
            .iter()
            .filter(|r| !explained.contains(r.as_str()))
            .collect();
        assert!(found.len() > 20, "{found:?}");
        assert_eq!(missing, Vec::<&String>::new());
        assert_eq!(explained.len(), REASONS.len());
    }
}
