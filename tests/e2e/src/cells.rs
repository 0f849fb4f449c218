//! The cells of the golden counts: client × codec × security. In: nothing. Out: all of them, or a choice in which every pair of
//! values of two different columns still occurs together.

use std::collections::BTreeSet;
use std::fmt;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Library {
    Franz,
    /// The same program without symbols: `-ldflags "-s -w"`.
    FranzStripped,
    Sarama,
    Segmentio,
    ConfluentGo,
    ConfluentPython,
    Kcat,
}

impl Library {
    pub const ALL: [Self; 7] = [
        Self::Franz,
        Self::FranzStripped,
        Self::Sarama,
        Self::Segmentio,
        Self::ConfluentGo,
        Self::ConfluentPython,
        Self::Kcat,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Franz => "franz-go",
            Self::FranzStripped => "franz-go-stripped",
            Self::Sarama => "sarama",
            Self::Segmentio => "kafka-go",
            Self::ConfluentGo => "confluent-kafka-go",
            Self::ConfluentPython => "confluent-kafka-python",
            Self::Kcat => "kcat",
        }
    }

    /// The service name that the agent gives the program: its executable's; of a script the name without its suffix.
    pub fn service(self) -> &'static str {
        if self == Self::ConfluentPython {
            "confluent"
        } else {
            self.name()
        }
    }

    /// Debian's librdkafka 2.0.2, which kcat uses, fails SCRAM-SHA-512.
    pub fn mechanism(self) -> &'static str {
        if self == Self::Kcat {
            "PLAIN"
        } else {
            "SCRAM-SHA-512"
        }
    }
}

pub const CODECS: [&str; 5] = ["none", "gzip", "snappy", "lz4", "zstd"];

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cell {
    pub library: Library,
    pub codec: &'static str,
    pub tls: bool,
}

impl Cell {
    /// In topic names and client ids.
    pub fn id(&self) -> String {
        format!(
            "{}-{}-{}",
            self.library.name(),
            self.codec,
            if self.tls { "tls" } else { "plain" }
        )
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let security = if self.tls { "SASL_SSL" } else { "PLAINTEXT" };
        write!(
            f,
            "golden/{}/{}/{security}",
            self.library.name(),
            self.codec
        )
    }
}

pub fn all() -> Vec<Cell> {
    let mut cells = Vec::new();
    for library in Library::ALL {
        for codec in CODECS {
            cells.extend([true, false].map(|tls| Cell {
                library,
                codec,
                tls,
            }));
        }
    }
    cells
}

/// What two columns of a cell say together.
fn pairs(cell: &Cell) -> [(String, String); 3] {
    let (library, codec, tls) = (
        format!("{:?}", cell.library),
        cell.codec.to_owned(),
        cell.tls.to_string(),
    );
    [
        (library.clone(), codec.clone()),
        (library, tls.clone()),
        (codec, tls),
    ]
}

/// Greedy: the next cell is the one that shows most pairs not seen yet; SASL_SSL first among equals, it is the harder one.
pub fn pairwise() -> Vec<Cell> {
    let mut open: BTreeSet<_> = all().iter().flat_map(pairs).collect();
    let mut chosen = Vec::new();
    while !open.is_empty() {
        let news = |cell: &Cell| {
            pairs(cell)
                .iter()
                .filter(|pair| open.contains(*pair))
                .count()
        };
        let Some(best) = all().into_iter().max_by_key(|cell| (news(cell), cell.tls)) else {
            break;
        };
        for pair in pairs(&best) {
            open.remove(&pair);
        }
        chosen.push(best);
    }
    chosen.sort();
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_choice_shows_every_pair_with_half_the_cells() {
        let want: BTreeSet<_> = all().iter().flat_map(pairs).collect();
        let have: BTreeSet<_> = pairwise().iter().flat_map(pairs).collect();
        assert_eq!(have, want);
        assert_eq!(all().len(), 70);
        assert_eq!(pairwise().len(), 35);
    }

    #[test]
    fn every_library_is_tried_with_tls_and_without() {
        for library in Library::ALL {
            for tls in [true, false] {
                assert!(
                    pairwise()
                        .iter()
                        .any(|cell| cell.library == library && cell.tls == tls),
                    "{library:?} {tls}"
                );
            }
        }
    }
}
