//! Names learnt from the wire, kept over a restart. In and out: `names.json` in the state directory.
//!
//! Written beside its place and renamed, so that a crash leaves the old file or the new one. A file that cannot be read is
//! said once and forgotten: names are learnt again.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use kafka_analyzer::LearntNames;

const FILE: &str = "names.json";
/// The model caps its tables far below this.
const READ_LIMIT: u64 = 64 * 1024 * 1024;

#[derive(serde::Serialize, serde::Deserialize)]
struct Stored {
    schema: String,
    names: LearntNames,
}

const SCHEMA: &str = "obi.names/1";

/// Absent file: `None`.
///
/// # Errors
/// The file is there and cannot be understood.
pub fn read(dir: &Path) -> anyhow::Result<Option<LearntNames>> {
    let path = dir.join(FILE);
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("cannot open {}", path.display())),
    };
    let mut text = String::new();
    file.take(READ_LIMIT)
        .read_to_string(&mut text)
        .with_context(|| format!("cannot read {}", path.display()))?;
    let stored: Stored =
        serde_json::from_str(&text).with_context(|| format!("{} is damaged", path.display()))?;
    anyhow::ensure!(
        stored.schema == SCHEMA,
        "{} has the schema {:?}, not {SCHEMA:?}",
        path.display(),
        stored.schema
    );
    Ok(Some(stored.names))
}

/// # Errors
/// The directory cannot be made or written.
pub fn write(dir: &Path, names: &LearntNames) -> anyhow::Result<()> {
    std::fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let new = dir.join(format!("{FILE}.new"));
    let stored = Stored {
        schema: SCHEMA.to_owned(),
        names: names.clone(),
    };
    let written = || -> std::io::Result<()> {
        let mut file = File::create(&new)?;
        file.write_all(&serde_json::to_vec(&stored)?)?;
        file.sync_all()?;
        std::fs::rename(&new, dir.join(FILE))
    };
    written().with_context(|| format!("cannot write {}", dir.join(FILE).display()))
}

/// Writes when something new was learnt.
pub struct Keeper {
    dir: PathBuf,
    kept: LearntNames,
}

impl Keeper {
    /// With what the file holds.
    pub fn new(dir: &Path) -> Keeper {
        let kept = read(dir).unwrap_or_else(|error| {
            tracing::warn!(error = %format!("{error:#}"), "names learnt earlier are lost");
            None
        });
        Keeper {
            dir: dir.to_owned(),
            kept: kept.unwrap_or_default(),
        }
    }

    pub fn kept(&self) -> &LearntNames {
        &self.kept
    }

    pub fn keep(&mut self, names: LearntNames) {
        if names == self.kept {
            return;
        }
        match write(&self.dir, &names) {
            Ok(()) => self.kept = names,
            Err(error) => {
                tracing::warn!(error = %format!("{error:#}"), "learnt names are not kept")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back_and_a_damaged_file_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("deep/state");
        assert_eq!(read(&state).unwrap(), None);
        let names = LearntNames {
            topics: vec![("AAAAAAAAAAAAAAAAAAAAAQ".into(), "orders".into())],
            clusters: vec![("10.0.0.1:9092".parse().unwrap(), "c1".into())],
        };
        let mut keeper = Keeper::new(&state);
        keeper.keep(names.clone());
        assert_eq!(read(&state).unwrap(), Some(names.clone()));
        assert_eq!(Keeper::new(&state).kept(), &names);
        assert_eq!(
            std::fs::read_dir(&state).unwrap().count(),
            1,
            "nothing is left beside the file"
        );

        std::fs::write(state.join(FILE), "{").unwrap();
        assert!(format!("{:#}", read(&state).unwrap_err()).contains("names.json is damaged"));
        assert_eq!(Keeper::new(&state).kept(), &LearntNames::default());
    }
}
