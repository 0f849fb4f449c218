//! How much went by: totals and the rate over the last seconds. In: amounts with event time; out: a [`Flow`]. Fixed size.

use kafka_analyzer::capture::Nanos;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const SLOTS: u64 = 10;
const SLOT: Nanos = 1_000_000_000;

/// Seconds that a rate is taken over.
pub const WINDOW_SECONDS: u64 = SLOTS;

/// Records and bytes in one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Flow {
    /// Records since the agent began to watch.
    pub records: u64,
    /// Bytes of record batches on the wire since then.
    pub bytes: u64,
    /// Records a second over the window.
    pub records_per_second: f64,
    /// Bytes a second over the window.
    pub bytes_per_second: f64,
}

impl Flow {
    pub fn plus(&self, other: &Flow) -> Flow {
        Flow {
            records: self.records + other.records,
            bytes: self.bytes + other.bytes,
            records_per_second: self.records_per_second + other.records_per_second,
            bytes_per_second: self.bytes_per_second + other.bytes_per_second,
        }
    }
}

/// The whole seconds before the running one count, so that a rate never sees half a second.
#[derive(Clone, Debug, Default)]
pub struct Window {
    records: u64,
    bytes: u64,
    /// (second, records, bytes); a slot is reused when its second is past.
    slots: [(u64, u64, u64); SLOTS as usize + 1],
}

impl Window {
    pub fn add(&mut self, now: Nanos, records: u64, bytes: u64) {
        self.records += records;
        self.bytes += bytes;
        let second = now / SLOT;
        if let Some(slot) = self.slots.get_mut((second % (SLOTS + 1)) as usize) {
            if slot.0 < second {
                *slot = (second, 0, 0);
            }
            // An observation that waited for its labels may come after the window went on.
            if slot.0 == second {
                slot.1 += records;
                slot.2 += bytes;
            }
        }
    }

    pub fn flow(&self, now: Nanos) -> Flow {
        let second = now / SLOT;
        let recent = self
            .slots
            .iter()
            .filter(|(at, _, _)| *at < second && at + SLOTS >= second);
        let (records, bytes) = recent.fold((0, 0), |sum, slot| (sum.0 + slot.1, sum.1 + slot.2));
        Flow {
            records: self.records,
            bytes: self.bytes,
            records_per_second: records as f64 / WINDOW_SECONDS as f64,
            bytes_per_second: bytes as f64 / WINDOW_SECONDS as f64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_of_the_last_ten_whole_seconds() {
        let mut window = Window::default();
        for second in 0..30 {
            window.add(second * SLOT + 7, 20, 1000);
        }
        let flow = window.flow(30 * SLOT);
        assert_eq!(
            flow,
            Flow {
                records: 600,
                bytes: 30_000,
                records_per_second: 20.0,
                bytes_per_second: 1000.0
            }
        );
        assert_eq!(window.flow(35 * SLOT).records_per_second, 10.0);
        assert_eq!(window.flow(60 * SLOT).records_per_second, 0.0);
        assert_eq!(window.flow(60 * SLOT).records, 600);
    }
}
