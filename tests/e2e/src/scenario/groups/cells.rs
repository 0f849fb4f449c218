//! The cells of the group tests: library × broker version. In: nothing. Out: all of them, or a choice with each library once and each
//! version as often as any other.

use std::fmt;

use obi_lab::kafka::Version;

use super::library::Library;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cell {
    pub library: Library,
    pub version: Version,
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "groups/{}/{}", self.library.name(), self.version)
    }
}

pub fn chosen(full: bool) -> Vec<Cell> {
    if full { all() } else { pairwise() }
}

fn all() -> Vec<Cell> {
    let of = |library| Version::ALL.map(|version| Cell { library, version });
    Library::ALL.into_iter().flat_map(of).collect()
}

fn pairwise() -> Vec<Cell> {
    let versions = Version::ALL.into_iter().cycle();
    let of = |(library, version)| Cell { library, version };
    Library::ALL.into_iter().zip(versions).map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_choice_has_each_library_once_and_each_version_twice_at_least() {
        assert_eq!(all().len(), 30);
        for library in Library::ALL {
            let cells = pairwise();
            assert_eq!(cells.iter().filter(|c| c.library == library).count(), 1);
        }
        for version in Version::ALL {
            let cells = pairwise();
            assert!(cells.iter().filter(|c| c.version == version).count() >= 2);
        }
    }
}
