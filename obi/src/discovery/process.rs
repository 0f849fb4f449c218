//! One process as `/proc` shows it. In: a pid; out: its executable mappings (as open files), what makes a uretprobe unsafe in
//! it. A process that vanishes while being read is `None` or an empty list, never an error.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use kafka_analyzer::capture::Pid;
use procfs::process::{MMPermissions, MMapPath, Process};

/// Identity of a file's content as far as `stat` can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId {
    pub dev: u64,
    pub ino: u64,
    pub size: u64,
    pub mtime: (i64, i64),
}

impl FileId {
    pub fn of(meta: &std::fs::Metadata) -> FileId {
        FileId {
            dev: meta.dev(),
            ino: meta.ino(),
            size: meta.size(),
            mtime: (meta.mtime(), meta.mtime_nsec()),
        }
    }
}

/// The agent's own file: its strings name the libraries that it looks for, so no process of it is ever a target.
pub fn own_file() -> Option<FileId> {
    std::fs::metadata("/proc/self/exe")
        .ok()
        .map(|metadata| FileId::of(&metadata))
}

/// A file mapped executable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    pub start: u64,
    pub end: u64,
    /// Inside the process's mount namespace.
    pub path: PathBuf,
}

impl Mapping {
    /// Paths under which the agent may reach the file, surest first. `map_files` holds also for deleted files and other mount
    /// namespaces, but its names are exact ranges, which `mprotect` may split; `root` finds what has the name now.
    fn doors(&self, proc_root: &Path, pid: Pid) -> [PathBuf; 2] {
        let dir = proc_root.join(pid.to_string());
        let name = self.path.strip_prefix("/").unwrap_or(&self.path);
        [
            dir.join(format!("map_files/{:x}-{:x}", self.start, self.end)),
            dir.join("root").join(name),
        ]
    }

    /// Identity without opening: the cheap question asked at every mapping.
    pub fn id(&self, proc_root: &Path, pid: Pid) -> Option<FileId> {
        let metadata = self
            .doors(proc_root, pid)
            .into_iter()
            .find_map(|door| std::fs::metadata(door).ok())?;
        metadata.is_file().then(|| FileId::of(&metadata))
    }

    pub fn open(&self, proc_root: &Path, pid: Pid) -> io::Result<(File, FileId)> {
        let [exact, by_name] = self.doors(proc_root, pid);
        let file = File::open(exact).or_else(|_| File::open(by_name))?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "not a regular file",
            ));
        }
        Ok((file, FileId::of(&metadata)))
    }
}

fn process(proc_root: &Path, pid: Pid) -> Option<Process> {
    Process::new_with_root(proc_root.join(pid.to_string())).ok()
}

/// Pids of all processes; threads are not listed.
pub fn pids(proc_root: &Path) -> Vec<Pid> {
    let Ok(entries) = std::fs::read_dir(proc_root) else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect()
}

/// Files mapped executable, one entry a file, the main executable first where it is mapped first.
pub fn mappings(proc_root: &Path, pid: Pid) -> Vec<Mapping> {
    let Some(maps) = process(proc_root, pid).and_then(|p| p.maps().ok()) else {
        return Vec::new();
    };
    let mut seen = HashSet::new();
    let mut found = Vec::new();
    for map in maps {
        let MMapPath::Path(path) = map.pathname else {
            continue;
        };
        if map.perms.contains(MMPermissions::EXECUTE)
            && map.inode != 0
            && seen.insert((map.dev, map.inode))
        {
            found.push(Mapping {
                start: map.address.0,
                end: map.address.1,
                path: undeleted(path),
            });
        }
    }
    found
}

/// All code of files that a process maps, and where in its file each mapping begins.
pub fn code(proc_root: &Path, pid: Pid) -> Vec<(Mapping, u64)> {
    let maps = process(proc_root, pid).and_then(|process| process.maps().ok());
    let code = maps.into_iter().flatten().filter_map(|map| {
        let MMapPath::Path(path) = map.pathname else {
            return None;
        };
        if !map.perms.contains(MMPermissions::EXECUTE) || map.inode == 0 {
            return None;
        }
        let (start, end) = map.address;
        let path = undeleted(path);
        Some((Mapping { start, end, path }, map.offset))
    });
    code.collect()
}

/// The file whose code stands at an address, and where in the file that is.
pub fn code_at(proc_root: &Path, pid: Pid, address: u64) -> Option<(Mapping, u64)> {
    let all = code(proc_root, pid);
    let holds = |(mapping, _): &(Mapping, u64)| (mapping.start..mapping.end).contains(&address);
    let (mapping, begins) = all.into_iter().find(holds)?;
    let within = address.checked_sub(mapping.start)?;
    Some((mapping, begins.checked_add(within)?))
}

fn undeleted(path: PathBuf) -> PathBuf {
    match path
        .to_str()
        .and_then(|text| text.strip_suffix(" (deleted)"))
    {
        Some(name) => PathBuf::from(name),
        None => path,
    }
}

/// Path of the executable inside the process's own mount namespace; `None` for kernel threads.
pub fn exe(proc_root: &Path, pid: Pid) -> Option<PathBuf> {
    std::fs::read_link(proc_root.join(pid.to_string()).join("exe"))
        .ok()
        .map(undeleted)
}

/// Whether a uretprobe may be used in a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReturnProbe {
    Safe,
    /// A seccomp filter may answer the uretprobe system call (kernel 6.11 on) with death.
    Seccomp,
    /// A user shadow stack sees the replaced return address.
    ShadowStack,
}

pub fn return_probe(proc_root: &Path, pid: Pid) -> ReturnProbe {
    let path = proc_root.join(pid.to_string()).join("status");
    std::fs::read_to_string(path).map_or(ReturnProbe::Safe, |status| return_probe_of(&status))
}

fn return_probe_of(status: &str) -> ReturnProbe {
    let field = |name: &str| {
        status
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .unwrap_or("")
            .trim()
    };
    if field("x86_Thread_features:")
        .split_whitespace()
        .any(|feature| feature == "shstk")
    {
        return ReturnProbe::ShadowStack;
    }
    match field("Seccomp:") {
        "" | "0" => ReturnProbe::Safe,
        _ => ReturnProbe::Seccomp,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root() -> &'static Path {
        Path::new("/proc")
    }

    #[test]
    fn the_own_executable_is_mapped_and_has_one_identity_by_every_door() {
        let pid = std::process::id();
        let own = std::env::current_exe().unwrap();
        let all = mappings(root(), pid);
        let mine = all.iter().find(|m| m.path == own).unwrap();
        let expected = FileId::of(&std::fs::metadata(&own).unwrap());
        assert_eq!(mine.id(root(), pid), Some(expected));
        let (_, opened) = mine.open(root(), pid).unwrap();
        assert_eq!(opened, expected);
        let by_name = Mapping {
            start: 1,
            end: 2,
            ..mine.clone()
        };
        assert_eq!(by_name.open(root(), pid).unwrap().1, expected);
        assert_eq!(all.iter().filter(|m| m.path == own).count(), 1);
        assert_eq!(exe(root(), pid), Some(own));
        assert!(pids(root()).contains(&pid));
    }

    #[test]
    fn code_is_found_in_its_file() {
        let pid = std::process::id();
        let function = code_is_found_in_its_file as fn() as usize as u64;
        let (mapping, offset) = code_at(root(), pid, function).unwrap();
        assert_eq!(mapping.path, std::env::current_exe().unwrap());
        let binary = symbolizer::Binary::open(&mapping.path).unwrap();
        let address = binary.address(offset).unwrap();
        assert_eq!(binary.function_at(address).unwrap().0, address);
        let data = Box::new(0_u8);
        assert_eq!(code_at(root(), pid, &raw const *data as u64), None);
        assert_eq!(code_at(root(), pid, 0), None);
    }

    #[test]
    fn a_vanished_process_is_empty() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        assert_eq!(mappings(root(), child.id()), []);
        assert_eq!(exe(root(), child.id()), None);
    }

    #[test]
    fn a_deleted_executable_is_still_reached() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sleep");
        std::fs::copy("/bin/sleep", &path).unwrap();
        let expected = FileId::of(&std::fs::metadata(&path).unwrap());
        let mut child = std::process::Command::new(&path).arg("60").spawn().unwrap();
        std::fs::remove_file(&path).unwrap();
        let found = loop {
            if let Some(found) = mappings(root(), child.id())
                .into_iter()
                .find(|m| m.path == path)
            {
                break found;
            }
        };
        let opened = found.open(root(), child.id()).unwrap().1;
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(opened, expected);
    }

    #[test]
    fn seccomp_and_shadow_stacks_forbid_uretprobes() {
        assert_eq!(
            return_probe_of("Name:\tx\nSeccomp:\t0\n"),
            ReturnProbe::Safe
        );
        assert_eq!(
            return_probe_of("Seccomp:\t2\nSeccomp_filters:\t1\n"),
            ReturnProbe::Seccomp
        );
        assert_eq!(
            return_probe_of("Seccomp:\t0\nx86_Thread_features:\tshstk wrss\n"),
            ReturnProbe::ShadowStack
        );
        assert_eq!(
            return_probe_of("x86_Thread_features:\t\n"),
            ReturnProbe::Safe
        );
    }
}
