//! What the user chose. In: the `discovery:` lists; out: yes or no for a process or a peer.

use std::net::SocketAddr;
use std::path::Path;

use globset::{Glob, GlobSet, GlobSetBuilder};
use kafka_analyzer::capture::Pid;

use crate::config::Discovery;

#[derive(Clone, Debug)]
pub struct Filter {
    exe: GlobSet,
    pid: Vec<Pid>,
    port: Vec<u16>,
    not_exe: GlobSet,
    not_pid: Vec<Pid>,
    not_port: Vec<u16>,
}

impl Filter {
    /// # Errors
    /// A glob that does not parse; the message holds it.
    pub fn new(chosen: &Discovery) -> Result<Filter, globset::Error> {
        let mut not_pid = chosen.exclude.pid.clone();
        // The agent's own TLS connections are not its subject, and a hook on itself would feed itself.
        not_pid.push(std::process::id());
        Ok(Filter {
            exe: globs(&chosen.exe)?,
            pid: chosen.pid.clone(),
            port: chosen.port.clone(),
            not_exe: globs(&chosen.exclude.exe)?,
            not_pid,
            not_port: chosen.exclude.port.clone(),
        })
    }

    /// Files may not be hooked for all of their processes, because the user chose among processes.
    pub fn chooses_processes(&self) -> bool {
        !self.exe.is_empty()
            || !self.pid.is_empty()
            || !self.not_exe.is_empty()
            || self.not_pid.len() > 1
    }

    /// `exe` as the process sees it.
    pub fn process(&self, pid: Pid, exe: &Path) -> bool {
        if self.not_pid.contains(&pid) || self.not_exe.is_match(exe) {
            return false;
        }
        (self.exe.is_empty() && self.pid.is_empty())
            || self.pid.contains(&pid)
            || self.exe.is_match(exe)
    }

    /// A peer that is not known cannot be refused.
    pub fn peer(&self, peer: Option<SocketAddr>) -> bool {
        let Some(port) = peer.map(|peer| peer.port()) else {
            return true;
        };
        !self.not_port.contains(&port) && (self.port.is_empty() || self.port.contains(&port))
    }
}

fn globs(patterns: &[String]) -> Result<GlobSet, globset::Error> {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        set.add(Glob::new(pattern)?);
    }
    set.build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Exclude;

    fn filter(chosen: Discovery) -> Filter {
        Filter::new(&chosen).unwrap()
    }

    #[test]
    fn nothing_chosen_is_everything_but_the_agent() {
        let all = filter(Discovery::default());
        assert!(all.process(7, Path::new("/bin/x")));
        assert!(!all.process(std::process::id(), Path::new("/bin/x")));
        assert!(!all.chooses_processes());
        assert!(all.peer(Some("10.0.0.1:9092".parse().unwrap())));
    }

    #[test]
    fn one_kind_that_fits_is_enough_and_exclusion_wins() {
        let chosen = filter(Discovery {
            exe: vec!["/opt/*/order-*".into()],
            pid: vec![7, 8],
            port: vec![9093],
            exclude: Exclude {
                pid: vec![8],
                port: vec![9094],
                ..Exclude::default()
            },
        });
        assert!(chosen.chooses_processes());
        assert!(chosen.process(7, Path::new("/bin/x")));
        assert!(chosen.process(1, Path::new("/opt/a/order-service")));
        assert!(!chosen.process(1, Path::new("/opt/a/other")));
        assert!(!chosen.process(8, Path::new("/opt/a/order-service")));
        assert!(chosen.peer(Some("10.0.0.1:9093".parse().unwrap())));
        assert!(!chosen.peer(Some("10.0.0.1:9092".parse().unwrap())));
        assert!(chosen.peer(None));
    }

    #[test]
    fn a_broken_glob_is_named() {
        let broken = Discovery {
            exe: vec!["a[".into()],
            ..Discovery::default()
        };
        let error = Filter::new(&broken).unwrap_err();
        assert_eq!(error.glob(), Some("a["));
    }
}
