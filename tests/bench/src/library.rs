//! Client libraries that make a load, and the program that each is. In: a library. Out: what to run; loads speak one protocol on standard
//! input and output (tests/bench/load/main.go).

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;
use obi_lab::golang::{self, Symbols};
use obi_lab::layout::Layout;
use obi_lab::{python, step};

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Library {
    FranzGo,
    Sarama,
    KafkaGo,
    ConfluentKafkaGo,
    ConfluentKafkaPython,
    /// C, Debian's
    Librdkafka,
}

/// An executable and its first words.
pub struct Program {
    pub file: PathBuf,
    pub words: Vec<OsString>,
}

impl Library {
    pub const ALL: [Library; 6] = [
        Library::FranzGo,
        Library::Sarama,
        Library::KafkaGo,
        Library::ConfluentKafkaGo,
        Library::ConfluentKafkaPython,
        Library::Librdkafka,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Library::FranzGo => "franz-go",
            Library::Sarama => "sarama",
            Library::KafkaGo => "kafka-go",
            Library::ConfluentKafkaGo => "confluent-kafka-go",
            Library::ConfluentKafkaPython => "confluent-kafka-python",
            Library::Librdkafka => "librdkafka",
        }
    }

    /// Builds it to `out`.
    pub fn program(self, layout: &Layout, out: &Path) -> Result<Program> {
        let source = layout.root().join("tests/bench/load");
        let library = match self {
            Library::FranzGo => "franz",
            Library::Sarama => "sarama",
            Library::KafkaGo => "segmentio",
            Library::ConfluentKafkaGo => "confluent",
            Library::ConfluentKafkaPython => {
                let wanted = layout
                    .root()
                    .join("tests/e2e/clients/python/requirements.txt");
                return Ok(Program {
                    file: python::environment(layout, &wanted)?,
                    words: vec![source.join("python/load.py").into()],
                });
            }
            Library::Librdkafka => return c(&source.join("c/load.c"), out),
        };
        Ok(Program {
            file: golang::build(&source, ".", out, Symbols::Kept, true)?,
            words: vec!["-library".into(), library.into()],
        })
    }
}

fn c(source: &Path, out: &Path) -> Result<Program> {
    let mut gcc = Command::new("gcc");
    gcc.args(["-O2", "-Wall", "-Wextra", "-Werror", "-o"])
        .args([out, source])
        .args(["-lrdkafka", "-lm", "-lpthread"]);
    step::run("build load.c", &mut gcc)?;
    Ok(Program {
        file: out.to_owned(),
        words: Vec::new(),
    })
}
