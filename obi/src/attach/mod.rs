//! Programs onto the kernel. In: hook plans, pids; out: links, and for each step lost the reason.
//!
//! What the agent needs is asked for before anything is loaded, so that a refusal names its cause and its mend.

mod cells;
pub mod costs;
pub mod error;
mod globals;
pub mod hooks;
pub mod kernel;
mod kernel_offsets;
pub mod ladder;
pub mod layouts;
pub mod links;
mod log;
pub mod numbers;
pub mod privileges;
mod shapes;

use std::path::Path;

use error::{Error, Missing};
pub use kernel::{Kernel, Options};
use object::{Object as _, ObjectSegment as _};

/// Oldest kernel that the programs are tested on.
const OLDEST: (u32, u32) = (6, 1);

/// # Errors
/// What is missing, the most telling first.
pub fn preconditions() -> Result<(), Error> {
    let missing = privileges::missing();
    if !missing.is_empty() {
        return Err(Error::Privileges(Missing(missing)));
    }
    let release = rustix::system::uname()
        .release()
        .to_string_lossy()
        .into_owned();
    if version(&release).is_some_and(|version| version < OLDEST) {
        return Err(Error::TooOld(release));
    }
    if !Path::new(kernel_offsets::VMLINUX).exists() {
        return Err(Error::NoBtf);
    }
    privileges::raise_memlock();
    Ok(())
}

fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// File offset of an executable's entry point.
fn entry_point(path: &Path) -> Option<u64> {
    let data = object::ReadCache::new(std::fs::File::open(path).ok()?);
    let file = object::File::parse(&data).ok()?;
    let entry = file.entry();
    file.segments().find_map(|segment| {
        let (offset, size) = segment.file_range();
        let within = entry
            .checked_sub(segment.address())
            .filter(|within| *within < size)?;
        offset.checked_add(within)
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn kernel_versions() {
        assert_eq!(super::version("6.1.0-56-cloud-amd64"), Some((6, 1)));
        assert_eq!(super::version("5.15.0"), Some((5, 15)));
        assert!(super::version("5.15.0") < Some(super::OLDEST));
        assert_eq!(super::version("rolling"), None);
    }
}
