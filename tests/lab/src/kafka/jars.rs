//! Jars from Maven Central, into `.cache/kafka`: the broker's of a version, and those of Streams, Connect and MirrorMaker. In: which.
//! Out: a class path.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::Version;
use crate::layout::Layout;
use crate::step;

const SCALA: &str = "2.13";
/// Streams, Connect and MirrorMaker: the newest that are published with all their parts.
const ECOSYSTEM: &str = "4.3.0";
/// They log as the newest broker does.
const LOG4J2: (&str, &str, &str) = ("org.apache.logging.log4j", "log4j-slf4j-impl", "2.25.5");

/// Jars in a folder.
#[derive(Clone, Debug)]
pub struct Jars {
    folder: PathBuf,
}

impl Jars {
    pub fn fetch(layout: &Layout, version: Version) -> Result<Self> {
        let broker = format!("kafka_{SCALA}");
        let wanted = [
            ("org.apache.kafka", broker.as_str(), version.number()),
            version.logging(),
        ];
        fetch(layout, version.number(), &wanted)
    }

    /// Kafka Streams, Connect with its file connectors, and MirrorMaker 2.
    pub fn fetch_ecosystem(layout: &Layout) -> Result<Self> {
        let of = |artifact| ("org.apache.kafka", artifact, ECOSYSTEM);
        let wanted = [
            of("kafka-streams"),
            of("connect-runtime"),
            of("connect-file"),
            of("connect-mirror"),
            LOG4J2,
        ];
        fetch(layout, &format!("ecosystem-{ECOSYSTEM}"), &wanted)
    }

    pub fn class_path(&self) -> String {
        format!("{}/*", self.folder.display())
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

/// Group, artifact, version of each, and all that they need.
fn fetch(layout: &Layout, name: &str, wanted: &[(&str, &str, &str)]) -> Result<Jars> {
    let folder = layout.cache().join("kafka").join(name);
    let libs = folder.join("libs");
    fs::create_dir_all(&libs)?;
    // Two runs on one machine fetch once.
    let lock = File::create(folder.join("lock"))?;
    lock.lock().context("cannot lock the jars' folder")?;
    let done = folder.join("done");
    if !done.exists() {
        fs::write(folder.join("pom.xml"), pom(wanted))?;
        let mut maven = Command::new("mvn");
        maven
            .args([
                "--batch-mode",
                "dependency:copy-dependencies",
                "-DincludeScope=runtime",
                "-f",
            ])
            .arg(folder.join("pom.xml"))
            .arg(format!("-DoutputDirectory={}", libs.display()));
        step::run(
            &format!("fetch Apache Kafka {name} (45 to 110 MB, once)"),
            &mut maven,
        )?;
        File::create(done)?;
    }
    Ok(Jars { folder: libs })
}

fn pom(wanted: &[(&str, &str, &str)]) -> String {
    let dependencies: String = wanted
        .iter()
        .map(|(group, artifact, version)| {
            format!(
                "<dependency><groupId>{group}</groupId><artifactId>{artifact}</artifactId><version>{version}</version></dependency>"
            )
        })
        .collect();
    format!(
        "<project xmlns=\"http://maven.apache.org/POM/4.0.0\"><modelVersion>4.0.0</modelVersion>\
         <groupId>obi</groupId><artifactId>lab</artifactId><version>1</version><dependencies>{dependencies}</dependencies></project>\n",
    )
}
