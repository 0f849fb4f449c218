//! The broker's jars, from Maven Central into `.cache/kafka/<version>`. In: nothing. Out: a class path.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::layout::Layout;
use crate::step;

pub const VERSION: &str = "4.4.0";
const SCALA: &str = "2.13";
/// The jars bring no log back end.
const LOG4J: &str = "2.25.5";

/// Jars in a folder.
#[derive(Clone, Debug)]
pub struct Jars {
    folder: PathBuf,
}

impl Jars {
    pub fn fetch(layout: &Layout) -> Result<Self> {
        let folder = layout.cache().join("kafka").join(VERSION);
        let libs = folder.join("libs");
        fs::create_dir_all(&libs)?;
        // Two runs on one machine fetch once.
        let lock = File::create(folder.join("lock"))?;
        lock.lock().context("cannot lock the jars' folder")?;
        let done = folder.join("done");
        if !done.exists() {
            fs::write(folder.join("pom.xml"), pom())?;
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
                &format!("fetch Apache Kafka {VERSION} (45 MB, once)"),
                &mut maven,
            )?;
            File::create(done)?;
        }
        Ok(Self { folder: libs })
    }

    pub fn class_path(&self) -> String {
        format!("{}/*", self.folder.display())
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

fn pom() -> String {
    let dependency = |group: &str, artifact: &str, version: &str| {
        format!(
            "<dependency><groupId>{group}</groupId><artifactId>{artifact}</artifactId><version>{version}</version></dependency>"
        )
    };
    format!(
        "<project xmlns=\"http://maven.apache.org/POM/4.0.0\"><modelVersion>4.0.0</modelVersion>\
         <groupId>obi</groupId><artifactId>lab</artifactId><version>1</version><dependencies>{}{}</dependencies></project>\n",
        dependency("org.apache.kafka", &format!("kafka_{SCALA}"), VERSION),
        dependency("org.apache.logging.log4j", "log4j-slf4j-impl", LOG4J),
    )
}
