//! The broker's jars, from Maven Central into `.cache/kafka/<version>`. In: a version. Out: a class path.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::Version;
use crate::layout::Layout;
use crate::step;

const SCALA: &str = "2.13";

/// Jars in a folder.
#[derive(Clone, Debug)]
pub struct Jars {
    folder: PathBuf,
}

impl Jars {
    pub fn fetch(layout: &Layout, version: Version) -> Result<Self> {
        let folder = layout.cache().join("kafka").join(version.number());
        let libs = folder.join("libs");
        fs::create_dir_all(&libs)?;
        // Two runs on one machine fetch once.
        let lock = File::create(folder.join("lock"))?;
        lock.lock().context("cannot lock the jars' folder")?;
        let done = folder.join("done");
        if !done.exists() {
            fs::write(folder.join("pom.xml"), pom(version))?;
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
                &format!("fetch Apache Kafka {version} (45 MB, once)"),
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

fn pom(version: Version) -> String {
    let (group, artifact, log) = version.logging();
    let dependency = |group: &str, artifact: &str, version: &str| {
        format!(
            "<dependency><groupId>{group}</groupId><artifactId>{artifact}</artifactId><version>{version}</version></dependency>"
        )
    };
    format!(
        "<project xmlns=\"http://maven.apache.org/POM/4.0.0\"><modelVersion>4.0.0</modelVersion>\
         <groupId>obi</groupId><artifactId>lab</artifactId><version>1</version><dependencies>{}{}</dependencies></project>\n",
        dependency(
            "org.apache.kafka",
            &format!("kafka_{SCALA}"),
            version.number()
        ),
        dependency(group, artifact, log),
    )
}
