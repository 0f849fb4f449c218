//! The programs that are members: built or installed when first needed, Go programs with a build id that no agent has seen. In: a
//! library. Out: how to start it. Sources: `tests/e2e/clients/groups` and `tests/e2e/clients/go/groups`.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use anyhow::{Context, Result};
use obi_lab::golang::{self, Symbols};
use obi_lab::kafka::{Jars, Version};
use obi_lab::layout::Layout;
use obi_lab::process::Launch;
use obi_lab::{java, node, python};

use super::library::Library;

pub struct Programs<'a> {
    layout: &'a Layout,
    /// The words that start a program, before the path of its plan and after it.
    known: RefCell<BTreeMap<Library, Words>>,
}

#[derive(Clone)]
struct Words {
    before: Vec<OsString>,
    after: Vec<OsString>,
}

impl<'a> Programs<'a> {
    pub fn new(layout: &'a Layout) -> Self {
        Self {
            layout,
            known: RefCell::default(),
        }
    }

    /// The program with its plan, under this service name.
    pub fn launch(
        &self,
        library: Library,
        service: &str,
        plan: &Path,
        log: &Path,
    ) -> Result<Launch> {
        let known = self.known.borrow().get(&library).cloned();
        let words = match known {
            Some(words) => words,
            None => {
                let words = self.prepare(library)?;
                self.known.borrow_mut().insert(library, words.clone());
                words
            }
        };
        let (program, before) = words.before.split_first().context("a program has a name")?;
        Ok(Launch::new(library.name(), program, log)
            .args(before)
            .arg(plan)
            .args(&words.after)
            .env("OTEL_SERVICE_NAME", service))
    }

    fn prepare(&self, library: Library) -> Result<Words> {
        let clients = self.layout.root().join("tests/e2e/clients");
        let groups = clients.join("groups");
        let mut after = Vec::new();
        let before = match library {
            Library::Java => {
                let jars = Jars::fetch(self.layout, Version::default())?;
                let source = groups.join("java/Member.java");
                let out = self.layout.run().join("java");
                let path = java::compile(&source, &jars.class_path(), &out)?;
                [
                    "java",
                    "-cp",
                    &path,
                    "-Xmx128m",
                    "-XX:TieredStopAtLevel=1",
                    "-XX:+UseSerialGC",
                    "-Dlog4j2.level=WARN",
                    "Member",
                ]
                .map(OsString::from)
                .to_vec()
            }
            Library::Franz => self.go("franz", library)?,
            Library::Sarama => self.go("sarama", library)?,
            Library::Segmentio => self.go("segmentio", library)?,
            Library::ConfluentGo => self.go("confluent", library)?,
            Library::ConfluentPython | Library::KafkaPython | Library::Aiokafka => {
                let requirements = clients.join("python/requirements.txt");
                let python = python::environment(self.layout, &requirements)?;
                vec![
                    python.into(),
                    groups.join("python").join(script(library)).into(),
                ]
            }
            Library::ConfluentPython20 => {
                let requirements = groups.join("python/requirements-librdkafka-2.0.txt");
                let python = python::environment(self.layout, &requirements)?;
                vec![
                    python.into(),
                    groups.join("python").join(script(library)).into(),
                ]
            }
            Library::Kafkajs => {
                let packages = node::packages(self.layout, &groups.join("node/package.json"))?;
                after.push(packages.into_os_string());
                vec!["node".into(), groups.join("node/member.mjs").into()]
            }
        };
        Ok(Words { before, after })
    }

    fn go(&self, package: &str, library: Library) -> Result<Vec<OsString>> {
        let module = self.layout.root().join("tests/e2e/clients/go");
        let bin = self.layout.run().join("bin");
        std::fs::create_dir_all(&bin)?;
        let path = golang::build(
            &module,
            &format!("./groups/{package}"),
            &bin.join(format!("{}-member", library.name())),
            Symbols::Kept,
            true,
        )?;
        Ok(vec![path.into_os_string()])
    }
}

fn script(library: Library) -> &'static str {
    match library {
        Library::KafkaPython => "kafka_python.py",
        // Not `aiokafka.py`, which would be imported instead of the library.
        Library::Aiokafka => "aiokafka_member.py",
        _ => "confluent.py",
    }
}
