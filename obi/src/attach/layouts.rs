//! What messages with record batches look like to the kernel side. In: API keys and versions; out: the layout of each, from behind its correlation id on.
//!
//! Fields as in the message schemas of Kafka 4.4 (ProduceRequest, FetchResponse, ShareFetchResponse). A version that is not here is copied whole.

use std::ops::RangeInclusive;

use obi_abi::walk::{Layout, OF_ANSWER, STEPS, step};

const PRODUCE: u32 = 0;
const FETCH: u32 = 1;
const SHARE_FETCH: u32 = 78;

/// Layouts without repetition, and which one a message has.
pub struct Layouts {
    pub layouts: Vec<Layout>,
    /// API key and version as `LAYOUT_OF` wants them, index of the layout and `OF_ANSWER`.
    pub of: Vec<(u32, u32)>,
}

/// All that are known.
pub fn known() -> Layouts {
    let mut known = Layouts {
        layouts: Vec::new(),
        of: Vec::new(),
    };
    // Before Produce v3 and Fetch v4 batches are of an older form.
    known.add(PRODUCE, 3..=13, 0, produce);
    known.add(FETCH, 4..=18, OF_ANSWER, fetch);
    known.add(SHARE_FETCH, 0..=2, OF_ANSWER, share_fetch);
    known
}

impl Layouts {
    fn add(
        &mut self,
        key: u32,
        versions: RangeInclusive<u32>,
        flag: u32,
        build: fn(u32) -> Builder,
    ) {
        for version in versions {
            let layout = build(version).layout();
            let known = self.layouts.iter().position(|other| *other == layout);
            let index = known.unwrap_or_else(|| {
                self.layouts.push(layout);
                self.layouts.len() - 1
            });
            if let Ok(index) = u32::try_from(index) {
                self.of.push((key << 16 | version, index | flag));
            }
        }
    }
}

fn produce(version: u32) -> Builder {
    let mut to = Builder::new(version >= 9);
    // The client id of the header is a plain string in every version.
    to.push(step::STRING, 0);
    to.tags();
    to.string();
    to.bytes(2 + 4);
    let topics = to.array(0);
    to.topic(version >= 13);
    let partitions = to.array(1);
    to.bytes(4);
    to.records();
    to.tags();
    to.next(1, partitions);
    to.tags();
    to.next(0, topics);
    to
}

fn fetch(version: u32) -> Builder {
    let mut to = Builder::new(version >= 12);
    to.tags();
    to.bytes(if version >= 7 { 4 + 2 + 4 } else { 4 });
    let topics = to.array(0);
    to.topic(version >= 13);
    let partitions = to.array(1);
    to.bytes(4 + 2 + 8 + 8 + if version >= 5 { 8 } else { 0 });
    let aborted = to.array(2);
    to.bytes(8 + 8);
    to.tags();
    to.next(2, aborted);
    if version >= 11 {
        to.bytes(4);
    }
    to.records();
    to.tags();
    to.next(1, partitions);
    to.tags();
    to.next(0, topics);
    to
}

fn share_fetch(version: u32) -> Builder {
    let mut to = Builder::new(true);
    to.tags();
    to.bytes(4 + 2);
    to.string();
    if version >= 1 {
        to.bytes(4);
    }
    let topics = to.array(0);
    to.topic(true);
    let partitions = to.array(1);
    to.bytes(4 + 2);
    to.string();
    to.bytes(2);
    to.string();
    // The leader.
    to.bytes(4 + 4);
    to.tags();
    to.records();
    let acquired = to.array(2);
    to.bytes(8 + 8 + 2);
    to.tags();
    to.next(2, acquired);
    to.tags();
    to.next(1, partitions);
    to.tags();
    to.next(0, topics);
    to
}

/// A layout while it is written.
struct Builder {
    flexible: bool,
    steps: Vec<u32>,
}

impl Builder {
    fn new(flexible: bool) -> Builder {
        Builder {
            flexible,
            steps: Vec::new(),
        }
    }

    fn push(&mut self, step: u32, argument: u32) {
        self.steps.push(step | argument << 8);
    }

    fn pick(&mut self, plain: u32, compact: u32) {
        self.push(if self.flexible { compact } else { plain }, 0);
    }

    fn bytes(&mut self, n: u32) {
        self.push(step::BYTES, n);
    }

    fn string(&mut self) {
        self.pick(step::STRING, step::COMPACT_STRING);
    }

    fn records(&mut self) {
        self.pick(step::RECORDS, step::COMPACT_RECORDS);
    }

    fn topic(&mut self, by_id: bool) {
        if by_id {
            self.bytes(16);
        } else {
            self.string();
        }
    }

    fn tags(&mut self) {
        if self.flexible {
            self.push(step::TAGS, 0);
        }
    }

    /// Gives the place of the count, for [`Builder::next`].
    fn array(&mut self, level: u32) -> usize {
        self.pick(step::ARRAY, step::COMPACT_ARRAY);
        let at = self.steps.len() - 1;
        if let Some(count) = self.steps.get_mut(at) {
            *count |= level << 8;
        }
        at
    }

    fn next(&mut self, level: u32, array: usize) {
        let place = |at: usize| u32::try_from(at).unwrap_or(u32::MAX) << 16;
        self.steps.push(step::NEXT | level << 8 | place(array + 1));
        let end = place(self.steps.len());
        if let Some(count) = self.steps.get_mut(array) {
            *count |= end;
        }
    }

    /// What does not fit is cut off, which the walk takes for the end.
    fn layout(self) -> Layout {
        let mut layout = Layout {
            steps: [step::END; STEPS],
        };
        for (to, from) in layout.steps.iter_mut().zip(self.steps) {
            *to = from;
        }
        layout
    }
}
