//! What a user may choose about the analysis. In: nothing; out: plain values, the same for stage and model.

/// How `poll T` spans hang under `send T` spans.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SpanTree {
    /// A `poll T` for each message, child of its creation context, without links.
    Children,
    /// A root `poll T` for each topic and partition of an answer, with links only (plain OpenTelemetry).
    Links,
    /// As `Links`, and a `poll T` of exactly one message is also a child of its creation context.
    #[default]
    Both,
}

#[derive(Clone, Debug)]
pub struct Settings {
    pub capture_key: bool,
    pub capture_headers: bool,
    /// Bodies of record batches are read. False: only what stands before them, so that no single message is seen.
    pub records: bool,
    /// Show keys as a keyed hash, never as text.
    pub hash_keys: bool,
    /// Bytes of key and headers kept for one message, at most.
    pub max_message_size: usize,
    /// Also export topics that begin with `__`.
    pub internal_topics: bool,
    /// Messages with a span in one second of event time, about; above it messages are chosen by address.
    pub spans_per_second: u32,
    /// The same where fewer are wanted as spans than may be opened for their sizes; never more than `spans_per_second`.
    pub told_per_second: u32,
    pub span_tree: SpanTree,
    /// False: no spans, and no key or header is ever kept.
    pub spans: bool,
    /// Spans of HTTP requests that followed processes serve, and of their PostgreSQL statements.
    pub app: bool,
}

impl Settings {
    /// Bytes of key and headers kept of one record.
    pub(crate) fn keep(&self) -> usize {
        if self.spans { self.max_message_size } else { 0 }
    }

    /// Messages with a span in one second, about.
    pub(crate) fn told(&self) -> u32 {
        self.told_per_second.min(self.spans_per_second)
    }

    /// Are other protocols than Kafka read?
    pub fn reads_app(&self) -> bool {
        self.spans && self.app
    }
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            capture_key: true,
            capture_headers: true,
            records: true,
            hash_keys: false,
            max_message_size: 10_240,
            internal_topics: false,
            spans_per_second: 1000,
            told_per_second: 1000,
            span_tree: SpanTree::Both,
            spans: true,
            app: true,
        }
    }
}
