//! What an exchange says of a transaction, one shape for all its APIs. In: an exchange with named partitions; out: [`Said`].

use std::sync::Arc;

use kafka_wire::error_code;

use crate::fact::detail::{Producer, TransactionRef};
use crate::fact::{self, Detail, Partition};
use crate::model::topics::Topics;

/// From these versions on a request begins a transaction by itself (KIP-890).
const PRODUCE_BEGINS: i16 = 12;
const COMMIT_BEGINS: i16 = 5;

pub(super) struct Said<'a> {
    pub id: &'a Arc<str>,
    /// Whom the request names.
    pub producer: Option<Producer>,
    pub what: What,
    /// A newer producer has the id: the error that says so.
    pub fenced: Option<&'static str>,
    /// The first error.
    pub error: Option<&'static str>,
    answered: bool,
}

pub(super) enum What {
    Init {
        timeout_ms: Option<u32>,
        given: Option<Producer>,
    },
    Part(Part),
    End {
        /// The broker took it.
        accepted: bool,
        committed: bool,
        next: Option<Producer>,
    },
}

/// What joins a transaction.
#[derive(Default)]
pub(super) struct Part {
    /// At least some of it was taken.
    pub accepted: bool,
    /// It is the first request of a transaction, if none is open.
    pub begins: bool,
    pub partitions: Vec<(Arc<str>, i32)>,
    pub group: Option<Arc<str>>,
    pub offsets: Vec<(Arc<str>, i32, i64)>,
    pub records: u64,
}

impl Said<'_> {
    pub fn is_init(&self) -> bool {
        matches!(self.what, What::Init { .. })
    }

    pub fn is_answered(&self) -> bool {
        self.answered
    }

    pub fn is_accepted(&self) -> bool {
        match &self.what {
            What::Init { given, .. } => given.is_some(),
            What::Part(part) => part.accepted,
            What::End { accepted, .. } => *accepted,
        }
    }
}

/// None: nothing about a transaction.
pub(super) fn said<'a>(
    exchange: &'a fact::Exchange,
    produced: &[(Arc<str>, Partition)],
    topics: &Topics,
) -> Option<Said<'a>> {
    let answered = exchange.response_bytes.is_some() && exchange.decoded;
    let accepted = answered && exchange.error.is_none();
    let (id, producer, what) = match exchange.detail.as_deref() {
        Some(Detail::ProducerId {
            transactional_id: Some(id),
            timeout_ms,
            given,
        }) => {
            let timeout_ms = u32::try_from(*timeout_ms).ok();
            let given = given.filter(|_| answered);
            (id, None, What::Init { timeout_ms, given })
        }
        Some(Detail::TransactionPartitions {
            transaction,
            partitions,
        }) => {
            let taken = partitions.iter().filter(|(_, _, error)| error.is_none());
            let partitions: Vec<_> = taken
                .filter(|_| answered)
                .map(|(topic, index, _)| (topics.label(topic), *index))
                .collect();
            let part = Part {
                accepted: !partitions.is_empty(),
                begins: true,
                partitions,
                ..Part::default()
            };
            of(transaction, What::Part(part))
        }
        Some(Detail::TransactionOffsets { transaction, group }) => {
            let part = Part {
                accepted,
                begins: true,
                group: Some(Arc::clone(group)).filter(|_| accepted),
                ..Part::default()
            };
            of(transaction, What::Part(part))
        }
        Some(Detail::Commit(commit)) => {
            let taken = commit
                .offsets
                .iter()
                .filter(|offset| offset.error.is_none());
            let offsets: Vec<_> = taken
                .filter(|_| answered)
                .map(|offset| (topics.label(&offset.topic), offset.partition, offset.offset))
                .collect();
            let part = Part {
                accepted: accepted || !offsets.is_empty(),
                begins: exchange.api_version >= COMMIT_BEGINS,
                group: Some(Arc::clone(&commit.member.group)),
                offsets,
                ..Part::default()
            };
            of(commit.transaction.as_ref()?, What::Part(part))
        }
        Some(Detail::TransactionEnd {
            transaction,
            committed,
            next,
        }) => of(
            transaction,
            What::End {
                accepted,
                committed: *committed,
                next: *next,
            },
        ),
        Some(_) => return None,
        None => {
            let taken = produced
                .iter()
                .filter(|(_, partition)| answered && partition.error.is_none());
            let mut part = Part {
                begins: exchange.api_version >= PRODUCE_BEGINS,
                ..Part::default()
            };
            for (topic, partition) in taken {
                part.accepted = true;
                part.records = part.records.saturating_add(partition.records);
                part.partitions.push((Arc::clone(topic), partition.index));
            }
            let mut sequences = produced.iter().filter_map(|(_, p)| p.sequence);
            (
                exchange.transactional_id.as_ref()?,
                sequences.next().map(|sequence| sequence.producer),
                What::Part(part),
            )
        }
    };
    let errors = produced.iter().filter_map(|(_, partition)| partition.error);
    let mut errors = exchange.error.into_iter().chain(errors);
    Some(Said {
        id,
        producer,
        what,
        fenced: errors.clone().find(|error| is_fencing(error)),
        error: errors.find(|error| is_lasting(error)),
        answered,
    })
}

fn of(transaction: &TransactionRef, what: What) -> (&Arc<str>, Option<Producer>, What) {
    let producer = Some(transaction.producer).filter(|producer| producer.id >= 0);
    (&transaction.transactional_id, producer, what)
}

/// The coordinator, or a partition, knows a newer epoch.
fn is_fencing(error: &str) -> bool {
    matches!(error, "PRODUCER_FENCED" | "INVALID_PRODUCER_EPOCH")
}

/// Trying again does not help.
pub(super) fn is_lasting(error: &str) -> bool {
    !matches!(error, "CONNECTION_CLOSED" | "TIMEOUT") && !error_code::is_retriable_name(error)
}

/// After its timeout: the transaction is not there any more.
pub(super) fn shows_abort(error: &str) -> bool {
    matches!(
        error,
        "TRANSACTION_ABORTABLE" | "INVALID_TXN_STATE" | "INVALID_PRODUCER_ID_MAPPING"
    )
}
